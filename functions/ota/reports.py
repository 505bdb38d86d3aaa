"""What a vehicle reports about its update, read from the wire (docs/vehicle-protocol.md, "Updates")."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from functions.ota.campaign import CampaignId
from functions.ota.vehicle_update import Signal
from shared.errors import Rejected
from shared.messaging.bodies import BODY_ERRORS, fault

_REASON_LENGTH = 500
_LAST_MS = 9_999_999_999_999
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one vehicle's update."""

    v: Literal[1]
    campaign_id: CampaignId
    version: str
    status: Signal
    at: Annotated[int, Meta(ge=0, le=_LAST_MS)]
    reason: str | None = None
    vehicle_id: str | None = None

    @property
    def reason_text(self) -> str | None:
        """The reason as people may see it: one line of bounded length, whatever the vehicle sent."""
        if self.reason is None:
            return None
        return _CONTROL_CHARACTERS.sub(" ", self.reason)[:_REASON_LENGTH].strip() or None


def decode(body: bytes) -> Report:
    """The report in a message body. Raises `Rejected` for anything else, naming the field at fault."""
    try:
        return msgspec.json.decode(body, type=Report)
    except BODY_ERRORS as error:
        raise Rejected("bad-report", f"not a report on an update: {fault(error)}") from error
