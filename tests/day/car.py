"""A car that really drives, and what its instruments tell of it.

What is not measured cannot be summed up: where a car is without a position its road is straight, so that the way from
the last position to the next is the way that it drove.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from random import Random
from typing import Any, Final

from localcloud.fleet.powertrain import Combustion, Electric
from localcloud.fleet.road import Road
from localcloud.fleet.telemetry import Sample
from tests.day.speeds import Speeds, distances_km

CHARGE_REPORT_S: Final = 60
_FIX_ERROR_M: Final = 2.5
_FIX_ERROR_LASTS_S: Final = 100.0
_DEGREES_PER_M: Final = 1 / 111_195


@dataclass(frozen=True, slots=True)
class Instruments:
    """What a car measures beside its position, and how often while it is switched on."""

    every_s: int
    odometer_step_km: float | None  # None: there is none
    has_speed: bool
    has_ignition: bool
    has_gear: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a drive, in seconds from its start, both ends included."""

    first_s: int
    last_s: int

    def covers(self, second: int) -> bool:
        return self.first_s <= second <= self.last_s


NOWHERE: Final = Stretch(-1, -1)


@dataclass(frozen=True, slots=True)
class Course:
    """A drive before it is driven."""

    speeds: Speeds
    dark: Stretch = NOWHERE  # no position
    silent: Stretch = NOWHERE  # nothing is measured at all
    flicker: Stretch = NOWHERE  # the ignition seems to be off

    @property
    def duration_s(self) -> int:
        return len(self.speeds) - 1


class Car:
    """Place, odometer and powertrain go on from drive to drive."""

    def __init__(self, instruments: Instruments, powertrain: Electric | Combustion, random: Random) -> None:
        self.instruments = instruments
        self.powertrain = powertrain
        self._random = random
        self._road = Road(random.uniform(36, 60), random.uniform(-9, 25), random.getrandbits(32))
        self._straight_on = (0.0, 0.0)  # degrees of latitude and longitude per km
        self._fix_error_m = (0.0, 0.0)
        self._odometer_km = random.uniform(10, 150_000)

    def drive(self, course: Course, departs_ms: int) -> list[Sample]:
        """At the last sample the car is switched off."""
        covered_km, samples = distances_km(course.speeds), list[Sample]()
        for before_s, second in pairwise(self._moments(course)):
            way_km, duration_s = covered_km[second] - covered_km[before_s], second - before_s
            unseen = any(
                place.covers(moment) for place in (course.dark, course.silent) for moment in (before_s, second)
            )
            self._advance(way_km, straight=unseen)
            self._odometer_km += way_km
            gain_kmh = course.speeds[second] - course.speeds[before_s]
            reading = self.powertrain.drive(
                way_km * 1000 / (duration_s or 1), gain_kmh / 3.6 / (duration_s or 1), duration_s
            )
            if course.silent.covers(second):
                continue
            is_last = second == course.duration_s
            samples.append(
                Sample(
                    t=departs_ms + second * 1000,
                    **({} if course.dark.covers(second) else self._fix(duration_s)),
                    **self._motion(course.speeds[second]),
                    **self._switches(
                        on=not is_last and not course.flicker.covers(second), gear="P" if is_last else "D"
                    ),
                    **asdict(reading),
                )
            )
        return samples

    def charge(self, from_ms: int, until_ms: int, to_pct: float) -> list[Sample]:
        """What an electric car tells while it stands at a charger. One that cannot say that it is off says nothing."""
        assert isinstance(self.powertrain, Electric)
        begin_pct = self.powertrain.soc_pct
        self.powertrain.soc_pct = to_pct
        if not self.instruments.has_ignition:
            return []
        return [
            Sample(
                t=moment_ms,
                **self._fix(CHARGE_REPORT_S),
                **self._motion(0.0),
                **self._switches(on=False, gear="P"),
                charging=True,
                soc_pct=round(begin_pct + (to_pct - begin_pct) * (moment_ms - from_ms) / (until_ms - from_ms), 2),
            )
            for moment_ms in range(from_ms, until_ms, CHARGE_REPORT_S * 1000)
        ]

    def _moments(self, course: Course) -> Iterator[int]:
        """The first twice, so that the pairs begin with a way of no length."""
        yield 0
        yield from range(0, course.duration_s, self.instruments.every_s)
        yield course.duration_s

    def _advance(self, way_km: float, *, straight: bool) -> None:
        lat, lon = self._road.lat, self._road.lon
        if straight:
            self._road.lat += self._straight_on[0] * way_km
            self._road.lon += self._straight_on[1] * way_km
        elif way_km > 0:
            self._road.advance(way_km)
            self._straight_on = ((self._road.lat - lat) / way_km, (self._road.lon - lon) / way_km)

    def _fix(self, age_s: float) -> dict[str, Any]:
        """A receiver's error wanders slowly."""
        kept = math.exp(-age_s / _FIX_ERROR_LASTS_S)
        fresh_m = _FIX_ERROR_M * math.sqrt(1 - kept**2)
        north_m, east_m = (error_m * kept + self._random.gauss(0, fresh_m) for error_m in self._fix_error_m)
        self._fix_error_m = (north_m, east_m)
        return {
            "lat": round(self._road.lat + north_m * _DEGREES_PER_M, 6),
            "lon": round(self._road.lon + east_m * _DEGREES_PER_M / math.cos(math.radians(self._road.lat)), 6),
            "alt_m": round(self._road.altitude_m, 1),
        }

    def _motion(self, speed_kmh: float) -> dict[str, Any]:
        told, step_km = dict[str, Any](), self.instruments.odometer_step_km
        if self.instruments.has_speed:
            told["speed_kmh"] = round(speed_kmh, 2)
        if step_km is not None:
            told["odo_km"] = round(self._odometer_km // step_km * step_km, 3)
        return told

    def _switches(self, *, on: bool, gear: str) -> dict[str, Any]:
        told = dict[str, Any]()
        if self.instruments.has_ignition:
            told["ignition"] = on
        if self.instruments.has_gear:
            told["gear"] = gear
        return told
