"""What a part of a trip amounts to so far: everything that its summary is made of, in a few hundred bytes.

Rates (speed, power, fuel) are integrated by the trapezoid rule between the samples that have them; a sample without
is bridged, a silence is not. Parts that follow each other add up.
"""

from collections.abc import Sequence
from copy import copy
from itertools import pairwise
from operator import add, mul, sub
from typing import Any

import msgspec

from functions.trips.driving import EVENT_MS, RURAL_KMH, SHORTEST_MS, URBAN_KMH, Harshness, Pace, accelerations
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
    fuel: float = 0.0  # l/h·ms
    odo_first_km: float | None = None
    odo_last_km: float | None = None
    odo_falls: bool = False
    odo_covers: bool = False  # the first sample has one; the last one is in `odo_at_end`
    odo_at_end: bool = False
    soc_first_pct: float | None = None
    soc_last_pct: float | None = None
    fuel_first_pct: float | None = None
    fuel_last_pct: float | None = None
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
        return Measures(edge=copy(self.edge))

    def extend(
        self, run: Run, first: int, beyond: int, silence_ms: int, harshness: Harshness, *, follows: bool = True
    ) -> None:
        """Goes on with these samples of a run; their positions are left out unless it `follows` the vehicle."""
        if first == beyond:
            return
        self.samples += beyond - first
        if run.speed_kmh and (rate := _rate(run, run.speed_kmh, first, beyond, silence_ms)):
            self._drive(rate, harshness)
        if run.power_kw and (rate := _rate(run, run.power_kw, first, beyond, silence_ms)):
            self._draw(rate)
        if run.fuel_l_h and (rate := _rate(run, run.fuel_l_h, first, beyond, silence_ms)):
            self._burn(rate)
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
                self.fuel_first_pct = ends[0]
            elif self.fuel_last_pct is not None and ends[0] - self.fuel_last_pct >= REFUELLED_PCT:
                self.is_refuelled = True
            self.is_refuelled = self.is_refuelled or ends[1] - ends[0] >= REFUELLED_PCT
            self.fuel_last_pct = ends[1]
        if run.temp_c and (ends := _ends(run, run.temp_c, first, beyond)):
            self.temp_sum += ends[1]
            self.temp_count += 1

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
        if values[0] != values[-1] and values != sorted(values):
            self.odo_falls = True

    def _drive(self, rate: "_Rate", harshness: Harshness) -> None:
        edge, values = self.edge, rate.values
        self.has_speed = True
        last = values[-1]
        lowest, highest = min(values), max(values)
        if self.max_kmh is None or highest > self.max_kmh:
            self.max_kmh = highest
        rate = rate.following(edge.speed_ms, edge.speed_kmh)
        if edge.speed_kmh is not None and rate.values is not values:
            lowest, highest = min(lowest, edge.speed_kmh), max(highest, edge.speed_kmh)
        edge.speed_ms, edge.speed_kmh = rate.last_ms, last
        if highest <= URBAN_KMH:
            way = rate.area()
            self.urban += way
        elif lowest > RURAL_KMH:
            way = rate.area()
            self.motorway += way
            self.motorway_ms += rate.measured_ms()
        else:
            way = self._share(rate)
        self.way += way
        if lowest < IDLE_BELOW_KMH:
            self.idle_ms += rate.below_ms(IDLE_BELOW_KMH)
        self._hurry(rate, highest - lowest, harshness)

    def _share(self, rate: "_Rate") -> float:
        """The road between two samples belongs to the class of their mean speed."""
        urban, rural, motorway = 0.0, 0.0, 0.0
        for way, step, a, b in zip(rate.areas(), rate.steps, rate.values, rate.values[1:], strict=False):
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

    def _hurry(self, rate: "_Rate", spread_kmh: float, harshness: Harshness) -> None:
        """Counts harsh braking and acceleration; most samples show by simple bounds that there was none."""
        edge = self.edge
        least_kmh = min(harshness.braking, harshness.acceleration) * 0.0036 * SHORTEST_MS
        if rate.step_ms >= SHORTEST_MS and edge.pace is not None:
            is_calm = spread_kmh < least_kmh and abs(rate.values[0] - edge.pace.kmh) < least_kmh
            if not is_calm:
                changes = list(map(sub, rate.values[1:], rate.values))
                is_calm = bool(changes) and max(changes) < least_kmh and min(changes) > -least_kmh
            if is_calm:
                edge.pace = rate.latest_pace(edge.pace)
                return
        found, edge.pace = accelerations(rate.t, rate.values[-len(rate.t) :], edge.pace)
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

    def _draw(self, rate: "_Rate") -> None:
        edge, last = self.edge, rate.values[-1]
        self.has_power = True
        rate = rate.following(edge.power_ms, edge.power_kw)
        edge.power_ms, edge.power_kw = rate.last_ms, last
        if min(rate.values) >= 0.0:
            self.drawn += rate.area()
            return
        areas = rate.areas()
        total, amount = sum(areas), sum(map(abs, areas))
        self.drawn += (amount + total) / 2
        self.recuperated += (amount - total) / 2

    def _burn(self, rate: "_Rate") -> None:
        edge, last = self.edge, rate.values[-1]
        rate = rate.following(edge.fuel_ms, edge.fuel_l_h)
        edge.fuel_ms, edge.fuel_l_h = rate.last_ms, last
        self.has_fuel = self.has_fuel or len(rate.values) > 1
        self.fuel += rate.area()

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
        for first, last in _INSTRUMENTS:
            if getattr(self, first) is None:
                setattr(self, first, getattr(later, first))
            if getattr(later, last) is not None:
                setattr(self, last, getattr(later, last))

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
_FLAGS = ("has_speed", "has_power", "has_fuel", "odo_falls", "is_refuelled")
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
    "fuel",
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


