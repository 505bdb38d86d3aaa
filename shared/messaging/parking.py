"""Bad input is set aside with its reason, where a person can list it and replay it. Nothing is lost.

The body goes to a blob, since it may be larger than a table property; the reason to a table, newest first. Both are
named after the message and where it came from, so that a replayed batch parks nothing twice.

What is parked may be personal data, so it is not kept for ever, and it is found by the vehicle: an index row in the
same table for the sender, and for each vehicle that the body names.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared import settings
from shared.clock import from_epoch_ms, to_epoch_ms
from shared.errors import Rejected
from shared.storage import blobs
from shared.storage.tables import Row, Table, epoch_ms_of, newest_first, upsert

log = logging.getLogger(__name__)

MAX_VEHICLES = 16  # under which one message is found
CONCURRENT_REMOVALS = 16
REMOVED_AT_ONCE = 1000

_INDEX = "~"  # before the vehicle id: sorts after every source
_NAMED_VEHICLE = re.compile(rb'"vehicle_id"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._-]{0,63})"')


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


# --- Setting aside


async def park(origin: Origin, reason: Rejected, body: bytes) -> None:
    """Sets the message aside; doing so again changes nothing. Raises `Unavailable`."""
    vehicles = _vehicles(origin, body)
    row = Row(
        origin.source,
        f"{newest_first(to_epoch_ms(origin.arrived_at))}|{_name(origin, body)}",
        {
            "code": reason.code,
            "detail": reason.detail[:1000],
            "position": origin.position,
            "arrived_at_ms": to_epoch_ms(origin.arrived_at),
            "vehicle_id": origin.vehicle_id,
            "vehicles": " ".join(vehicles),
        },
    )
    table = Table(settings.PARKED_TABLE)
    for entry in _index_rows(row):  # first, so that there is nothing that cannot be found
        await table.commit([upsert(entry)])
    await blobs.put(settings.PARKED_CONTAINER, _blob(row.partition, row.key), body)
    await table.commit([upsert(row)])
    log.warning("parked a message from %s: %s", origin.source, reason.code)


def _name(origin: Origin, body: bytes) -> str:
    """Of the body too, because a sender may give the same id to different messages."""
    digest = hashlib.sha256(f"{origin.source}|{origin.position}|".encode())
    digest.update(body)
    return digest.hexdigest()[:32]


def _blob(source: str, key: str) -> str:
    """By day, so that a person finds it in the container."""
    inverted, _, name = key.partition("|")
    return f"{source}/{from_epoch_ms(epoch_ms_of(inverted)):%Y/%m/%d}/{name}"


def _vehicles(origin: Origin, body: bytes) -> list[str]:
    """Whom the message is from, and whom it speaks of as all our messages do."""
    sender = [] if origin.vehicle_id is None else [origin.vehicle_id]
    named = (match[1].decode() for match in islice(_NAMED_VEHICLE.finditer(body), MAX_VEHICLES))
    return list(dict.fromkeys([*sender, *named]))


def _index_rows(row: Row) -> list[Row]:
    vehicles = str(row.values["vehicles"]).split()
    return [Row(_INDEX + vehicle_id, f"{row.partition}|{row.key}") for vehicle_id in vehicles]


# --- Looking


async def parked(source: str | None = None, *, limit: int | None = None) -> AsyncIterator[Parked]:
    """What was set aside, newest first within each source. Raises `Unavailable`."""
    async for row in Table(settings.PARKED_TABLE).query(source, partition_before=_INDEX, limit=limit):
        yield _parked(row)


async def of_vehicle(vehicle_id: str, sources: Sequence[str]) -> AsyncIterator[Parked]:
    """What was set aside that is from this vehicle or names it. Raises `Unavailable`."""
    for source in sources:
        async for entry in _entries(vehicle_id, source):
            row = await _row(*_place(entry))
            if row is not None:
                yield _parked(row)


def _parked(row: Row) -> Parked:
    values = row.values
    arrived_at_ms = values["arrived_at_ms"]
    assert isinstance(arrived_at_ms, int)
    vehicle_id = values.get("vehicle_id")
    return Parked(
        origin=Origin(
            source=row.partition,
            position=str(values["position"]),
            arrived_at=from_epoch_ms(arrived_at_ms),
            vehicle_id=None if vehicle_id is None else str(vehicle_id),
        ),
        code=str(values["code"]),
        detail=str(values["detail"]),
        blob=_blob(row.partition, row.key),
    )


def _entries(vehicle_id: str, source: str, since: str = "") -> AsyncIterator[Row]:
    return Table(settings.PARKED_TABLE).query(
        _INDEX + vehicle_id, key_from=f"{source}|{since}", key_before=f"{source}}}"
    )


def _place(entry: Row) -> tuple[str, str]:
    source, _, key = entry.key.partition("|")
    return source, key


async def _row(source: str, key: str) -> Row | None:
    return await Table(settings.PARKED_TABLE).get(source, key)


# --- Removing


async def remove_of_vehicle(vehicle_id: str, sources: Sequence[str], until_ms: int) -> None:
    """Removes what is from this vehicle or names it and arrived until then. Raises `Unavailable`."""
    for source in sources:
        async for entry in _entries(vehicle_id, source, newest_first(until_ms)):
            row = await _row(*_place(entry))
            await _remove(*_place(entry), [] if row is None else [*_index_rows(row), row], found_by=entry)


async def remove_older(source: str, before_ms: int) -> int:
    """Removes what arrived from this source before then; returns how many. Raises `Unavailable`."""
    turn, removed = asyncio.Semaphore(CONCURRENT_REMOVALS), 0

    async def remove(row: Row) -> None:
        async with turn:
            await _remove(row.partition, row.key, _index_rows(row), found_by=row)

    while rows := [row async for row in _older(source, before_ms)]:
        await asyncio.gather(*map(remove, rows))
        removed += len(rows)
    return removed


def _older(source: str, before_ms: int) -> AsyncIterator[Row]:
    return Table(settings.PARKED_TABLE).query(source, key_from=newest_first(before_ms - 1), limit=REMOVED_AT_ONCE)


async def _remove(source: str, key: str, rows: Sequence[Row], *, found_by: Row) -> None:
    """By what it was found goes last, so that after a crash it is found again."""
    table = Table(settings.PARKED_TABLE)
    await blobs.delete(settings.PARKED_CONTAINER, _blob(source, key))
    await table.remove([row for row in rows if (row.partition, row.key) != (found_by.partition, found_by.key)])
    await table.remove([found_by])
