"""Where trips begin and end, and what is a trip at all."""

import pytest

from functions.trips.parameters import Parameters
from functions.trips.records import Fold, Rules
from functions.trips.samples import in_order
from functions.trips.segmentation import advance, as_ended
from tests.trips.drives import POLICY, drive, message
from tests.trips.minutes import KM_LAT, MINUTE_MS, Values, at, carried, going, records, rows, standing, trips

# --- ignition


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
    assert trips(drive(4.9), off, drive(5, start_ms=at(5.4))) == [(0, 10.4)]


def test_a_flicker_may_take_several_samples() -> None:
    off = rows(5, 5.4, every_s=1, ignition=False)
    assert trips(drive(4.9), off, drive(5, start_ms=at(5.45))) == [(0, 10.45)]


def test_the_limit_of_a_flicker_is_its_length() -> None:
    off = [{"t": at(5), "ignition": False}]
    assert trips(drive(4.9), off, drive(5, start_ms=at(5.5))) == [(0, 5), (5.5, 10.5)]
    assert trips(drive(4.9), off, drive(5, start_ms=at(5.5)), flicker_s=31) == [(0, 10.5)]
    assert trips(drive(4.9), off, drive(5, start_ms=at(5.1)), flicker_s=5) == [(0, 5), (5.1, 10.1)]


def test_a_lost_switching_off_does_not_join_two_days() -> None:
    """The ignition was switched off in a basement, and heard of in the morning."""
    off = [{"t": at(600), "ignition": False}]
    assert trips(drive(5), off, drive(5, start_ms=at(602))) == [(0, 5), (602, 607)]


# --- silence


def test_silence_at_one_place_ends_a_trip() -> None:
    assert trips(drive(5), drive(5, start_ms=at(7))) == [(0, 5), (7, 12)]


def test_a_shorter_silence_does_not() -> None:
    assert trips(drive(5), drive(5, start_ms=at(7) - 1000)) == [(0, 12 - 1 / 60)]


def test_the_limit_of_silence_is_a_parameter() -> None:
    assert trips(drive(5), drive(5, start_ms=at(7)), silence_s=121) == [(0, 12)]
    assert trips(drive(5), drive(5, start_ms=at(6)), silence_s=60) == [(0, 5), (6, 11)]


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
    assert trips([{"t": at(0)} | last], [{"t": at(9)} | following], size=1) == [(0, 9)]


@pytest.mark.parametrize(
    ("minutes", "after"),
    [
        pytest.param(31, {"lat": 50.1}, id="for too long"),
        pytest.param(3, {"lat": 0.0}, id="to where no car could have gone"),
        pytest.param(3, {"lat": 50.001}, id="but hardly away"),
        pytest.param(3, {"lat": 50.001, "odo_km": 100.1}, id="but hardly away by its odometer"),
        pytest.param(3, {"lat": 50.001, "odo_km": 150.0}, id="but by no odometer of a car"),
        pytest.param(3, {"lat": 50.005, "odo_km": 100.0}, id="but not by its odometer"),
        pytest.param(3, {"lat": 50.1, "odo_km": 90.0}, id="with an odometer that ran back"),
        pytest.param(3, {"lat": None}, id="or not, nobody knows"),
    ],
)
def test_silence_that_no_drive_explains_ends_a_trip(minutes: int, after: Values) -> None:
    last = {"t": at(0), "lat": 50.0, "lon": 8.0, "odo_km": 100.0}
    told = trips([last], [{"t": at(minutes), "lon": 8.0} | after], size=1)
    assert told == [(0, 0), (minutes, minutes)]


def test_a_tunnel_may_be_as_long_as_the_parameter_says() -> None:
    last, following = {"t": at(0), "lat": 50.0, "lon": 8.0}, {"t": at(30), "lat": 50.1, "lon": 8.0}
    assert trips([last], [following]) == [(0, 30)]
    assert trips([last], [following], tunnel_s=1799) == [(0, 0), (30, 30)]
    assert trips([last], [following | {"t": at(31)}], tunnel_s=1860) == [(0, 31)]


def test_what_is_a_movement_is_a_parameter() -> None:
    last, following = {"t": at(0), "lat": 50.0, "lon": 8.0}, {"t": at(3), "lat": 50.0 + 0.25 * KM_LAT, "lon": 8.0}
    assert trips([last], [following]) == [(0, 3)]
    assert trips([last], [following], moved_m=251) == [(0, 0), (3, 3)]


