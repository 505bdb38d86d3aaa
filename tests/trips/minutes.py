"""What happens from minute to minute, and the records that are found in it."""

from typing import Any

from functions.trips.parameters import Parameters
from functions.trips.records import Fold, Rules, Trip
from functions.trips.samples import in_order
from functions.trips.segmentation import advance, as_ended
from tests.trips.drives import MORNING_MS, message

MINUTE_MS = 60_000
KM_LAT = 1 / 111.195  # degrees of latitude
Values = dict[str, Any]


def at(minute: float) -> int:
    return MORNING_MS + round(minute * MINUTE_MS)


def records(*groups: list[Values], size: int = 30, **parameters: Any) -> list[Trip]:
    """Those that ended, and the one under way as it is. Messages have so many samples of one group."""
    parts = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
    fold = Fold()
    messages = [message(seq, part) for seq, part in enumerate(parts)]
    rules = Rules.of(Parameters(**parameters))
    ended, is_complete = advance(fold, in_order(messages), rules)
    assert is_complete
    last = as_ended(fold, rules)
    return [*ended, last] if last else ended


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