class _Rate:
    """Values of a rate, and the steps between them in milliseconds. Nothing was measured in a silence."""

    __slots__ = ("silence_ms", "step_ms", "steps", "t", "values")

    def __init__(self, t: list[int], steps: list[int], step_ms: int, values: list[float], silence_ms: int) -> None:
        self.t, self.steps, self.values = t, steps, values
        self.step_ms = step_ms  # of all steps, shorter than a silence; or 0
        self.silence_ms = silence_ms

    @property
    def last_ms(self) -> int:
        return self.t[-1]

    def following(self, edge_ms: int, edge: float | None) -> "_Rate":
        """With the value before, unless a silence lies between."""
        step_ms = self.t[0] - edge_ms
        if edge is None or step_ms >= self.silence_ms:
            return self
        is_even = step_ms == self.step_ms or len(self.values) == 1
        return _Rate(self.t, [step_ms, *self.steps], step_ms if is_even else 0, [edge, *self.values], self.silence_ms)

    def area(self) -> float:
        """Twice the area by the trapezoid rule."""
        values = self.values
        if self.step_ms:
            return self.step_ms * (2 * sum(values) - values[0] - values[-1])
        return sum(self.areas())

    def areas(self) -> list[float]:
        """The same of each step."""
        steps, values = self.steps, self.values
        if not self.step_ms and steps and max(steps) >= self.silence_ms:
            steps = [step if step < self.silence_ms else 0 for step in steps]
        return list(map(mul, steps, map(add, values, values[1:])))

    def measured_ms(self) -> int:
        """The time without silences."""
        return sum(step for step in self.steps if step < self.silence_ms)

    def below_ms(self, limit: float) -> int:
        """How long the value was below: it holds until the next one."""
        steps = zip(self.steps, self.values, strict=False)
        return sum(step for step, value in steps if value < limit and step < self.silence_ms)

    def latest_pace(self, before: Pace) -> Pace:
        """The latest value, and since when it was reported; for steps that are long enough to be compared."""
        values, t = self.values[-len(self.t) :], self.t
        index = len(values) - 1
        while index > 0 and values[index - 1] == values[index]:
            index -= 1
        return before if index == 0 and values[0] == before.kmh else Pace(values[index], t[index])


def _rate(run: Run, column: list[Any], first: int, beyond: int, silence_ms: int) -> _Rate | None:
    """The samples that have a value, if there are any."""
    t, values = run.t[first:beyond], column[first:beyond]
    if run.whole or None not in values:
        step_ms = run.step_ms if run.step_ms < silence_ms else 0
        return _Rate(t, run.steps[first : beyond - 1], step_ms, values, silence_ms)
    known = [(moment_ms, value) for moment_ms, value in zip(t, values, strict=True) if value is not None]
    if not known:
        return None
    t = [moment_ms for moment_ms, _ in known]
    return _Rate(t, [b - a for a, b in pairwise(t)], 0, [value for _, value in known], silence_ms)


def _ends(run: Run, column: list[Any], first: int, beyond: int) -> tuple[float, float] | None:
    """The first and the last value, if there is one."""
    values: Sequence[Any] = column[first:beyond]
    if not run.whole:
        values = [value for value in values if value is not None]
    return (values[0], values[-1]) if values else None
