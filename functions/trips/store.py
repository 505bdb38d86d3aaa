"""Where trips are kept: the state of each vehicle beside its messages, and finished trips by vehicle.

The state's partition is that of the Event Hub and a sub-shard, so that a batch, which comes from one partition of the
hub, is written in few transactions. It holds, by row key:

- `{vehicle}` the state and the vehicle's latest messages,
- `{vehicle}|{boot}|{first}|{last}` earlier ones, by their sequence numbers,
- `~alarm|{time}|{vehicle}` when the sweep has to look at a vehicle: one row for each that has something due,
- `~clock` up to which arrival the partition was taken in, `~watch` what the sweep saw of that,
- `~record|{kind}|{vehicle}|{start}` and `~outbox|{message}` what has to be carried to the tables of trips and charging
  sessions (`record_store`) and to other jobs.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from dataclasses import replace as copy_with
from functools import partial

from functions.trips import agenda, compact, record_store, vehicle_trips
from functions.trips.agenda import Watch
from functions.trips.compact import Kept
from functions.trips.messages import event
from functions.trips.profile_store import sample_max_age_ms
from functions.trips.progress import Announcement
from functions.trips.samples import Message
from functions.trips.vehicle_trips import VehicleTrips
from shared import settings
from shared.errors import Conflict
from shared.identity.vehicle import checksum
from shared.messaging import outbox
from shared.messaging.publisher import Outgoing
from shared.storage.tables import (
    MAX_TRANSACTION_ENTITIES,
    Row,
    Table,
    Write,
    delete,
    insert,
    replace,
    upsert,
)

SUB_SHARDS = 2
WARM_LIMIT = 20_000  # vehicles that an instance keeps in memory
CONCURRENT_READS = 16
MAX_TRANSACTION_BYTES = 3_500_000  # the service takes 4 MiB

_PARTITIONS = "~partitions"  # lists the other partitions
_CLOCK, _WATCH, _ALARM = "~clock", "~watch", "~alarm|"


@dataclass(frozen=True, slots=True)
class Stored:
    """A state as it was read or written; without an etag it is that of a vehicle never heard of."""

    packed: bytes = b""
    recent: bytes = b""  # messages that are in no row of their own
    etag: str | None = None

    def state(self) -> VehicleTrips:
        """A copy for the caller."""
        return vehicle_trips.decode(self.packed) if self.packed else VehicleTrips()

    def kept(self) -> list[Kept]:
        """The messages beside the state."""
        return compact.decoded(self.recent) if self.recent else []


@dataclass(frozen=True, slots=True)
class Change:
    """A new state of a vehicle, and the messages and announcements that belong to it."""

    vehicle_id: str
    before: Stored
    old_alarm_ms: int | None
    state: VehicleTrips
    messages: Sequence[Message] = ()
    announcements: Sequence[Announcement] = ()


@dataclass(slots=True)
class _Transaction:
    writes: list[Write] = field(default_factory=list)
    size: int = 0
    changes: list[tuple[Change, int, Stored]] = field(default_factory=list)  # with its write's place and what it writes


def partition_of(hub_partition: str, vehicle_id: str) -> str:
    """The partition of a vehicle whose messages come from this partition of the Event Hub."""
    return f"{hub_partition}-{checksum(vehicle_id) % SUB_SHARDS}"


class Store:
    """The tables of this job, and the states that this instance keeps warm: valid as long as their etags match."""

    def __init__(self) -> None:
        self._table = Table(settings.OPEN_TRIPS_TABLE)
        self._warm = dict[tuple[str, str], Stored]()
        self._listed = set[str]()
        self._flushed = set[str]()

    # --- partitions

    async def list_partition(self, partition: str) -> None:
        """Makes the partition known to `partitions`. Raises `Unavailable`."""
        if partition not in self._listed:
            await self._table.commit([upsert(Row(_PARTITIONS, partition))])
            self._listed.add(partition)

    async def partitions(self) -> list[str]:
        """All partitions that hold vehicles. Raises `Unavailable`."""
        return [row.key async for row in self._table.query(_PARTITIONS)]

    async def partitions_of(self, vehicle_id: str) -> list[str]:
        """Where the vehicle has a state: one partition, unless the Event Hub was divided anew. Raises `Unavailable`."""
        possible = [
            name for name in await self.partitions() if name == partition_of(name.rpartition("-")[0], vehicle_id)
        ]
        rows = await asyncio.gather(*(self._table.get(name, vehicle_id) for name in possible))
        return [row.partition for row in rows if row is not None]

    async def watch(self, partition: str, now_ms: int) -> int:
        """The time up to which everything that arrived in the partition was taken in. Raises `Unavailable`."""
        clock, seen = await asyncio.gather(self._table.get(partition, _CLOCK), self._table.get(partition, _WATCH))
        before = None if seen is None else Watch(*(seen.integer(one.name) for one in fields(Watch)))
        watch = agenda.watch(before, 0 if clock is None else clock.integer("arrived_ms"), now_ms)
        await self._table.commit([upsert(Row(partition, _WATCH, asdict(watch)))])
        return min(watch.time_ms, now_ms)

    async def rung(self, partition: str, time_ms: int, limit: int) -> list[str]:
        """The vehicles whose alarm has rung, the earliest first. Raises `Unavailable`."""
        rows = self._table.query(partition, key_from=_ALARM, key_before=_alarm(time_ms + 1, ""), limit=limit)
        return [row.key.rpartition("|")[2] async for row in rows]

    # --- states

    async def load(self, partition: str, vehicle_ids: Iterable[str]) -> dict[str, Stored]:
        """The vehicles' states, from memory where they are warm. Raises `Unavailable`."""
        turn = asyncio.Semaphore(CONCURRENT_READS)

        async def read(vehicle_id: str) -> Stored:
            async with turn:
                row = await self._table.get(partition, vehicle_id)
            if row is None:
                return Stored()
            recent = row.binary("recent") if "recent" in row.values else b""
            stored = Stored(row.binary("state"), recent, row.etag)
            self._keep(partition, vehicle_id, stored)
            return stored

        ids = list(vehicle_ids)
        warm = {vehicle_id: self._warm.get((partition, vehicle_id)) for vehicle_id in ids}
        cold = [vehicle_id for vehicle_id, stored in warm.items() if stored is None]
        found = dict(zip(cold, await asyncio.gather(*map(read, cold)), strict=True))
        return {vehicle_id: warm[vehicle_id] or found[vehicle_id] for vehicle_id in ids}

    def forget(self, partition: str, vehicle_id: str) -> None:
        """Reads the state from the table next time."""
        self._warm.pop((partition, vehicle_id), None)

    async def save(
        self, partition: str, changes: Sequence[Change], now_ms: int, arrived_ms: int | None = None
    ) -> list[str]:
        """Writes the changes, each as a whole, and returns the vehicles that someone else changed before.

        `arrived_ms` is up to which arrival the partition is taken in by this. Raises `Unavailable`.
        """
        lost = list[str]()
        for transaction in _transactions(partition, changes, now_ms, arrived_ms):
            # Until the commit is known to have succeeded, nothing is known of these states and outgoing messages.
            for change, _, _ in transaction.changes:
                self.forget(partition, change.vehicle_id)
                if change.announcements:
                    self._flushed.discard(partition)
            try:
                etags = await self._table.commit(transaction.writes)
            except Conflict:
                lost.extend(change.vehicle_id for change, _, _ in transaction.changes)
                continue
            for change, place, stored in transaction.changes:
                self._keep(partition, change.vehicle_id, copy_with(stored, etag=etags[place]))
        return lost

    def _keep(self, partition: str, vehicle_id: str, stored: Stored) -> None:
        self._warm[partition, vehicle_id] = stored
        while len(self._warm) > WARM_LIMIT:
            del self._warm[next(iter(self._warm))]

    # --- messages

    async def messages(self, partition: str, vehicle_id: str, stored: Stored, from_ms: int = 0) -> list[Message]:
        """The vehicle's messages with a sample at or after `from_ms`. Raises `Unavailable`."""
        first, beyond = _messages_of(vehicle_id)
        rows = self._table.query(partition, key_from=first, key_before=beyond, at_least={"last_ms": from_ms})
        in_rows = [one async for row in rows for one in compact.decoded(row.binary("kept"))]
        return compact.messages(vehicle_id, compact.each_once([*in_rows, *stored.kept()], from_ms), sample_max_age_ms())

    async def remove_messages(self, partition: str, vehicle_id: str, until_ms: int, limit: int) -> bool | None:
        """Removes messages without a sample after `until_ms`.

        Returns whether there are later ones, or None if `limit` was reached before. Raises `Unavailable`, `Conflict`.
        """
        first, beyond = _messages_of(vehicle_id)
        of_vehicle = partial(self._table.query, partition, key_from=first, key_before=beyond)
        old = [delete(Row(partition, row.key)) async for row in of_vehicle(at_most={"last_ms": until_ms}, limit=limit)]
        for start in range(0, len(old), MAX_TRANSACTION_ENTITIES):
            await self._table.commit(old[start : start + MAX_TRANSACTION_ENTITIES])
        return None if len(old) == limit else bool([row async for row in of_vehicle(limit=1)])

    # --- outgoing

    def may_hold_outgoing(self, partition: str) -> bool:
        """Whether announcements may wait there: after a failure, or of an instance that was here before."""
        return partition not in self._flushed

    async def flush(self, partition: str) -> None:
        """Carries what waits in the partition to the table of trips and to other jobs. Raises `Unavailable`."""
        await record_store.carry(self._table, partition)
        await outbox.flush(self._table, partition)
        self._flushed.add(partition)


