"""Bad input is set aside with its reason, where a person can list it and replay it. Nothing is lost.

The body goes to a blob, since it may be larger than a table property; the reason to a table, newest first. Both are
named after the message and where it came from, so that a replayed batch parks nothing twice.
"""

import hashlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from shared import settings
from shared.clock import from_epoch_ms, to_epoch_ms
from shared.errors import Rejected
from shared.storage import blobs
from shared.storage.tables import Row, Table, upsert

log = logging.getLogger(__name__)

_LAST_MS = 9_999_999_999_999  # inverts a timestamp, so that the newest row comes first


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from: the Event Hub or queue, its place there, and who sent it if that is known."""

    source: str
    position: str  # "partition/sequence number" or message id: the same at every delivery
    arrived_at: datetime
    vehicle_id: str | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """One message that was set aside."""

    origin: Origin
    code: str
    detail: str
    blob: str

    def as_json(self) -> dict[str, str | None]:
        """For people: everything but the body, which may hold personal data."""
        return {
            "source": self.origin.source,
            "arrived_at": self.origin.arrived_at.isoformat(),
            "vehicle_id": self.origin.vehicle_id,
            "reason": self.code,
            "detail": self.detail,
            "position": self.origin.position,
            "blob": self.blob,
        }


async def park(origin: Origin, reason: Rejected, body: bytes) -> None:
    """Sets the message aside; doing so again changes nothing. Raises `Unavailable`."""
    name = _name(origin, body)
    blob = f"{origin.source}/{origin.arrived_at:%Y/%m/%d}/{name}"
    await blobs.put(settings.PARKED_CONTAINER, blob, body)
    row = Row(
        origin.source,
        f"{_LAST_MS - to_epoch_ms(origin.arrived_at):013d}|{name}",
        {
            "code": reason.code,
            "detail": reason.detail[:1000],
            "position": origin.position,
            "arrived_at_ms": to_epoch_ms(origin.arrived_at),
            "vehicle_id": origin.vehicle_id,
            "blob": blob,
        },
    )
    await Table(settings.PARKED_TABLE).commit([upsert(row)])
    log.warning("parked a message from %s: %s", origin.source, reason.code)


def _name(origin: Origin, body: bytes) -> str:
    """Of the body too, because a sender may give the same id to different messages."""
    digest = hashlib.sha256(f"{origin.source}|{origin.position}|".encode())
    digest.update(body)
    return digest.hexdigest()[:32]


async def parked(source: str | None = None, *, limit: int | None = None) -> AsyncIterator[Parked]:
    """What was set aside, newest first within each source. Raises `Unavailable`."""
    async for row in Table(settings.PARKED_TABLE).query(source, limit=limit):
        values = row.values
        arrived_at_ms = values["arrived_at_ms"]
        assert isinstance(arrived_at_ms, int)
        vehicle_id = values.get("vehicle_id")
        yield Parked(
            origin=Origin(
                source=row.partition,
                position=str(values["position"]),
                arrived_at=from_epoch_ms(arrived_at_ms),
                vehicle_id=None if vehicle_id is None else str(vehicle_id),
            ),
            code=str(values["code"]),
            detail=str(values["detail"]),
            blob=str(values["blob"]),
        )
