"""Where trips begin and end."""

from typing import Any

import pytest

from functions.trips.records import Fold
from functions.trips.segmentation import Span, advance, in_order
from functions.trips.telemetry import Telemetry
from tests.trips.drives import LIMITS, MORNING_MS, drive, samples

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
Values = dict[str, Any]


def trips(*groups: list[Values]) -> list[tuple[int, int]]:
    """Minutes from the morning on, of the trips that ended and of the one under way."""
    fold = Fold()
    message = Telemetry("b", 0, 0, tuple(samples(*groups)))
    spans, _ = advance(fold, in_order([message]), LIMITS)
    if fold.trip is not None:
        spans.append(Span(fold.trip.start_ms, fold.trip.end_ms))
    return [((start - MORNING_MS) // MINUTE_MS, (end - MORNING_MS) // MINUTE_MS) for start, end in spans]


def at(minute: float) -> int:
    return MORNING_MS + round(minute * MINUTE_MS)


def standing(minutes: float, start_ms: int) -> list[Values]:
    return drive(minutes, start_ms=start_ms, every_s=60, speed_kmh=0.0)


def test_a_vehicle_that_reports_is_on_a_trip() -> None:
    assert trips(drive(10)) == [(0, 10)]


def test_the_ignition_ends_a_trip_and_what_follows_switched_off_is_none() -> None:
    off = [{"t": at(minute), "ignition": False} for minute in (10, 11, 12, 30)]
    assert trips(drive(9), off) == [(0, 10)]


def test_switched_on_again_it_is_another_trip() -> None:
    off = [{"t": at(10), "ignition": False}]
    assert trips(drive(9), off, drive(5, start_ms=at(11))) == [(0, 10), (11, 16)]


def test_a_flicker_of_the_ignition_ends_nothing() -> None:
    off = [{"t": at(5), "ignition": False}]
    assert trips(drive(4.9), off, drive(5, start_ms=at(5.4))) == [(0, 10)]


def test_silence_at_one_place_ends_a_trip() -> None:
    assert trips(drive(5), drive(5, start_ms=at(7))) == [(0, 5), (7, 12)]


def test_a_shorter_silence_does_not() -> None:
    assert trips(drive(5), drive(5, start_ms=at(7) - 1)) == [(0, 11)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"speed_kmh": None}, {"speed_kmh": None, "lat": 50.1}, id="by its position"),
        pytest.param({"odo_km": 100.0, "lat": None}, {"odo_km": 103.0, "lat": None}, id="by its odometer"),
        pytest.param({"speed_kmh": 80.0}, {"speed_kmh": 80.0, "lat": None}, id="by its speed, without a fix"),
    ],
)
def test_a_vehicle_that_was_on_its_way_during_silence_goes_on(before: Values, after: Values) -> None:
    last, following = {"lat": 50.0, "lon": 8.0} | before, {"lat": 50.0, "lon": 8.0} | after
    assert trips([{"t": at(0)} | last], [{"t": at(9)} | following]) == [(0, 9)]


@pytest.mark.parametrize(
    ("minutes", "after"),
    [
        pytest.param(31, {"lat": 50.1}, id="for too long"),
        pytest.param(3, {"lat": 0.0}, id="to where no car could have gone"),
        pytest.param(3, {"lat": 50.001}, id="but hardly away"),
        pytest.param(3, {"lat": 50.1, "odo_km": 100.0}, id="but not by its odometer"),
        pytest.param(3, {"lat": None}, id="or not, nobody knows"),
    ],
)
def test_silence_that_no_drive_explains_ends_a_trip(minutes: int, after: Values) -> None:
    last = {"t": at(0), "lat": 50.0, "lon": 8.0, "odo_km": 100.0}
    assert trips([last], [{"t": at(minutes), "lon": 8.0} | after]) == [(0, 0), (minutes, minutes)]


def test_a_lost_switching_off_does_not_join_two_days() -> None:
    """The ignition was switched off in a basement, and heard of in the morning."""
    off = [{"t": at(600), "ignition": False}]
    assert trips(drive(5), off, drive(5, start_ms=at(602))) == [(0, 5), (602, 607)]


def test_standing_still_is_part_of_a_trip() -> None:
    jam = standing(200, at(6))
    assert trips(drive(5), jam, drive(5, start_ms=at(207))) == [(0, 212)]


def test_standing_still_for_hours_ends_a_trip_where_it_came_to_a_stand() -> None:
    assert trips(drive(5), standing(300, at(6))) == [(0, 5)]


def test_after_hours_the_next_trip_starts_with_movement() -> None:
    assert trips(drive(5), standing(300, at(6)), drive(5, start_ms=at(307))) == [(0, 5), (307, 312)]


def test_after_hours_a_silence_starts_the_next_trip_too() -> None:
    assert trips(drive(5), standing(300, at(6)), standing(3, at(310))) == [(0, 5), (310, 313)]


def test_without_speed_movement_is_a_change_of_place() -> None:
    ferry = [{"t": at(minute), "lat": 50.0 + minute / 1000, "lon": 8.0} for minute in range(400)]
    anchored = [{"t": at(minute), "lat": 50.0, "lon": 8.0} for minute in range(400)]
    assert trips(ferry) == [(0, 399)]
    assert trips(anchored) == [(0, 0)]


def test_samples_of_one_moment_keep_the_order_in_which_they_were_sent() -> None:
    def message(boot: str, seq: int, *speeds: float) -> Telemetry:
        return Telemetry(boot, seq, 0, tuple(samples([{"t": at(0), "speed_kmh": speed} for speed in speeds])))

    messages = [message("b", 1, 5.0, 4.0), message("a", 7, 2.0), message("b", 0, 3.0), message("a", 2, 1.0)]
    assert [sample.speed_kmh for _, sample in in_order(messages)] == [1.0, 2.0, 3.0, 5.0, 4.0]


def test_folding_stops_before_more_trips_end_than_asked_for() -> None:
    pauses = [drive(1, start_ms=at(minute)) for minute in range(0, 50, 5)]
    placed = in_order([Telemetry("b", 0, 0, tuple(samples(*pauses)))])
    fold = Fold()
    spans, taken = advance(fold, placed, LIMITS, 3)
    assert [start for start, _ in spans] == [at(0), at(5), at(10)]
    assert placed[taken][0].t == at(20)
    rest, _ = advance(fold, placed[taken:], LIMITS)
    assert [start for start, _ in rest] == [at(minute) for minute in range(15, 45, 5)]
