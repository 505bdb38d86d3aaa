"""What happens from minute to minute, and the records that are found in it."""

from collections.abc import Sequence
from typing import Any

from functions.trips.parameters import Parameters
from functions.trips.records import Fold, Rules, Trip
from functions.trips.samples import Message, in_order
from functions.trips.segmentation import advance, as_ended
from functions.trips.summary import Summary, summarise
from tests.trips.drives import MORNING_MS, message

MINUTE_MS = 60_000
KM_LAT = 1 / 111.195  # degrees of latitude
HOME = 52.4227, 10.7865  # Wolfsburg
Values = dict[str, Any]


def at(minute: float) -> int:
    return MORNING_MS + round(minute * MINUTE_MS)


def records(*groups: list[Values], size: int = 30, **parameters: Any) -> list[Trip]:
    """Those that ended, and the one under way as it is. Messages have so many samples of one group."""
    parts = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
    fold = Fold()
    rules = Rules.of(Parameters(**parameters))
    ended, is_complete = advance(fold, in_order(messages(*parts)), rules)
    assert is_complete
    return [*ended, *as_ended(fold, rules)]


def found(*groups: list[Values], **how: Any) -> list[tuple[str, Any, Any]]:
    """Kind, start and end of each record, in minutes from the morning on."""
    return [
        (one.kind, (one.start_ms - MORNING_MS) / MINUTE_MS, (one.end_ms - MORNING_MS) / MINUTE_MS)
        for one in records(*groups, **how)
    ]


def trips(*groups: list[Values], **how: Any) -> list[tuple[Any, Any]]:
    """Start and end of each drive, where there are no other records."""
    told = found(*groups, **how)
    assert {kind for kind, _, _ in told} <= {"driven"}
    return [(start, end) for _, start, end in told]


def rows(start: float, end: float, *, every_s: int = 60, **values: Any) -> list[Values]:
    """Samples from one minute to another, all of the same values."""
    return [{"t": t} | values for t in range(at(start), at(end) + 1, every_s * 1000)]


def going(start: float, end: float, *, north_km: float = 0.0, kmh: float = 36.0, **values: Any) -> list[Values]:
    """At a steady speed from one minute to another, from so far in the north on."""
    return [
        row | {"speed_kmh": kmh, "lat": 50.0 + (north_km + (row["t"] - at(start)) / 3.6e6 * kmh) * KM_LAT, "lon": 8.0}
        for row in rows(start, end, every_s=10, **values)
    ]


def standing(start: float, end: float, *, north_km: float = 0.0, **values: Any) -> list[Values]:
    return rows(start, end, every_s=10, speed_kmh=0.0, lat=50.0 + north_km * KM_LAT, lon=8.0, **values)


def carried(
    start: float, end: float, *, kmh: float, north_km: float = 0.0, every_s: int = 10, **values: Any
) -> list[Values]:
    """The place changes at this speed."""
    return [
        row | {"lat": 50.0 + (north_km + (row["t"] - at(start)) / 3.6e6 * kmh) * KM_LAT, "lon": 8.0}
        for row in rows(start, end, every_s=every_s, **values)
    ]


OFF: Values = {"ignition": False}
PARKED: Values = {"speed_kmh": 0.0, "gear": "P"}
STANDING: Values = {"speed_kmh": 0.0}


def wake(minute: float, soc_pct: float | None, kind: Values = OFF, *, samples: int = 3, **values: Any) -> list[Values]:
    """Awake for some samples, ten seconds apart."""
    level = {} if soc_pct is None else {"soc_pct": soc_pct}
    return [{"t": at(minute + index / 6)} | kind | level | values for index in range(samples)]


def night(levels: Sequence[float | None], kind: Values = OFF, *, every: float = 60.0, **how: Any) -> list[list[Values]]:
    """Parked, and awake every hour."""
    return [wake(every * hour, level, kind, **how) for hour, level in enumerate(levels)]


def messages(*groups: list[Values], **how: Any) -> list[Message]:
    """One of each group."""
    return [message(seq, group, **how) for seq, group in enumerate(groups)]


def of(trip: Trip, *, is_private: bool = False, **parameters: Any) -> Summary:
    """What is told of the record, which is no charging session."""
    told = summarise("car", trip, Parameters(**parameters), is_private=is_private)
    assert isinstance(told, Summary)
    return told
