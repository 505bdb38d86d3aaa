"""What a part of a trip amounts to so far: everything that its summary is made of, in a few hundred bytes.

Rates (speed, power, fuel) are integrated by the trapezoid rule between the samples that have them; a sample without
is bridged, a silence is not. Parts that follow each other add up.
"""

from copy import copy
from operator import sub
from typing import Any

import msgspec

from functions.trips.driving import EVENT_MS, RURAL_KMH, SHORTEST_MS, URBAN_KMH, Harshness, Pace, accelerations
from functions.trips.rates import Rate, rate
from functions.trips.route import Route
from functions.trips.samples import Run

IDLE_BELOW_KMH = 1.0
REFUELLED_PCT = 5.0  # a level that rises by less has only stopped to slosh

HOUR_MS = 3_600_000


class Edge(msgspec.Struct, array_like=True):
    """The latest value of each rate, and when it was measured: from here the next sample integrates."""

    speed_ms: int = 0
    speed_kmh: float | None = None
    pace: Pace | None = None
    power_ms: int = 0
    power_kw: float | None = None
    fuel_ms: int = 0
    fuel_l_h: float | None = None


class Measures(msgspec.Struct, array_like=True):
    """Sums, extremes and ends. Integrals are doubled and per millisecond, as the trapezoid rule makes them."""

    samples: int = 0
    edge: Edge = msgspec.field(default_factory=Edge)
    has_speed: bool = False
    has_power: bool = False
    has_fuel: bool = False
    way: float = 0.0  # by speed, km/h·ms
    urban: float = 0.0
    rural: float = 0.0
    motorway: float = 0.0
    motorway_ms: int = 0
    idle_ms: int = 0
    max_kmh: float | None = None
    drawn: float = 0.0  # kW·ms
    recuperated: float = 0.0
    power_ms: int = 0  # how long power and fuel rate were known
    fuel: float = 0.0  # l/h·ms
    fuel_ms: int = 0
    odo_first_km: float | None = None
    odo_last_km: float | None = None
    odo_falls: bool = False
    odo_is_fine: bool = False  # it tells parts of a kilometre
    odo_covers: bool = False  # the first sample has one; the last one is in `odo_at_end`
    odo_at_end: bool = False
    soc_first_pct: float | None = None
    soc_last_pct: float | None = None
    fuel_first_pct: float | None = None
    fuel_last_pct: float | None = None
    fuel_lowest_pct: float = 100.0
    is_refuelled: bool = False
    temp_sum: float = 0.0
    temp_count: int = 0
    brakings: int = 0
    accelerations: int = 0
    cornerings: int = 0
    harsh_braking_ms: int = 0  # latest event of each kind
    harsh_acceleration_ms: int = 0
    harsh_cornering_ms: int = 0
    silent_ms: int = 0  # bridged silences, all and the longest
    longest_silence_ms: int = 0
    missing: int = 0  # messages that never came
    across_m: float = 0.0  # the straight line over them
    route: Route = msgspec.field(default_factory=Route)
    dropped: dict[str, int] = {}

    def fork(self) -> "Measures":
        """Measures of what follows, from the same edge on."""
        return Measures(
            edge=copy(self.edge),
            harsh_braking_ms=self.harsh_braking_ms,
            harsh_acceleration_ms=self.harsh_acceleration_ms,
            harsh_cornering_ms=self.harsh_cornering_ms,
        )

    def extend(
        self, run: Run, first: int, beyond: int, silence_ms: int, harshness: Harshness, *, follows: bool = True
    ) -> None:
        """Goes on with these samples of a run; their positions are left out unless it `follows` the vehicle."""
        if first == beyond:
            return
        self.samples += beyond - first
        piece, edge = (first, beyond, silence_ms), self.edge
        if run.speed_kmh and (speed := rate(run, run.speed_kmh, *piece, edge.speed_ms, edge.speed_kmh)):
            self._drive(speed, harshness)
        if run.power_kw and (power := rate(run, run.power_kw, *piece, edge.power_ms, edge.power_kw)):
            self._draw(power)
        if run.fuel_l_h and (fuel := rate(run, run.fuel_l_h, *piece, edge.fuel_ms, edge.fuel_l_h)):
            self._burn(fuel)
        self._read(run, first, beyond)
        if run.lateral_ms2:
            self._corner(run, first, beyond, harshness.cornering)
        if follows and run.lat:
            self.route.follow(run, first, beyond)

    def _read(self, run: Run, first: int, beyond: int) -> None:
        """What instruments show, of which the first and the last value count."""
        if run.odo_km:
            self._count_kilometres(run, first, beyond)
        else:
            self.odo_at_end = False
        if run.soc_pct and (ends := _ends(run, run.soc_pct, first, beyond)):
            if self.soc_first_pct is None:
                self.soc_first_pct = ends[0]
            self.soc_last_pct = ends[1]
        if run.fuel_pct and (ends := _ends(run, run.fuel_pct, first, beyond)):
            if self.fuel_first_pct is None:
                self.fuel_first_pct = self.fuel_lowest_pct = ends[0]
            self._refuel(*ends)
            self.fuel_last_pct = ends[1]
        if run.temp_c and (ends := _ends(run, run.temp_c, first, beyond)):
            self.temp_sum += ends[1]
            self.temp_count += 1

    def _refuel(self, *levels_pct: float) -> None:
        for level_pct in levels_pct:
            self.is_refuelled = self.is_refuelled or level_pct - self.fuel_lowest_pct >= REFUELLED_PCT
            self.fuel_lowest_pct = min(self.fuel_lowest_pct, level_pct)

    def _count_kilometres(self, run: Run, first: int, beyond: int) -> None:
        values = run.odo_km[first:beyond]
        is_first = self.samples == beyond - first
        self.odo_covers = values[0] is not None if is_first else self.odo_covers
        self.odo_at_end = values[-1] is not None
        if not run.whole:
            values = [value for value in values if value is not None]
            if not values:
                return
        if self.odo_first_km is None:
            self.odo_first_km = values[0]
        elif self.odo_last_km is not None and values[0] < self.odo_last_km:
            self.odo_falls = True
        self.odo_last_km = values[-1]
        self.odo_is_fine = self.odo_is_fine or values[0] % 1 != 0 or values[-1] % 1 != 0
        if values != sorted(values):
            self.odo_falls = True

    def _drive(self, speed: Rate, harshness: Harshness) -> None:
        edge, values = self.edge, speed.values
        self.has_speed = True
        lowest, highest = min(values), max(values)  # the one before, if it counts, is in `max_kmh` already
        if self.max_kmh is None or highest > self.max_kmh:
            self.max_kmh = highest
        edge.speed_ms, edge.speed_kmh = speed.t[-1], values[-1]
        if highest <= URBAN_KMH:
            way = speed.area()
            self.urban += way
        elif lowest > RURAL_KMH:
            way = speed.area()
            self.motorway += way
            self.motorway_ms += speed.measured_ms()
        else:
            way = self._share(speed)
        self.way += way
        if lowest < IDLE_BELOW_KMH:
            self.idle_ms += speed.below_ms(IDLE_BELOW_KMH)
        self._hurry(speed, highest - lowest, harshness)

    def _share(self, speed: Rate) -> float:
        """The road between two samples belongs to the class of their mean speed."""
        urban, rural, motorway = 0.0, 0.0, 0.0
        for way, step, a, b in zip(speed.areas(), speed.steps, speed.values, speed.values[1:], strict=False):
            mean_kmh = (a + b) / 2
            if mean_kmh <= URBAN_KMH:
                urban += way
            elif mean_kmh <= RURAL_KMH:
                rural += way
            else:
                motorway += way
                self.motorway_ms += step if way else 0
        self.urban += urban
        self.rural += rural
        self.motorway += motorway
        return urban + rural + motorway

    def _hurry(self, speed: Rate, spread_kmh: float, harshness: Harshness) -> None:
        """Counts harsh braking and acceleration; most samples show by simple bounds that there was none."""
        edge = self.edge
        least_kmh = min(harshness.braking, harshness.acceleration) * 0.0036 * SHORTEST_MS
        if speed.step_ms >= SHORTEST_MS and edge.pace is not None:
            is_calm = spread_kmh + abs(speed.values[0] - edge.pace.kmh) < least_kmh
            if not is_calm and speed.values[0] == edge.pace.kmh:
                changes = list(map(sub, speed.values[1:], speed.values))
                is_calm = bool(changes) and max(changes) < least_kmh and min(changes) > -least_kmh
            if is_calm:
                edge.pace = speed.latest_pace(edge.pace)
                return
        found, edge.pace = accelerations(speed.t, speed.values[-len(speed.t) :], edge.pace)
        for moment_ms, ms2 in found:
            if ms2 <= -harshness.braking:
                self.brakings += moment_ms - self.harsh_braking_ms > EVENT_MS
                self.harsh_braking_ms = moment_ms
            elif ms2 >= harshness.acceleration:
                self.accelerations += moment_ms - self.harsh_acceleration_ms > EVENT_MS
                self.harsh_acceleration_ms = moment_ms

    def _corner(self, run: Run, first: int, beyond: int, limit_ms2: float) -> None:
        values = run.lateral_ms2[first:beyond]
        if run.whole and max(values) < limit_ms2 and min(values) > -limit_ms2:
            return
        for moment_ms, value in zip(run.t[first:beyond], values, strict=True):
            if value is not None and abs(value) >= limit_ms2:
                self.cornerings += moment_ms - self.harsh_cornering_ms > EVENT_MS
                self.harsh_cornering_ms = moment_ms

    def _draw(self, power: Rate) -> None:
        self.has_power = True
        self.edge.power_ms, self.edge.power_kw = power.t[-1], power.values[-1]
        self.power_ms += power.measured_ms()
        if min(power.values) >= 0.0:
            self.drawn += power.area()
            return
        areas = power.areas()
        total, amount = sum(areas), sum(map(abs, areas))
        self.drawn += (amount + total) / 2
        self.recuperated += (amount - total) / 2

    def _burn(self, fuel: Rate) -> None:
        self.has_fuel = self.has_fuel or len(fuel.values) > 1
        self.edge.fuel_ms, self.edge.fuel_l_h = fuel.t[-1], fuel.values[-1]
        self.fuel_ms += fuel.measured_ms()
        self.fuel += fuel.area()

    def join(self, later: "Measures") -> None:
        """Goes on with measures that were forked from these."""
        if later.samples:
            self._join_instruments(later)
            for name in _FLAGS:
                setattr(self, name, getattr(self, name) or getattr(later, name))
            for name in _SUMS:
                setattr(self, name, getattr(self, name) + getattr(later, name))
            for name in _LATEST:
                setattr(self, name, max(getattr(self, name), getattr(later, name)))
            if later.max_kmh is not None:
                self.max_kmh = later.max_kmh if self.max_kmh is None else max(self.max_kmh, later.max_kmh)
            self.edge = later.edge
            self.route.join(later.route)
        self.drop(later.dropped)

    def _join_instruments(self, later: "Measures") -> None:
        if not self.samples:
            self.odo_covers = later.odo_covers
        self.odo_at_end = later.odo_at_end
        if later.odo_first_km is not None and self.odo_last_km is not None and later.odo_first_km < self.odo_last_km:
            self.odo_falls = True
        if later.fuel_last_pct is not None and self.fuel_last_pct is not None:
            self._refuel(later.fuel_lowest_pct, later.fuel_last_pct)
        self.fuel_lowest_pct = min(self.fuel_lowest_pct, later.fuel_lowest_pct)
        for first, last in _INSTRUMENTS:
            if getattr(self, first) is None:
                setattr(self, first, getattr(later, first))
            if getattr(later, last) is not None:
                setattr(self, last, getattr(later, last))

    def bridge(self, silence_ms: int, way_m: float) -> None:
        """Goes on behind a silence in which the vehicle was on its way."""
        self.silent_ms += silence_ms
        self.longest_silence_ms = max(self.longest_silence_ms, silence_ms)
        self.across_m += way_m

    def drop(self, counts: dict[str, int]) -> None:
        """Counts samples that could not be used."""
        if counts:
            self.dropped = {
                reason: self.dropped.get(reason, 0) + counts.get(reason, 0)
                for reason in sorted({*self.dropped, *counts})
            }


_INSTRUMENTS = (
    ("odo_first_km", "odo_last_km"),
    ("soc_first_pct", "soc_last_pct"),
    ("fuel_first_pct", "fuel_last_pct"),
)
_FLAGS = ("has_speed", "has_power", "has_fuel", "odo_falls", "odo_is_fine", "is_refuelled")
_SUMS = (
    "samples",
    "way",
    "urban",
    "rural",
    "motorway",
    "motorway_ms",
    "idle_ms",
    "drawn",
    "recuperated",
    "power_ms",
    "fuel",
    "fuel_ms",
    "temp_sum",
    "temp_count",
    "brakings",
    "accelerations",
    "cornerings",
    "silent_ms",
    "across_m",
    "missing",
)
_LATEST = ("harsh_braking_ms", "harsh_acceleration_ms", "harsh_cornering_ms", "longest_silence_ms")


def _ends(run: Run, column: list[Any], first: int, beyond: int) -> tuple[float, float] | None:
    """The first and the last value, if there is one."""
    if run.whole:
        return column[first], column[beyond - 1]
    values = [value for value in column[first:beyond] if value is not None]
    return (values[0], values[-1]) if values else None
