"""Brings the totals of a shard's vehicles up to date with their trips, and has the digests of their weeks told."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from typing import TypeVar

from functions.trips import fleet_store, fleet_totals, rollup, rollup_messages
from functions.trips import rollup_store as store
from functions.trips.fleet_store import PartOfVehicle
from functions.trips.rollup import Period, Totals, Trip
from functions.trips.rollup_store import Change, DueDigest, Known, Update
from shared.clock import DAY_MS, from_epoch_ms
from shared.errors import Conflict
from shared.messaging.publisher import Outgoing
from shared.settings import DOMAIN_EVENTS

CHANGES_AT_ONCE = 400  # for one message, so that it is done well within its lock
CHANGES_OF_A_VEHICLE = 40  # so that what follows from them fits into one transaction
DIGESTS_AT_ONCE = 300
CONCURRENT_READS = 16
DIGEST_GRACE_MS = 3 * 3_600_000  # what ends with the week is stored within two hours, unless messages are missing
DIGEST_OF_USE_FOR_MS = 7 * DAY_MS  # from the end of the week: of an older one nobody wants to hear
YOUNG_MS = 4 * DAY_MS  # no trip is removed for its age before late data can no longer revise it

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


# --- Totals


async def roll_up(shard: str, settled_month: str, now_ms: int) -> bool:
    """Brings totals up to date with what changed in a shard; returns whether there is more to do.

    Raises `Conflict` if that would not end, `Unavailable`.
    """
    changes = await store.changes(shard, CHANGES_AT_ONCE)
    chosen = _chosen(changes)
    written = await store.save(await _all(chosen, lambda of_vehicle: _update(of_vehicle, settled_month, now_ms)))
    has_more = len(changes) == CHANGES_AT_ONCE or len(changes) > sum(map(len, chosen))
    if has_more and not written:
        raise Conflict("roll-up: the trips of a shard change faster than they can be rolled up")
    return has_more


async def totals(vehicle_id: str, first_day: date, before: date, now_ms: int) -> dict[Period, Totals]:
    """What the next roll-up will have stored of the periods that begin in these days. Raises `Unavailable`."""
    known, changes = await asyncio.gather(store.known(vehicle_id, first_day, before), store.changes_of(vehicle_id))
    changed = (await _recomputed(vehicle_id, changes, now_ms)).changed if changes else {}
    up_to_date = {**known.totals, **changed}
    return {
        period: driven
        for period, driven in sorted(up_to_date.items(), key=lambda item: item[0])
        if driven is not None and first_day <= period.first_day < before
    }


def _chosen(changes: Iterable[Change]) -> list[list[Change]]:
    """Of each vehicle the changes of its oldest month, some of them: what they touch is read and written at once."""
    return [
        list(next(of_month for _, of_month in groupby(of_vehicle, key=_month)))[:CHANGES_OF_A_VEHICLE]
        for _, of_vehicle in groupby(changes, key=lambda change: change.vehicle_id)
    ]


def _month(change: Change) -> str:
    return fleet_totals.month_of(from_epoch_ms(change.started_at_ms).date())


@dataclass(frozen=True, slots=True)
class _Recomputed:
    """What is stored of a vehicle, what has to be otherwise, and the driven trips of the days in question, by start."""

    before: Known
    changed: Mapping[Period, Totals | None]
    trips: Sequence[Trip]


async def _recomputed(vehicle_id: str, changes: Iterable[Change], now_ms: int) -> _Recomputed:
    """A day of which trips may have been removed for their age stays as it is."""
    days = set[date]().union(*(rollup.days_touched(change.started_at_ms) for change in changes))
    if rollup.bounds_ms(days)[0] < now_ms - YOUNG_MS:
        beginning, _ = await store.beginning(vehicle_id)
        days = {day for day in days if rollup.bounds_ms([day])[0] >= beginning.removed_before_ms}
    if not days:
        return _Recomputed(Known({}, {}, frozenset()), {}, ())
    rows, before = await asyncio.gather(
        store.trips(vehicle_id, *rollup.bounds_ms(days)), store.known(vehicle_id, *rollup.stored_range(days))
    )
    of_days = [trip for day, of_day in rollup.by_day(rows).items() if day in days for trip in of_day]
    return _Recomputed(before, rollup.changed(before.totals, days, of_days), of_days)


async def _update(changes: Sequence[Change], settled_month: str, now_ms: int) -> Update:
    """Of months that are settled and over the fleet's totals are published, so nothing is added to them."""
    vehicle_id = changes[0].vehicle_id
    found = await _recomputed(vehicle_id, changes, now_ms)
    parts = [
        await _part(vehicle_id, period, driven, found.trips)
        for period, driven in found.changed.items()
        if period.kind == "month" and fleet_totals.month_of(period.first_day) >= settled_month
    ]
    return Update(
        vehicle_id,
        changes,
        found.before,
        found.changed,
        _digests(found, now_ms),
        [part for part in parts if part is not None],
    )


def _digests(found: _Recomputed, now_ms: int) -> dict[date, int]:
    """When the digest of each week is due: after its end by the clock of where its last trip began."""
    last_days = rollup.last_days({**found.before.totals, **found.changed})
    due_ms = dict[date, int]()
    for trip in found.trips:
        monday = rollup.monday_of(trip.local_day)
        end_ms = rollup.week_end_ms(monday, rollup.time_zone(trip.start_time_zone))
        is_open = monday not in found.before.told_mondays and now_ms < end_ms + DIGEST_OF_USE_FOR_MS
        if is_open and trip.local_day == last_days[monday]:
            due_ms[monday] = end_ms + DIGEST_GRACE_MS
    return due_ms


async def _part(vehicle_id: str, month: Period, driven: Totals | None, trips: Sequence[Trip]) -> PartOfVehicle | None:
    """What the vehicle adds to the fleet's totals, by the brand and model that it had last."""
    name = fleet_totals.month_of(month.first_day)
    for trip in reversed(trips):
        if driven and trip.brand and trip.model and month.first_day <= trip.local_day < month.next_first_day:
            return PartOfVehicle(vehicle_id, name, (trip.brand, trip.model), driven)
    stored = await fleet_store.part(vehicle_id, name)
    return None if stored is None else replace(stored, totals=driven)


# --- Digests


async def tell_digests(shard: str, now_ms: int) -> bool:
    """Has digests told that are due, and those that an earlier run noted and did not send; returns whether more are.

    Raises `Unavailable`.
    """
    due = await store.due_digests(shard, now_ms, DIGESTS_AT_ONCE)
    await store.tell(await _all(due, lambda digest: _with_message(digest, now_ms)))
    await store.flush(shard)
    return len(due) == DIGESTS_AT_ONCE


async def _with_message(digest: DueDigest, now_ms: int) -> DueDigest:
    known = await store.known(digest.vehicle_id, digest.monday, digest.monday + timedelta(days=1))
    driven = known.totals.get(Period(digest.monday, "week"))
    if driven is None or digest.monday in known.told_mondays:
        return digest
    event = rollup_messages.weekly_digest_ready(digest.vehicle_id, digest.monday, driven, now_ms)
    return replace(digest, message=Outgoing(DOMAIN_EVENTS, event))


async def _all(items: Sequence[_Item], work: Callable[[_Item], Awaitable[_Result]]) -> list[_Result]:
    """What becomes of each, some at a time."""
    turn = asyncio.Semaphore(CONCURRENT_READS)

    async def in_turn(item: _Item) -> _Result:
        async with turn:
            return await work(item)

    return list(await asyncio.gather(*map(in_turn, items)))
