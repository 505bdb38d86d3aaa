"""What a part of a trip amounts to so far: everything that its summary is made of, in a few hundred bytes.

Rates (speed, power, fuel) are integrated by the trapezoid rule between the samples that have them; a sample without
is bridged, a silence is not. Parts that follow each other add up.
"""

from collections.abc import Sequence
from itertools import pairwise
from operator import add, mul, sub
from typing import Any, NamedTuple

import msgspec

from functions.trips.route import Route
from functions.trips.samples import Run

IDLE_BELOW_KMH = 1.0
# Shares of the road by speed as emission law cuts them: Regulation (EU) 2017/1151, annex IIIA, 6.3 to 6.5.
URBAN_KMH = 60.0
RURAL_KMH = 90.0
_EVENT_MS = 3000  # of harsh driving that follow each other more closely it is one event

HOUR_MS = 3_600_000


class Harshness(NamedTuple):
    """From which acceleration on driving is harsh, in m/s²."""

    braking: float
    acceleration: float
    cornering: float


class Edge(msgspec.Struct, array_like=True):
    """The latest value of each rate, and when it was measured: from here the next sample integrates."""

    speed_ms: int = 0
    speed_kmh: float | None = None
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
    temp_sum: float = 0.0
    temp_count: int = 0
    brakings: int = 0
    accelerations: int = 0
    cornerings: int = 0
    harsh_ms: int = 0  # latest event of each kind
    harsh_acceleration_ms: int = 0
    harsh_cornering_ms: int = 0
    silent_ms: int = 0  # bridged silences, all and the longest
    longest_silence_ms: int = 0
    across_m: float = 0.0  # the straight line over them
    route: Route = msgspec.field(default_factory=Route)
    dropped: dict[str, int] = {}

    def fork(self) -> "Measures":
        """Measures of what follows, from the same edge on."""
        edge = self.edge
        return Measures(
            edge=Edge(edge.speed_ms, edge.speed_kmh, edge.power_ms, edge.power_kw, edge.fuel_ms, edge.fuel_l_h)
        )

    def extend(
        self, run: Run, first: int, beyond: int, silence_ms: int, harshness: Harshness, *, follows: bool = True
    ) -> None:
        """Goes on with these samples of a run; their positions are left out unless it `follows` the vehicle."""
        if first == beyond:
            return
        self.samples += beyond - first
        if run.speed_kmh:
            self._drive(*_rate(run, run.speed_kmh, first, beyond), silence_ms, harshness)
        if run.power_kw:
            self._draw(*_rate(run, run.power_kw, first, beyond), silence_ms)
        if run.fuel_l_h:
            self._burn(*_rate(run, run.fuel_l_h, first, beyond), silence_ms)
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

    def _drive(
        self, t: Sequence[int], steps: list[int], values: list[float], silence_ms: int, harshness: Harshness
    ) -> None:
        if not values:
            return
        edge, self.has_speed = self.edge, True
        lowest, highest = min(values), max(values)
        if self.max_kmh is None or highest > self.max_kmh:
            self.max_kmh = highest
        if edge.speed_kmh is not None and t[0] - edge.speed_ms < silence_ms:
            steps = [t[0] - edge.speed_ms, *steps]
            values = [edge.speed_kmh, *values]
            lowest, highest = min(lowest, edge.speed_kmh), max(highest, edge.speed_kmh)
        edge.speed_ms, edge.speed_kmh = t[-1], values[-1]
        if not steps:
            return
        ways = _trapezoids(steps, values, silence_ms)
        way = sum(ways)
        self.way += way
        if highest <= URBAN_KMH:
            self.urban += way
        elif lowest > RURAL_KMH:
            self.motorway += way
        elif lowest > URBAN_KMH and highest <= RURAL_KMH:
            self.rural += way
        else:
            self._share(ways, values)
        if lowest < IDLE_BELOW_KMH:
            self.idle_ms += sum(
                step for step, kmh in zip(steps, values, strict=False) if kmh < IDLE_BELOW_KMH and step < silence_ms
            )
        weakest = min(harshness.braking, harshness.acceleration) * 0.0036 * min(steps)
        if highest - lowest >= weakest:
            self._hurry(t, steps, values, silence_ms, harshness)

    def _share(self, ways: Sequence[float], values: Sequence[float]) -> None:
        """The road between two samples belongs to the class of their mean speed."""
        for way, a, b in zip(ways, values, values[1:], strict=False):
            mean_kmh = (a + b) / 2
            if mean_kmh <= URBAN_KMH:
                self.urban += way
            elif mean_kmh <= RURAL_KMH:
                self.rural += way
            else:
                self.motorway += way

    def _hurry(
        self, t: Sequence[int], steps: Sequence[int], values: Sequence[float], silence_ms: int, harshness: Harshness
    ) -> None:
        changes = list(map(sub, values[1:], values))
        shortest_ms = min(steps)
        if (
            max(changes) < harshness.acceleration * 0.0036 * shortest_ms
            and min(changes) > -harshness.braking * 0.0036 * shortest_ms
        ):
            return
        moment_ms = t[-1] - sum(steps)
        for step, change in zip(steps, changes, strict=True):
            moment_ms += step
            if not 0 < step < silence_ms:
                continue
            if change <= -harshness.braking * 0.0036 * step:
                self.brakings += moment_ms - self.harsh_ms > _EVENT_MS
                self.harsh_ms = moment_ms
            elif change >= harshness.acceleration * 0.0036 * step:
                self.accelerations += moment_ms - self.harsh_acceleration_ms > _EVENT_MS
                self.harsh_acceleration_ms = moment_ms

    def _corner(self, run: Run, first: int, beyond: int, limit_ms2: float) -> None:
        t, _, values = _rate(run, run.lateral_ms2, first, beyond)
        if not values or (max(values) < limit_ms2 and min(values) > -limit_ms2):
            return
        for moment_ms, value in zip(t, values, strict=True):
            if abs(value) >= limit_ms2:
                self.cornerings += moment_ms - self.harsh_cornering_ms > _EVENT_MS
                self.harsh_cornering_ms = moment_ms

    def _draw(self, t: Sequence[int], steps: list[int], values: list[float], silence_ms: int) -> None:
        if not values:
            return
        edge, self.has_power = self.edge, True
        if edge.power_kw is not None and t[0] - edge.power_ms < silence_ms:
            steps, values = [t[0] - edge.power_ms, *steps], [edge.power_kw, *values]
        edge.power_ms, edge.power_kw = t[-1], values[-1]
        if not steps:
            return
        areas = _trapezoids(steps, values, silence_ms)
        total = sum(areas)
        if min(values) >= 0.0:
            self.drawn += total
            return
        amount = sum(map(abs, areas))
        self.drawn += (amount + total) / 2
        self.recuperated += (amount - total) / 2

    def _burn(self, t: Sequence[int], steps: list[int], values: list[float], silence_ms: int) -> None:
        if not values:
            return
        edge = self.edge
        self.has_fuel = self.has_fuel or len(values) > 1 or edge.fuel_l_h is not None
        if edge.fuel_l_h is not None and t[0] - edge.fuel_ms < silence_ms:
            steps, values = [t[0] - edge.fuel_ms, *steps], [edge.fuel_l_h, *values]
        edge.fuel_ms, edge.fuel_l_h = t[-1], values[-1]
        if steps:
            self.fuel += sum(_trapezoids(steps, values, silence_ms))

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
_FLAGS = ("has_speed", "has_power", "has_fuel", "odo_falls")
_SUMS = (
    "samples",
    "way",
    "urban",
    "rural",
    "motorway",
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
)
_LATEST = ("harsh_ms", "harsh_acceleration_ms", "harsh_cornering_ms", "longest_silence_ms")


def _rate(run: Run, column: list[Any], first: int, beyond: int) -> tuple[list[int], list[int], list[float]]:
    """The samples that have a value: times, the steps between them, values."""
    t, values = run.t[first:beyond], column[first:beyond]
    if run.whole or None not in values:
        return t, run.steps[first : beyond - 1], values
    known = [(moment_ms, value) for moment_ms, value in zip(t, values, strict=True) if value is not None]
    t = [moment_ms for moment_ms, _ in known]
    return t, [b - a for a, b in pairwise(t)], [value for _, value in known]


def _ends(run: Run, column: list[Any], first: int, beyond: int) -> tuple[float, float] | None:
    """The first and the last value, if there is one."""
    values: Sequence[Any] = column[first:beyond]
    if not run.whole:
        values = [value for value in values if value is not None]
    return (values[0], values[-1]) if values else None


def _trapezoids(steps: Sequence[int], values: Sequence[float], silence_ms: int) -> list[float]:
    """Twice the area between each two samples; nothing was measured in a silence."""
    if max(steps) >= silence_ms:
        steps = [step if step < silence_ms else 0 for step in steps]
    return list(map(mul, steps, map(add, values, values[1:])))
