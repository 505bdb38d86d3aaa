"""The three memories of Volkswagen's trip computer, from the rows of a vehicle's trips: pure.

- *Short-term* ("since start"): what was driven since the last start, trips that follow within two hours included; a
  longer stop clears it.
- *Cyclic* ("since refuelling", in an electric car "since charging"): what was driven since the last of these.
- *Long-term*: what was driven since the driver's reset, up to 99 hours and 59 minutes of driving or 9,999 km; at
  either limit the car clears it and starts over.

So say the manuals of the group, such as that of the Škoda Octavia of 2012, page 25
(https://www.autoguidegalaxy.com/2012-skoda-octavia-owner-s-manual/4); older cars stop at 19:59 hours or 1,999.9 km. The
figures are those of the group's portal: https://github.com/robinostlund/volkswagencarnet/issues/271 shows them.

A plug-in hybrid has one cyclic memory too, and it follows the tank: a reading of such a car spans 1,454 km at 12
kWh/100 km, which no charge lasts. A trip is never torn apart: the one that passes a limit is the last one before the
memory starts over.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from functions.trips.rollup import DRIVEN, Trip

SHORT_TERM_STOP_MS = 2 * 3_600_000
LONG_TERM_KM = 9_999.0
LONG_TERM_S = 99 * 3600.0 + 59 * 60.0
# Cars find "one or two percent of fuel somewhere": https://github.com/tillsteinbach/VWsFriend (refuel_agent.py), whose
# margin this is.
REFUELLING_PCT = 5.0

Since = Literal["start", "refuelling", "charging", "reset", "limit", "records"]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What was driven since something: `records` is the oldest trip that is kept.

    Each consumption has the distance of those trips that say what they consumed. Energy may be negative: downhill.
    """

    since: Since
    trips: int
    started_at_ms: int
    ended_at_ms: int
    start_mileage_km: float | None  # of the odometer
    mileage_km: float
    travel_time_s: float
    energy_kwh: float = 0.0
    energy_km: float = 0.0
    recuperated_kwh: float = 0.0
    recuperation_km: float = 0.0
    fuel_l: float = 0.0
    fuel_km: float = 0.0

    @property
    def average_speed_kmh(self) -> float | None:
        """Over the travel time, stops included, as in the car."""
        return round(3600 * self.mileage_km / self.travel_time_s, 1) if self.travel_time_s > 0 else None

    @property
    def average_electric_consumption_kwh_100km(self) -> float | None:
        return _per_100_km(self.energy_kwh, self.energy_km)

    @property
    def average_recuperation_kwh_100km(self) -> float | None:
        return _per_100_km(self.recuperated_kwh, self.recuperation_km)

    @property
    def average_fuel_consumption_l_100km(self) -> float | None:
        return _per_100_km(self.fuel_l, self.fuel_km)


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """Where the long-term memory begins: what it holds (`memory`) of trips that started before `from_ms`.

    Set by a reset, which holds nothing, and before old trips are removed, which go on to count: a fold over some trips
    that goes on from a fold over those before them is the fold over all of them, to the digit.
    """

    from_ms: int = 0
    since: Since = "records"
    memory: Memory | None = None
    removed_before_ms: int = 0  # trips that started before may be gone


class Memories(msgspec.Struct, frozen=True, kw_only=True):
    """None: nothing was driven since."""

    short_term: Memory | None
    cyclic: Memory | None
    long_term: Memory | None


def memories(rows: Iterable[Trip], charged_at_ms: Iterable[int], beginning: Beginning | None = None) -> Memories:
    """The memories after all trips of a vehicle, in any order, and the starts of its charging sessions."""
    trips = in_order(rows)
    return Memories(
        short_term=short_term(trips),
        cyclic=cyclic(trips, charged_at_ms),
        long_term=long_term(trips, beginning or Beginning()),
    )


def in_order(rows: Iterable[Trip]) -> list[Trip]:
    """What was driven, by start."""
    return sorted((trip for trip in rows if trip.kind == DRIVEN), key=lambda trip: trip.started_at_ms)


