"""Campaigns for tests."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from shared.messaging.contracts import Artifact, StartCampaign

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIRMWARE = bytes(range(256)) * 16


def definition(**changes: Any) -> StartCampaign:
    """A sound campaign, changed as asked."""
    values: dict[str, Any] = {
        "campaign_id": "spring",
        "title": "Better range",
        "brand": "Aurora",
        "model": "One",
        "version": "2.0.0",
        "artifact": Artifact(
            blob="one/2.0.0.bin", sha256=hashlib.sha256(FIRMWARE).hexdigest(), size_bytes=len(FIRMWARE)
        ),
    }
    return StartCampaign(**(values | changes))