def test_the_way_through_a_tunnel_is_as_the_odometer_says() -> None:
    before, after = going(0, 5, odo_km=103.0), going(10, 15, north_km=6.0, odo_km=106.7)
    (trip,) = records(before, after)
    assert trip.measures.across_m == pytest.approx(3700)
    assert (trip.measures.silent_ms, trip.measures.longest_silence_ms) == (5 * MINUTE_MS, 5 * MINUTE_MS)


def test_the_way_through_a_tunnel_is_else_the_straight_line() -> None:
    (trip,) = records(going(0, 5), going(10, 15, north_km=6.0))
    assert trip.measures.across_m == pytest.approx(3000, rel=1e-4)


def test_the_way_through_a_tunnel_is_else_as_long_as_at_the_speed_before_and_after() -> None:
    (trip,) = records(rows(0, 5, speed_kmh=60.0), rows(10, 15, speed_kmh=120.0))
    assert trip.measures.across_m == pytest.approx(7500)


# --- standing still


def test_standing_still_is_part_of_a_trip() -> None:
    assert trips(going(0, 5), standing(6, 206), going(207, 212)) == [(0, 212)]


def test_standing_still_for_hours_ends_a_trip_where_it_came_to_a_stand() -> None:
    assert trips(going(0, 5), standing(6, 306)) == [(0, 5)]


def test_after_hours_the_next_trip_starts_with_movement() -> None:
    assert trips(going(0, 5), standing(6, 306), going(307, 312)) == [(0, 5), (307, 312)]


def test_after_hours_a_silence_starts_the_next_trip_too() -> None:
    assert trips(going(0, 5), standing(6, 306), standing(310, 313)) == [(0, 5), (310, 313)]


def test_how_long_standing_still_may_last_is_a_parameter() -> None:
    jam = going(0, 5), standing(6, 35), going(36, 40)
    assert trips(*jam) == [(0, 40)]
    assert trips(*jam, standstill_s=1800) == [(0, 5), (36, 40)]
    assert trips(*jam, standstill_s=1861) == [(0, 40)]


def test_standing_still_for_hours_ends_a_trip_within_a_message_too() -> None:
    """Messages that overlap are folded as one, and one may hold 600 samples."""
    jam = [*going(0, 5), *standing(6, 46), *going(47, 52)]
    assert trips(jam, size=600, standstill_s=1800) == trips(jam, standstill_s=1800) == [(0, 5), (47, 52)]


def test_without_speed_movement_is_a_change_of_place() -> None:
    assert trips(carried(0, 400, kmh=6.6, every_s=60)) == [(0, 400)]
    assert trips(carried(0, 400, kmh=0, every_s=60)) == [(0, 0)]


def test_without_speed_and_place_movement_is_what_the_odometer_counts() -> None:
    counting = [row | {"odo_km": 100 + index / 10} for index, row in enumerate(rows(0, 30))]
    assert trips(counting, rows(31, 331, odo_km=103.0)) == [(0, 30)]
    assert trips(rows(0, 400, odo_km=103.0)) == [(0, 0)]


# --- gear P


def test_gear_p_ends_a_trip_when_it_was_engaged_if_it_stays_so() -> None:
    """The engine that idles in P is not part of the trip, nor is the next one before it moves."""
    parked = standing(5.5, 11, gear="P", north_km=3.0, fuel_l_h=0.8)
    drives = going(0, 5, gear="D", fuel_l_h=4.0)
    assert trips(drives, parked) == [(0, 5.5)]
    (trip,) = records(drives, parked)
    assert trip.measures.fuel / 2 / 3.6e6 == pytest.approx(4.0 / 12, rel=0.01)
    assert trips(drives, parked, going(12, 15, gear="D", north_km=3.0)) == [(0, 5.5), (12, 15)]


def test_gear_p_that_is_left_within_the_limit_ends_nothing() -> None:
    assert trips(going(0, 5, gear="D"), standing(5.5, 10, gear="P", north_km=3.0)) == [(0, 10)]
    assert trips(
        going(0, 5, gear="D"), standing(5.5, 10, gear="P", north_km=3.0), going(10.4, 15, gear="D", north_km=3.0)
    ) == [(0, pytest.approx(15, abs=0.1))]


def test_gear_p_that_was_left_unseen_ends_nothing() -> None:
    """The vehicle moved during the silence behind it, as out of an underground car park."""
    parked, drives = standing(0, 0.5, gear="P"), going(3.5, 43.5, gear="D", north_km=0.6)
    assert trips(parked, drives, standing(44, 44.5, gear="P", north_km=24.6)) == [(0, 44.5)]


def test_how_long_gear_p_may_last_is_a_parameter() -> None:
    stop = going(0, 5, gear="D"), standing(6, 9, gear="P", north_km=3.0), going(9.5, 15, gear="D", north_km=3.0)
    assert trips(*stop) == [(0, 15)]
    assert trips(*stop, park_s=180) == [(0, 6), (9.5, 15)]


