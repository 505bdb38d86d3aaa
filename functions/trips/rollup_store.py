"""Where roll-ups are kept: table TripRollups, one partition for each shard of the fleet.

- `{vehicle}|{first day}|{day, week or month}` totals, `{vehicle}|{Monday}|digest` that the week's digest was told,
  `{vehicle}|long-term` where the long-term memory begins,
- `~changed|{vehicle}|{start}` a trip that was stored, revised or withdrawn since the last roll-up,
- `~digest|{Monday}|{vehicle}` when a digest has to be told, `~outbox|{message}` one on its way,
- `~fleet|{month}|{vehicle}` the vehicle's part of the fleet's totals, until these are published (fleet_store).

The marks `~changed` are how a roll-up finds in one read what there is to do, however large the fleet. They cost one
small write for each trip, none for each message. What follows from them is written in the transaction that removes
them, which conflicts if one was set again meanwhile, or if totals are not as they were read: so the last to write has
seen the last change. Several vehicles are one transaction, which is why their totals are in the partition of the shard.
All functions raise `Unavailable`.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_
from datetime import date

import msgspec

from functions.trips import fleet_store, rollup, rollup_messages
from functions.trips.fleet_store import PartOfVehicle
from functions.trips.memories import Beginning
from functions.trips.rollup import Kind, Period, Totals, Trip
from shared import settings
from shared.identity.vehicle import ShardRange, shard
from shared.messaging import outbox
from shared.messaging.publisher import Outgoing
from shared.storage.tables import (
    LAST_MS,
    MAX_TRANSACTION_ENTITIES,
    Row,
    Table,
    Write,
    delete,
    epoch_ms_of,
    insert,
    newest_first,
    replace,
    upsert,
)

_CHANGED, _DIGEST, _TOLD = "~changed|", "~digest|", "digest"
_LONG_TERM = "long-term"

_table = Table(settings.TRIP_ROLLUPS_TABLE)


@dataclass(frozen=True, slots=True)
class Change:
    """A trip that changed since the last roll-up, with the row that says so."""

    vehicle_id: str
    started_at_ms: int
    mark: Row


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a vehicle in a range of days; the etags fence the totals' replacement."""

    totals: Mapping[Period, Totals]
    etags: Mapping[Period, str | None]
    told_mondays: frozenset[date]


@dataclass(frozen=True, slots=True)
class Update:
    """What follows from changes of one vehicle. Totals of None are removed; digests are due at a time (epoch ms)."""

    vehicle_id: str
    changes: Sequence[Change]
    before: Known
    totals: Mapping[Period, Totals | None]
    digests: Mapping[date, int]
    parts: Sequence[PartOfVehicle]

    def writes(self) -> list[Write]:
        writes = [delete(change.mark) for change in self.changes]
        writes += [part.write() for part in self.parts]
        writes += [self._write(period, totals) for period, totals in self.totals.items()]
        for monday, due_ms in self.digests.items():
            writes.append(
                upsert(Row(shard(self.vehicle_id), f"{_DIGEST}{monday}|{self.vehicle_id}", {"due_ms": due_ms}))
            )
        return writes

    def _write(self, period: Period, totals: Totals | None) -> Write:
        key, etag = f"{self.vehicle_id}|{period.first_day}|{period.kind}", self.before.etags.get(period)
        if totals is None:
            return delete(Row(shard(self.vehicle_id), key, etag=etag))
        row = Row(shard(self.vehicle_id), key, msgspec.structs.asdict(totals), etag)
        return insert(row) if etag is None else replace(row)


@dataclass(frozen=True, slots=True)
class DueDigest:
    """A digest that has to be told; `message` is None if it was told before, or if nothing was driven after all."""

    vehicle_id: str
    monday: date
    row: Row
    message: Outgoing | None = None

    def writes(self) -> list[Write]:
        writes = [delete(self.row)]
        if self.message is not None:
            told = Row(self.row.partition, f"{self.vehicle_id}|{self.monday}|{_TOLD}")
            writes += [insert(told), *outbox.rows(self.row.partition, [self.message])]
        return writes


# --- What changed


async def note_changed(trips: Iterable[tuple[str, int]]) -> None:
    """Marks trips (vehicle and start) as changed: after their rows were written, so that no change goes unseen."""
    by_shard = defaultdict[str, dict[str, Write]](dict)
    for vehicle_id, started_at_ms in trips:
        key = f"{_CHANGED}{vehicle_id}|{started_at_ms:013d}"
        by_shard[shard(vehicle_id)][key] = upsert(Row(shard(vehicle_id), key))
    for marks in by_shard.values():
        writes = list(marks.values())
        for start in range(0, len(writes), MAX_TRANSACTION_ENTITIES):
            await _table.commit(writes[start : start + MAX_TRANSACTION_ENTITIES])


async def shards(part: ShardRange) -> list[str]:
    """The shards of a part of the fleet that hold anything: found by leaping from one to the next, not by reading."""
    found, first = list[str](), part.first
    while True:
        rows = _table.query(partition_from=first, partition_before=part.before, select=(), limit=1)
        names = [row.partition async for row in rows]
        if not names:
            return found
        found += names
        first = f"{names[0]}~"  # lies between this shard and the next


async def changes(name: str, limit: int) -> list[Change]:
    """Changes in a shard, those of a vehicle together and in order."""
    return await _changes(name, _CHANGED, limit)


