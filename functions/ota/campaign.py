"""What may be asked for: the rules that a campaign's definition has to meet."""

import re
from typing import Annotated

from msgspec import Meta

from shared.errors import Rejected
from shared.messaging.contracts import Artifact, StartCampaign

# Safe in table keys, twins and file names. A campaign's id is half of a partition key, whose other half follows "|".
CAMPAIGN_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
CampaignId = Annotated[str, Meta(pattern=CAMPAIGN_ID_PATTERN)]

_TEXT_LENGTHS = {"title": 200, "brand": 100, "model": 100, "version": 64}
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
# No segment begins with a dot: nothing on the way to the storage can take one for a step upwards.
_BLOB = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_BLOB_LENGTH = 512


def check_definition(command: StartCampaign) -> None:
    """Raises `Rejected` for a campaign that cannot be carried out, whatever the fleet and the storage hold."""
    if not re.match(CAMPAIGN_ID_PATTERN, command.campaign_id):
        raise Rejected(
            "bad-campaign", f"campaign_id {command.campaign_id[:80]!r} is not 1 to 64 of letters, digits, '.', '_', '-'"
        )
    for name, longest in _TEXT_LENGTHS.items():
        value: str = getattr(command, name)
        if not value.strip() or len(value) > longest or _CONTROL_CHARACTER.search(value):
            raise Rejected("bad-campaign", f"{name} is empty, longer than {longest} or has control characters")
    _check_artifact(command.artifact)


def _check_artifact(artifact: Artifact) -> None:
    if len(artifact.blob) > _BLOB_LENGTH or not _BLOB.fullmatch(artifact.blob):
        raise Rejected(
            "bad-artifact", f"{artifact.blob[:80]!r} is not a blob name of letters, digits, '.', '_', '-', '/'"
        )
    if not _SHA256.fullmatch(artifact.sha256):
        raise Rejected("bad-artifact", "sha256 is not 64 hexadecimal digits")
    if artifact.size_bytes <= 0:
        raise Rejected("bad-artifact", f"size_bytes is {artifact.size_bytes}; there is nothing to install")


def check_stored_artifact(artifact: Artifact, stored_bytes: int | None) -> None:
    """Raises `Rejected` if the artifact is not what lies in the container; None means that nothing lies there."""
    if stored_bytes is None:
        raise Rejected("no-artifact", f"there is no artifact {artifact.blob!r}")
    if stored_bytes != artifact.size_bytes:
        raise Rejected(
            "wrong-artifact", f"{artifact.blob!r} has {stored_bytes} bytes, the campaign says {artifact.size_bytes}"
        )
