"""What all clients of Azure services have in common."""

import logging

import pytest

from localcloud.services import LocalCloud
from shared.settings import NOTIFICATIONS_TABLE
from shared.storage.tables import Table


async def test_requests_are_not_logged_one_by_one(local_services: LocalCloud, caplog: pytest.LogCaptureFixture) -> None:
    assert local_services
    with caplog.at_level(logging.INFO):  # as the Functions worker sets it for everything
        await Table(NOTIFICATIONS_TABLE).get("nobody", "nothing")
    assert [record for record in caplog.records if record.name.startswith("azure")] == []
