"""All that is stored about a vehicle, wherever this job keeps it: to be read as a whole, and to be removed.

Beside the rows of open trips, trips and charging sessions (`store`) and of roll-ups there are the erasures of the last
days, in the table of open trips, partition `~erasures`: `{vehicle}|{request}`. All functions raise `Unavailable`.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from functions.trips import retention, rollup_store
from functions.trips.erasure import Erasure, latest_ms
from functions.trips.export import Archive, SetAside
from functions.trips.store import Store, Stored, partition_of
from shared import settings
from shared.clock import to_epoch_ms
from shared.identity.vehicle import shard
from shared.messaging import parking
from shared.storage import blobs
from shared.storage.tables import Row, Table, delete, epoch_ms_of, newest_first, replace, upsert


class History(NamedTuple):
    """A table with a partition for each vehicle and a row for each record of it, newest first."""

    kind: str  # of its records, as they are counted
    located: str  # the property of those that tell where they were


HISTORIES = {
    settings.TRIPS_TABLE: History("trips", located="start_lat"),
    settings.CHARGING_SESSIONS_TABLE: History("charging_sessions", located="lat"),
}
PARKED_FROM = (settings.TELEMETRY_HUB, settings.TRIP_COMMANDS, settings.DOMAIN_EVENTS)

_ERASURES = "~erasures"

_open_trips = Table(settings.OPEN_TRIPS_TABLE)


# --- Of one vehicle


class Found(NamedTuple):
    """A row that belongs to a vehicle, what it is, and the name of its table."""

    kind: str
    table: str
    row: Row


async def partitions(store: Store, vehicle_id: str) -> list[str]:
    """Where open trips of the vehicle are; if it has none, wherever they could be."""
    return await store.partitions_of(vehicle_id) or [
        name for name in await store.partitions() if name == partition_of(name.rpartition("-")[0], vehicle_id)
    ]


async def rows(vehicle_id: str, places: Sequence[str]) -> AsyncIterator[Found]:
    """The vehicle's rows but for its states, with the properties that tell of when they are.

    What waits to be carried to the histories comes before these, so that it is removed before them.
    """
    for partition in places:
        async for row in _outgoing(partition, vehicle_id):
            yield Found("outgoing", settings.OPEN_TRIPS_TABLE, row)
        async for row in _messages(partition, vehicle_id):
            yield Found("messages", settings.OPEN_TRIPS_TABLE, row)
    for name, history in HISTORIES.items():
        async for row in Table(name).query(vehicle_id, select=["started_at_ms", "ended_at_ms"]):
            yield Found(history.kind, name, row)


async def _outgoing(partition: str, vehicle_id: str) -> AsyncIterator[Row]:
    """Not read are alarms, of which there are as many as vehicles: the vehicle's own goes with its state."""
    for first, beyond in (("~", "~alarm|"), ("~alarm}", "~\uffff")):
        async for row in _open_trips.query(partition, key_from=first, key_before=beyond):
            if vehicle_id in {row.values.get("vehicle_id"), row.values.get("subject")}:
                yield row


def _messages(partition: str, vehicle_id: str) -> AsyncIterator[Row]:
    told = ("arrived_ms", "last_ms", "messages")
    return _open_trips.query(partition, key_from=f"{vehicle_id}|", key_before=f"{vehicle_id}}}", select=told)


async def survey(vehicle_id: str, stored: Mapping[str, Stored]) -> tuple[dict[str, int], int]:
    """How much of what kind there is beside and in these states, by place, and the latest moment that it tells of."""
    recent = [one for state in stored.values() for one in state.kept()]
    counts, latest = Counter[str](), max((one.last_ms for one in recent), default=0)
    counts["messages"] = len(recent)
    async for found in rows(vehicle_id, list(stored)):
        counts[found.kind] += found.row.integer("messages") if found.kind == "messages" else 1
        latest = max(latest, latest_ms(found.row.values))
    async for _ in _rollups(vehicle_id):
        counts["rollups"] += 1
    async for _ in parking.of_vehicle(vehicle_id, PARKED_FROM):
        counts["parked"] += 1
    return dict(+counts), latest


async def remove(erasure: Erasure, places: Sequence[str]) -> None:
    """Removes all that the erasure takes but for states. Cut short, it has to be repeated."""
    taken = [found async for found in rows(erasure.vehicle_id, places) if erasure.takes(found.row.values)]
    for name in dict.fromkeys(found.table for found in taken):
        await Table(name).remove([found.row for found in taken if found.table == name])
    await remove_rollups(erasure.vehicle_id)
    await parking.remove_of_vehicle(erasure.vehicle_id, PARKED_FROM, erasure.erased_ms)


async def remove_rollups(vehicle_id: str) -> None:
    """Removes all roll-ups; those of trips that are there all the same, the next roll-up makes again."""
    await rollup_store.erase(vehicle_id)
    left = Table(settings.TRIPS_TABLE).query(vehicle_id, select=())
    await rollup_store.note_changed([(vehicle_id, epoch_ms_of(row.key)) async for row in left])