def short_term(trips: Sequence[Trip]) -> Memory | None:
    """Of driven trips in order, the last ones between which the vehicle stood for two hours at most."""
    first = len(trips) - 1
    while first > 0 and trips[first].started_at_ms - trips[first - 1].ended_at_ms <= SHORT_TERM_STOP_MS:
        first -= 1
    return _all_of(trips[max(first, 0) :], "start")


def cyclic(trips: Sequence[Trip], charged_at_ms: Iterable[int]) -> Memory | None:
    """Of driven trips in order, those since the tank was filled; without a tank, since the battery was charged."""
    since: Since
    if any(_levels(trip) for trip in trips):
        since, began_ms = "refuelling", _refuelled_at_ms(trips)
    else:
        since, began_ms = "charging", max(charged_at_ms, default=None)
    if began_ms is None:
        return _all_of(trips, "records")
    return _all_of([trip for trip in trips if trip.started_at_ms >= began_ms], since)


def long_term(trips: Iterable[Trip], beginning: Beginning) -> Memory | None:
    """Of driven trips in order, those since the beginning, or since a limit was reached after it."""
    memory, since = beginning.memory, beginning.since
    for trip in trips:
        if trip.started_at_ms < beginning.from_ms:
            continue
        if memory is not None and (memory.mileage_km >= LONG_TERM_KM or memory.travel_time_s >= LONG_TERM_S):
            memory, since = None, "limit"
        memory = _with(memory, trip, since)
    return memory


def carried_forward(trips: Iterable[Trip], beginning: Beginning, before_ms: int) -> Beginning:
    """The beginning that holds all trips before `before_ms`, so that these can be removed."""
    removed_before_ms = max(before_ms, beginning.removed_before_ms)
    if before_ms <= beginning.from_ms:
        return msgspec.structs.replace(beginning, removed_before_ms=removed_before_ms)
    before = [trip for trip in in_order(trips) if trip.started_at_ms < before_ms]
    return Beginning(
        from_ms=before_ms,
        since=beginning.since,
        memory=long_term(before, beginning),
        removed_before_ms=removed_before_ms,
    )


def _refuelled_at_ms(trips: Sequence[Trip]) -> int | None:
    """The start of the first trip after the tank was filled last."""
    refuelled_at_ms, level_pct = None, 100.0
    for trip in trips:
        if trip.fuel_start_pct is not None and trip.fuel_start_pct - level_pct >= REFUELLING_PCT:
            refuelled_at_ms = trip.started_at_ms
        level_pct = next(reversed(_levels(trip)), level_pct)
    return refuelled_at_ms


def _levels(trip: Trip) -> list[float]:
    return [level for level in (trip.fuel_start_pct, trip.fuel_end_pct) if level is not None]


def _all_of(trips: Sequence[Trip], since: Since) -> Memory | None:
    memory = None
    for trip in trips:
        memory = _with(memory, trip, since)
    return memory


def _with(memory: Memory | None, trip: Trip, since: Since) -> Memory:
    if memory is None:
        memory = Memory(
            since=since,
            trips=0,
            started_at_ms=trip.started_at_ms,
            ended_at_ms=trip.ended_at_ms,
            start_mileage_km=trip.odo_start_km,
            mileage_km=0.0,
            travel_time_s=0.0,
        )
    energy_km = 0.0 if trip.energy_kwh is None else trip.distance_km
    recuperation_km = 0.0 if trip.recuperated_kwh is None else trip.distance_km
    fuel_km = 0.0 if trip.fuel_l is None else trip.distance_km
    return msgspec.structs.replace(
        memory,
        trips=memory.trips + 1,
        ended_at_ms=trip.ended_at_ms,
        mileage_km=memory.mileage_km + trip.distance_km,
        travel_time_s=memory.travel_time_s + trip.duration_s,
        energy_kwh=memory.energy_kwh + (trip.energy_kwh or 0.0),
        energy_km=memory.energy_km + energy_km,
        recuperated_kwh=memory.recuperated_kwh + (trip.recuperated_kwh or 0.0),
        recuperation_km=memory.recuperation_km + recuperation_km,
        fuel_l=memory.fuel_l + (trip.fuel_l or 0.0),
        fuel_km=memory.fuel_km + fuel_km,
    )


def _per_100_km(amount: float, km: float) -> float | None:
    return round(100 * amount / km, 1) if km > 0 else None