def _transactions(
    partition: str, changes: Sequence[Change], now_ms: int, arrived_ms: int | None
) -> Iterable[_Transaction]:
    current = _Transaction()
    for change in changes:
        stored, rows = _stored(partition, change)
        writes = [*_writes(partition, change, stored, now_ms), *rows]
        size = sum(_size(write.row) for write in writes)
        is_full = len(current.writes) + len(writes) >= MAX_TRANSACTION_ENTITIES
        if current.writes and (is_full or current.size + size > MAX_TRANSACTION_BYTES):
            yield _with_clock(current, partition, arrived_ms)
            current = _Transaction()
        current.changes.append((change, len(current.writes), stored))
        current.writes.extend(writes)
        current.size += size
    if current.writes:
        yield _with_clock(current, partition, arrived_ms)


def _with_clock(transaction: _Transaction, partition: str, arrived_ms: int | None) -> _Transaction:
    if arrived_ms is not None:
        transaction.writes.append(upsert(Row(partition, _CLOCK, {"arrived_ms": arrived_ms})))
    return transaction


def _size(row: Row) -> int:
    """At most what the row takes in a transaction, where bytes travel as base64."""
    return 1000 + sum(2 * len(value) for value in row.values.values() if isinstance(value, str | bytes))


def _stored(partition: str, change: Change) -> tuple[Stored, list[Write]]:
    """The state and the messages that stay beside it, or else their rows. What lies behind the horizon is left out."""
    new = [compact.keep(message) for message in change.messages]
    kept = compact.each_once([*change.before.kept(), *new], change.state.horizon_ms + 1)
    packed = vehicle_trips.encode(change.state)
    if compact.are_few(kept):
        return Stored(packed, compact.encode(kept) if kept else b""), []
    return Stored(packed), [upsert(Row(partition, *row)) for row in compact.to_rows(change.vehicle_id, kept)]