def _rollups(vehicle_id: str, before: str = "}") -> AsyncIterator[Row]:
    """Those of periods that begin before a day."""
    rollups = Table(settings.TRIP_ROLLUPS_TABLE)
    return rollups.query(shard(vehicle_id), key_from=f"{vehicle_id}|", key_before=f"{vehicle_id}|{before}")


async def remove_state(partition: str, vehicle_id: str, etag: str | None) -> None:
    """Removes the state unless someone changed it."""
    await _open_trips.commit_each([[delete(Row(partition, vehicle_id, etag=etag))]])


async def read(vehicle_id: str, store: Store) -> Archive:
    """Everything."""
    places = await store.partitions_of(vehicle_id)
    stored = {place: (await store.load(place, [vehicle_id]))[vehicle_id] for place in places}
    return Archive(
        vehicle_id=vehicle_id,
        trips=[row.values async for row in Table(settings.TRIPS_TABLE).query(vehicle_id)],
        charging_sessions=[row.values async for row in Table(settings.CHARGING_SESSIONS_TABLE).query(vehicle_id)],
        rollups={row.key.partition("|")[2]: row.values async for row in _rollups(vehicle_id)},
        messages=[message for place in places for message in await store.messages(place, vehicle_id, stored[place])],
        open_trips=[one.state() for one in stored.values()],
        set_aside=[
            SetAside(
                source=item.origin.source,
                arrived_at_ms=to_epoch_ms(item.origin.arrived_at),
                reason=item.code,
                detail=item.detail,
                body=await blobs.get(settings.PARKED_CONTAINER, item.blob) or b"",
            )
            async for item in parking.of_vehicle(vehicle_id, PARKED_FROM)
            if item.origin.vehicle_id in {None, vehicle_id}  # what another vehicle sent is that one's
        ],
    )


# --- Erasures


async def erasures(vehicle_id: str) -> list[Erasure]:
    """The erasures of the vehicle that are remembered."""
    found = _open_trips.query(_ERASURES, key_from=f"{vehicle_id}|", key_before=f"{vehicle_id}}}")
    return [_erasure(row) async for row in found]


async def erasure(vehicle_id: str, request_id: str) -> Erasure | None:
    row = await _open_trips.get(_ERASURES, f"{vehicle_id}|{request_id}")
    return None if row is None else _erasure(row)


async def remember(erasure: Erasure) -> None:
    encoded = msgspec.json.encode(erasure)
    row = Row(_ERASURES, key(erasure), {"erased_ms": erasure.erased_ms, "erasure": encoded})
    await _open_trips.commit([upsert(row)])


async def older_erasures(before_ms: int, after: str, limit: int) -> list[Erasure]:
    """Erasures of before that moment, in the order of their keys, from behind the key `after`."""
    found = _open_trips.query(_ERASURES, key_from=f"{after}!", at_most={"erased_ms": before_ms - 1}, limit=limit)
    return [_erasure(row) async for row in found]


async def forget(erasure: Erasure) -> None:
    await _open_trips.remove([Row(_ERASURES, key(erasure))])


def key(erasure: Erasure) -> str:
    return f"{erasure.vehicle_id}|{erasure.request_id}"


def _erasure(row: Row) -> Erasure:
    encoded = row.values["erasure"]
    assert isinstance(encoded, bytes)
    return msgspec.json.decode(encoded, type=Erasure)


# --- What is too old


async def first_vehicle(table: str, first: str, before: str) -> str | None:
    """The first vehicle in this range of ids that has a row in the history."""
    found = Table(table).query(partition_from=first, partition_before=before, select=(), limit=1)
    return next(iter([row.partition async for row in found]), None)


async def older(table: str, vehicle_id: str, before_ms: int) -> list[Row]:
    """The records that began before then."""
    return [row async for row in _older(table, vehicle_id, before_ms, select=())]


async def remove_rows(table: str, rows: Sequence[Row]) -> None:
    await Table(table).remove(rows)


async def remove_rollups_before(vehicle_id: str, before_ms: int) -> None:
    """Removes the roll-ups of periods that ended before then; all of them, if there is no trip any more."""
    day = retention.last_day_over(before_ms)
    rows = [row async for row in _rollups(vehicle_id, f"{day}")]
    await Table(settings.TRIP_ROLLUPS_TABLE).remove([row for row in rows if retention.is_over(row.key, day)])
    if not [row async for row in Table(settings.TRIPS_TABLE).query(vehicle_id, select=(), limit=1)]:
        await remove_rollups(vehicle_id)


async def remove_positions_before(table: str, vehicle_id: str, before_ms: int) -> None:
    """Removes where the vehicle was from the records that began before then. Whatever changes meanwhile has to wait."""
    located = {HISTORIES[table].located: -180.0}  # rows without are passed over where they lie, unread
    older = _older(table, vehicle_id, before_ms, at_least=located)
    kept = [
        replace(Row(row.partition, row.key, retention.without_positions(row.values), row.etag)) async for row in older
    ]
    await Table(table).commit_each([write] for write in kept)


def _older(table: str, vehicle_id: str, before_ms: int, **wanted: Any) -> AsyncIterator[Row]:
    """Keys fall as starts rise, and a key with "!" lies behind the same without."""
    return Table(table).query(vehicle_id, key_from=f"{newest_first(before_ms)}!", **wanted)