async def changes_of(vehicle_id: str) -> list[Change]:
    """Changes of one vehicle, in order."""
    return await _changes(shard(vehicle_id), f"{_CHANGED}{vehicle_id}|")


async def _changes(name: str, prefix: str, limit: int | None = None) -> list[Change]:
    found = [(row, row.key.split("|")) async for row in _keys(name, prefix, limit)]
    return [Change(vehicle_id, int(started_at_ms), row) for row, (_, vehicle_id, started_at_ms) in found]


# --- Of one vehicle


async def trips(vehicle_id: str, from_ms: int = 0, before_ms: int = LAST_MS) -> list[Trip]:
    """The vehicle's trips that start then, newest first; without positions."""
    rows = Table(settings.TRIPS_TABLE).query(
        vehicle_id,
        key_from=newest_first(before_ms - 1),
        key_before=newest_first(from_ms - 1) if from_ms > 0 else None,
        select=Trip.__struct_fields__,
    )
    return [msgspec.convert(row.values, Trip) async for row in rows]


async def last_charged_at_ms(vehicle_id: str) -> list[int]:
    """The start of the vehicle's last charging session, if there is one."""
    rows = Table(settings.CHARGING_SESSIONS_TABLE).query(vehicle_id, limit=1, select=())
    return [epoch_ms_of(row.key) async for row in rows]


async def known(vehicle_id: str, first: date, before: date) -> Known:
    """What is stored of the vehicle's periods that begin in these days."""
    totals, etags, mondays = dict[Period, Totals](), dict[Period, str | None](), set[date]()
    rows = _table.query(shard(vehicle_id), key_from=f"{vehicle_id}|{first}", key_before=f"{vehicle_id}|{before}")
    async for row in rows:
        _, day, kind = row.key.split("|")
        if kind == _TOLD:
            mondays.add(date.fromisoformat(day))
        else:
            period = Period(date.fromisoformat(day), msgspec.convert(kind, Kind))
            totals[period], etags[period] = msgspec.convert(row.values, Totals), row.etag
    return Known(totals, etags, frozenset(mondays))


async def beginning(vehicle_id: str) -> tuple[Beginning, str | None]:
    """Where the vehicle's long-term memory begins, and the etag for `begin`."""
    row = await _table.get(shard(vehicle_id), f"{vehicle_id}|{_LONG_TERM}")
    if row is None:
        return Beginning(), None
    return msgspec.json.decode(row.binary("beginning"), type=Beginning), row.etag


async def begin(vehicle_id: str, new: Beginning, etag: str | None) -> None:
    """Lets the long-term memory begin there. Raises `Conflict` if someone else was faster."""
    row = Row(shard(vehicle_id), f"{vehicle_id}|{_LONG_TERM}", {"beginning": msgspec.json.encode(new)}, etag)
    await _table.commit([insert(row) if etag is None else replace(row)])


async def erase(vehicle_id: str) -> None:
    """Removes all that roll-ups know of the vehicle, but for published totals, in which no vehicle is known."""
    name = shard(vehicle_id)
    of_vehicle = [row async for row in _keys(name, f"{vehicle_id}|")]
    months = {row.key.split("|")[1][:7] for row in of_vehicle if row.key.endswith("|month")}
    digest = rollup_messages.weekly_digest_id(vehicle_id)
    found = [
        *of_vehicle,
        *[row async for row in _keys(name, f"{_CHANGED}{vehicle_id}|")],
        *[row async for row in _keys(name, _DIGEST) if row.key.endswith(f"|{vehicle_id}")],
        *[row async for row in _keys(name, outbox.PREFIX + digest)],
    ]
    parts = [part for month in months if (part := await fleet_store.part(vehicle_id, month))]
    # Parts first: cut short, a repetition finds them by the months that are still there.
    await _table.commit_each(
        [[with_(part, totals=None).write()] for part in parts]
        + [[delete(Row(row.partition, row.key))] for row in found]
    )


# --- Results of a shard


async def save(updates: Sequence[Update]) -> int:
    """Writes updates of one shard, each as a whole unless one of its trips changed again; returns how many it wrote."""
    return await _table.commit_each(update.writes() for update in updates)


async def due_digests(name: str, now_ms: int, limit: int) -> list[DueDigest]:
    """The digests in a shard that have to be told by now."""
    running = rollup.first_running_week(now_ms)
    rows = _table.query(
        name, key_from=_DIGEST, key_before=f"{_DIGEST}{running}", at_most={"due_ms": now_ms}, limit=limit
    )
    found = [(row, row.key.split("|")) async for row in rows]
    return [DueDigest(vehicle_id, date.fromisoformat(monday), row) for row, (_, monday, vehicle_id) in found]


async def tell(digests: Sequence[DueDigest]) -> None:
    """Notes that these are told, all of one shard, each unless someone else did so meanwhile."""
    await _table.commit_each(digest.writes() for digest in digests)


async def flush(name: str) -> None:
    """Sends what waits in the shard."""
    await outbox.flush(_table, name)


# --- Rows


def _keys(name: str, prefix: str, limit: int | None = None) -> AsyncIterator[Row]:
    return _table.query(name, key_from=prefix, key_before=prefix + "~", select=(), limit=limit)