def test_stops_in_p_do_not_add_up() -> None:
    deliveries = [
        row
        for stop in range(6)
        for row in (
            going(10 * stop, 10 * stop + 5, north_km=3 * stop, gear="D")
            + standing(10 * stop + 6, 10 * stop + 9, north_km=3 * stop + 3, gear="P")
        )
    ]
    assert trips(deliveries) == [(0, 59)]


def test_neutral_and_reverse_are_on_the_way() -> None:
    assert trips(going(0, 5, gear="D"), standing(6, 16, gear="N", north_km=3.0), going(17, 20, gear="R")) == [(0, 20)]


def test_gear_p_before_a_tunnel_does_not_end_what_went_on_behind_it() -> None:
    stop = going(0, 5, gear="D", odo_km=103.0), standing(5.5, 6, gear="P", odo_km=103.0, north_km=3.0)
    assert trips(*stop, going(10, 25, gear="D", odo_km=106.0, north_km=6.0)) == [(0, 25)]


def test_gear_p_before_a_flicker_does_not_end_what_went_on_behind_it() -> None:
    stop = going(0, 5, gear="D"), standing(5.5, 10, gear="P", north_km=3.0), [{"t": at(10.2), "ignition": False}]
    assert trips(*stop, going(10.4, 25.4, gear="D", north_km=3.0)) == [(0, 25.4)]


# --- the fold


def test_folding_stops_before_more_trips_end_than_asked_for() -> None:
    chapters = in_order([message(seq, drive(1, start_ms=at(5 * seq))) for seq in range(10)])
    fold = Fold()
    ended, is_complete = advance(fold, chapters, POLICY.rules, 3)
    assert [trip.start_ms for trip in ended] == [at(0), at(5), at(10)]
    assert not is_complete
    rest = [chapter for chapter in chapters if fold.last is not None and chapter.place(0) > fold.last]
    ended, is_complete = advance(fold, rest, POLICY.rules)
    assert [trip.start_ms for trip in ended] == [at(minute) for minute in range(15, 45, 5)]
    assert is_complete


def test_what_was_dropped_belongs_to_the_trip_in_which_it_lies() -> None:
    first = [*drive(5), {"t": at(1), "soc_pct": 101}, {"t": 0}]
    second = [*drive(5, start_ms=at(20)), {"t": at(21), "speed_kmh": -1}]
    told = records(first, second, size=33)
    assert [trip.measures.dropped for trip in told] == [{"clock": 1, "soc": 1}, {"speed": 1}]


def test_messages_that_never_came_are_counted_where_they_are_missing() -> None:
    parts = [message(seq, drive(2, start_ms=at(2 * seq))) for seq in (0, 1, 4, 5)]
    fold = Fold()
    assert advance(fold, in_order(parts), Rules.of(Parameters(silence_s=600))) == ([], True)
    assert fold.trip is not None
    assert fold.trip.measures.missing == 2


def test_wherever_the_fold_stops_on_its_way_the_same_messages_are_missing() -> None:
    """In the middle of messages that overlap, too, where the rest of the last one looks like a message of its own."""
    rolling: Values = {"speed_kmh": 36.0, "gear": "D"}
    off: Values = {"ignition": False}
    early = [{"t": at(0)} | rolling, {"t": at(1)} | rolling, {"t": at(1.5)} | off, {"t": at(3)} | rolling]
    late: list[Values] = [{"t": at(1.6)} | off, {"t": at(4), "speed_kmh": 0.0, "gear": "P"}, {"t": at(5)} | rolling]
    messages = [message(0, early), message(5, late), message(9, [{"t": at(6)} | rolling, {"t": at(7)} | rolling])]
    at_once = Fold()
    advance(at_once, in_order(messages), POLICY.rules)
    stopped, is_complete = Fold(), False
    while not is_complete:
        _, is_complete = advance(stopped, in_order(messages, stopped.last), POLICY.rules, 1)
    assert stopped == at_once
    assert at_once.trip is not None
    assert at_once.trip.measures.missing == 3


def test_the_copy_of_a_trip_under_way_leaves_the_fold_as_it_is() -> None:
    fold = Fold()
    advance(fold, in_order([message(0, going(0, 5), standing(6, 8))]), POLICY.rules)
    assert fold.trip is not None
    pending = fold.trip.pending
    (copy,) = as_ended(fold, POLICY.rules)
    assert copy.pending is None
    assert fold.trip.pending is pending is not None
    assert copy.measures.samples == fold.trip.measures.samples + pending.samples
    assert as_ended(Fold(), POLICY.rules) == []
