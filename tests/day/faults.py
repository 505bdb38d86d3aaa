"""What goes wrong on the way from a car's instruments to its message: single samples with impossible values."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from localcloud.fleet.telemetry import Sample

_AT_MOST: Final = 4  # faults in a drive
_IN_2000_MS: Final = 946_684_800_000
_IN_2060_MS: Final = 2_840_140_800_000
_GPS_WEEKS_MS: Final = 1024 * 7 * 86_400_000  # after which the week number of a receiver begins anew

Fault = Callable[[Sample, Random], Sample]


def _unset_clock(sample: Sample, random: Random) -> Sample:
    return replace(sample, t=_IN_2000_MS + random.randrange(86_400_000))


def _clock_ahead(sample: Sample, random: Random) -> Sample:
    return replace(sample, t=_IN_2060_MS + random.randrange(86_400_000))


def _week_rollover(sample: Sample, _: Random) -> Sample:
    return replace(sample, t=sample.t - _GPS_WEEKS_MS)


def _null_island(sample: Sample, _: Random) -> Sample:
    return _instead(sample, lat=0.0, lon=0.0)


def _far_away(sample: Sample, random: Random) -> Sample:
    return _instead(sample, lat=random.uniform(36, 60), lon=random.uniform(-9, 25))


def _out_of_range(sample: Sample, random: Random) -> Sample:
    """What buses say for "not available", and a longitude that was recorded in a real car."""
    name, value = random.choice(
        [
            ("lon", 1555.63),
            ("lat", 91.5),
            ("speed_kmh", 655.35),
            ("odo_km", 16_777_215.0),
            ("soc_pct", 127.5),
            ("fuel_l_h", 3276.75),
        ]
    )
    return _instead(sample, **{name: value})


def _instead(sample: Sample, **values: Any) -> Sample:
    """Only what is measured can be wrong."""
    return replace(sample, **{name: value for name, value in values.items() if getattr(sample, name) is not None})


FAULTS: Final[dict[str, Fault]] = {
    "clock in 2000": _unset_clock,
    "clock in 2060": _clock_ahead,
    "GPS week rollover": _week_rollover,
    "null island": _null_island,
    "teleport": _far_away,
    "out of range": _out_of_range,
}


def damaged(samples: Sequence[Sample], per_message: int, random: Random) -> tuple[list[Sample], Counter[str]]:
    """The samples of a drive, some of them with a fault, and how many have which.

    Every message keeps a sample without one: without any it would rightly be set aside.
    """
    faulty, done, hit = list(samples), Counter[str](), set[int]()
    for _ in range(random.randint(0, _AT_MOST)):
        name, index = random.choice(list(FAULTS)), random.randrange(len(faulty))
        wrong = FAULTS[name](faulty[index], random)
        first = index - index % per_message
        others = set(range(first, min(first + per_message, len(faulty)))) - {index}
        if wrong != faulty[index] and not others <= hit:
            faulty[index] = wrong
            done[name] += 1
            hit.add(index)
    return faulty, done