def _writes(partition: str, change: Change, stored: Stored, now_ms: int) -> list[Write]:
    """The state comes first."""
    row = Row(
        partition, change.vehicle_id, {"state": stored.packed, "recent": stored.recent or None}, change.before.etag
    )
    writes = [insert(row) if row.etag is None else replace(row)]
    alarm_ms, old_alarm_ms = change.state.alarm_ms, change.old_alarm_ms
    if alarm_ms != old_alarm_ms:
        if old_alarm_ms is not None:
            writes.append(delete(Row(partition, _alarm(old_alarm_ms, change.vehicle_id))))
        if alarm_ms is not None:
            writes.append(upsert(Row(partition, _alarm(alarm_ms, change.vehicle_id))))
    for announcement in change.announcements:
        writes.append(record_store.waiting(partition, change.vehicle_id, announcement, change.state.model))
        if envelope := event(change.vehicle_id, announcement, now_ms):
            writes += outbox.rows(partition, [Outgoing(settings.DOMAIN_EVENTS, envelope)])
    return writes


def _alarm(moment_ms: int, vehicle_id: str) -> str:
    return f"{_ALARM}{moment_ms:013d}|{vehicle_id}"


def _messages_of(vehicle_id: str) -> tuple[str, str]:
    return f"{vehicle_id}|", f"{vehicle_id}}}"  # "}" follows "|"
