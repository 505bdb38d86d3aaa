"""The verdict sees whatever is missing, too much, wrong or told wrongly, and nothing else."""

from typing import Any

import pytest

from tests.day.plan import CarDay, PlannedDrive
from tests.day.verdict import Event, judge

HOUR_MS = 3_600_000
DRIVES = [
    PlannedDrive(1_790_000_000_000 + number * HOUR_MS, 1_790_000_000_000 + number * HOUR_MS + 900_000, 12.0, ())
    for number in range(2)
]


def day() -> CarDay:
    return CarDay(0, "car", ("electric",), drives=list(DRIVES))


def row(number: int, **changes: Any) -> dict[str, Any]:
    start_ms, end_ms = DRIVES[number].started_at_ms, DRIVES[number].ended_at_ms
    right = {"started_at_ms": start_ms, "ended_at_ms": end_ms, "distance_km": 12.1, "distance_source": "odometer"}
    names = {"vehicle_id": "car", "trip_id": f"car-{number}", "revision": 1, "duration_s": 900.0}
    return names | right | changes


def told(number: int, revision: int = 1, **changes: Any) -> Event:
    kind = "TripCompleted" if revision == 1 else "TripRevised"
    return Event(f"car-{number}-{revision}", kind, row(number, revision=revision) | changes)


RIGHT = [told(0), told(1)]


def kinds(rows: list[dict[str, Any]], events: list[Event]) -> list[str]:
    return sorted(violation.partition(":")[0] for violation in judge([day()], rows, events).violations)


def test_what_is_right_is_not_complained_about() -> None:
    verdict = judge([day()], [row(0), row(1)], [*RIGHT, told(1)])
    assert verdict.violations == []
    assert (verdict.drives, verdict.trips, verdict.copies, verdict.revisions) == (2, 2, 1, {1: 2})
    assert verdict.errors_pct == pytest.approx([100 / 120, 100 / 120])


def test_a_trip_that_late_data_moved_is_right_too() -> None:
    moved = Event("car-9-1", "TripCompleted", row(0, trip_id="car-9"))
    withdrawn = Event("car-9-2", "TripRevised", row(0, trip_id="car-9", revision=2, withdrawn=True))
    verdict = judge([day()], [row(0), row(1)], [*RIGHT, moved, withdrawn])
    assert verdict.violations == []
    assert verdict.withdrawn == 1


@pytest.mark.parametrize(
    ("rows", "events", "expected"),
    [
        ([row(0)], [told(0)], ["missing"]),
        ([row(0), row(1, started_at_ms=DRIVES[1].started_at_ms + 61_000)], RIGHT, ["extra", "missing"]),
        (
            [row(0), row(1), row(1, trip_id="car-7", started_at_ms=DRIVES[1].started_at_ms + 1)],
            [*RIGHT, Event("car-7-1", "TripCompleted", row(1, trip_id="car-7"))],
            ["double"],
        ),
        ([row(0), row(1, distance_km=12.3)], [told(0), told(1, distance_km=12.3)], ["distance"]),
        ([row(0), row(1, ended_at_ms=0)], [told(0), told(1, ended_at_ms=0)], ["end"]),
        ([row(0), row(1)], [told(0)], ["events"]),
        ([row(0), row(1)], [told(0), told(1), told(1, distance_km=12.0)], ["told twice"]),
        ([row(0), row(1)], [*RIGHT, told(1, revision=2)], ["events"]),
        ([row(0), row(1, revision=3)], [*RIGHT, told(1, revision=3)], ["events"]),
        ([row(0), row(1)], [told(0), told(1)._replace(kind="TripRevised")], ["events"]),
        ([row(0), row(1)], [*RIGHT, Event("car-5-1", "TripCompleted", row(0, trip_id="car-5"))], ["events"]),
        ([row(0), row(1), row(0, vehicle_id="other")], RIGHT, ["unknown"]),
    ],
    ids=[
        "a drive without a trip",
        "a trip at another time",
        "two trips of a drive",
        "a wrong distance",
        "a wrong end",
        "not announced",
        "two truths of a revision",
        "a row of an older revision",
        "a revision left out",
        "never completed",
        "announced but not stored",
        "a car that nobody knows",
    ],
)
def test_what_is_wrong_is_named(rows: list[dict[str, Any]], events: list[Event], expected: list[str]) -> None:
    assert kinds(rows, events) == expected
