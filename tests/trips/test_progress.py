"""A vehicle's trips follow from the set of its messages, and each change of them is told once."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips import vehicle_trips
from functions.trips.progress import Arrival, take_in
from functions.trips.reception import MAX_RANGES
from functions.trips.records import Fold
from functions.trips.samples import Message, in_order
from functions.trips.segmentation import advance, as_ended
from functions.trips.summary import ChargingSession, Summary, summarise
from functions.trips.vehicle_trips import RETENTION_MS, VehicleTrips
from tests.trips.drives import MORNING_MS, POLICY, bodies, decoded, drive, message
from tests.trips.minutes import carried
from tests.trips.minutes import messages as in_turn
from tests.trips.vehicle import Vehicle, after, closed_at_times

MINUTE_MS = 60_000
Values = dict[str, Any]


def at(minute: float) -> int:
    return MORNING_MS + round(minute * MINUTE_MS)


def reference(messages: Sequence[Message]) -> list[Summary | ChargingSession]:
    """The records of all samples at once, without any state between."""
    fold = Fold()
    ended, _ = advance(fold, in_order(messages), POLICY.rules)
    ended += as_ended(fold, POLICY.rules)
    found = [summarise("car", trip, POLICY.parameters) for trip in ended]
    return [record for record in found if record is not None]


def records(vehicle: Vehicle) -> list[Summary | ChargingSession]:
    """As they were announced last."""
    return sorted([*vehicle.trips, *vehicle.sessions], key=_order)


def _order(record: Summary | ChargingSession) -> tuple[int, str]:
    return record.started_at_ms, type(record).__name__


_STEPS_S = st.sampled_from([1, 5, 10, 29, 30, 60, 119, 120, 300, 1800, 2000, 15_000])
_SPEEDS = st.sampled_from([0.0, 0.0, 0.0, 0.5, 5.0, 50.0, 130.0, None])
_SWITCHES = st.sampled_from([None, None, None, None, True, False])
_PLACES = st.sampled_from([0.0, 0.0, 0.002, 0.004, 0.3, None])
_CHARGES = st.sampled_from([None, 50.0, 50.0, 51.0, 60.0, 40.0])
_GEARS = st.sampled_from([None, "D", "D", "P"])
_CHARGING = st.sampled_from([None, None, None, None, None, True, False])
_MEASURED = st.tuples(_STEPS_S, _SPEEDS, _SWITCHES, _PLACES, _CHARGES, _GEARS, _CHARGING)


@st.composite
def _messages(draw: st.DrawFn) -> list[Message]:
    """Two boots of a car with whatever may happen to it, whose messages may even overlap in time."""
    messages = list[Message]()
    named = draw(st.sets(st.sampled_from(["speed_kmh", "lat", "soc_pct", "odo_km", "ignition", "gear", "charging"])))
    for boot in ("a", "b"):
        t = MORNING_MS + 1000 * draw(st.integers(0, 3000))
        odo_km = 1000.0
        for seq in range(draw(st.integers(0, 7))):
            rows = list[Values]()
            for step_s, kmh, ignition, north, soc_pct, gear, charging in draw(
                st.lists(_MEASURED, min_size=1, max_size=4)
            ):
                t += step_s * 1000
                odo_km += (kmh or 0.0) * step_s / 3600
                values: Values = {"speed_kmh": kmh, "soc_pct": soc_pct, "odo_km": round(odo_km, 3)}
                values |= {"ignition": ignition, "gear": gear, "charging": charging}
                lat = None if north is None else 50 + north + (t - MORNING_MS) / 10**9
                values |= {"lat": lat}
                row = {name: value for name, value in values.items() if name in named and value is not None}
                rows.append({"t": t} | row | ({"lon": 8.0} if "lat" in row else {}))
            if seq % 3:
                rows.insert(0, {"t": 0})
            messages.append(message(seq, rows, boot=boot, arrived_ms=MORNING_MS + 10**9))
    return messages


@settings(max_examples=500, deadline=None)
@given(_messages(), st.randoms(use_true_random=False), st.integers(1, 9))
def test_order_repetition_and_batching_change_no_digit(
    messages: list[Message], chance: random.Random, size: int
) -> None:
    """Not even which records were found and withdrawn on the way matters in the end."""
    expected = sorted(reference(messages), key=_order)
    assert records(after(messages, size=1)) == expected
    assert records(after(messages, size=100)) == expected
    disordered = messages + [one for one in messages if chance.random() < 0.3]
    chance.shuffle(disordered)
    vehicle = after(disordered, size=size)
    assert records(vehicle) == expected
    ids = [(one.kind, one.start_ms, one.revision) for one in vehicle.announced]
    assert len(set(ids)) == len(ids)


@settings(max_examples=300, deadline=None)
@given(_messages(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_closing_too_early_changes_revisions_but_not_trips(
    messages: list[Message], chance: random.Random, size: int
) -> None:
    """The worst case: nothing is waited for, and the trip under way is closed at any time."""
    disordered = list(messages)
    chance.shuffle(disordered)
    vehicle = closed_at_times(disordered, chance, size)
    assert records(vehicle) == sorted(reference(messages), key=_order)
    for name in {(one.kind, one.start_ms) for one in vehicle.announced}:
        revisions = [one.revision for one in vehicle.announced if (one.kind, one.start_ms) == name]
        assert revisions == list(range(1, len(revisions) + 1))


def test_a_trip_is_told_when_the_next_one_starts() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)))
    assert vehicle.told == []
    vehicle.hear(message(1, drive(5, start_ms=at(20))))
    assert vehicle.told == [(1, False)]
    assert [trip.started_at_ms for trip in vehicle.trips] == [at(0)]


def test_nothing_is_told_while_a_message_is_missing() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)))
    vehicle.hear(message(2, drive(5, start_ms=at(20))))
    assert vehicle.told == []
    vehicle.hear(message(1, drive(5, start_ms=at(5))))
    assert [trip.duration_s for trip in vehicle.trips] == [600]
    assert vehicle.told == [(1, False)]


def test_a_useless_message_is_not_awaited() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)), message(2, drive(5, start_ms=at(20))))
    assert vehicle.told == []
    vehicle.hear(Arrival("b1", 1, at(30)))
    assert vehicle.told == [(1, False)]


def test_what_stays_missing_is_awaited_for_the_lateness_and_no_longer() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)), message(2, drive(5, start_ms=at(20))))
    heard_ms = at(25)
    assert vehicle.sweep(heard_ms + POLICY.lateness_ms - 1) == []
    assert vehicle.sweep(heard_ms + POLICY.lateness_ms) == ["waive", "settle", "close"]
    assert vehicle.told == [(1, False), (1, False)]


def test_what_comes_later_still_makes_one_revision_when_the_burst_is_over() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)), message(4, drive(5, start_ms=at(40))))
    vehicle.sweep(at(200))
    assert [trip.duration_s for trip in vehicle.trips] == [300, 300]
    for seq in (2, 1, 3):
        start = at(5 * seq)
        vehicle.hear(message(seq, drive(4, start_ms=start), arrived_ms=at(200 + seq)))
    assert vehicle.told == [(1, False), (1, False)]
    vehicle.sweep(at(203) + POLICY.close_after_ms)
    assert vehicle.told == [(1, False), (1, False), (2, False)]
    assert [trip.duration_s for trip in vehicle.trips] == [19 * 60, 300]


def test_a_trip_that_late_data_joins_to_another_is_withdrawn() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)), message(2, drive(5, start_ms=at(8))))
    vehicle.close()
    vehicle.hear(message(1, drive(3, start_ms=at(5))))
    vehicle.close()
    assert vehicle.told == [(1, False), (1, False), (2, True), (2, False)]
    assert [trip.duration_s for trip in vehicle.trips] == [13 * 60]


def test_silence_closes_the_trip_under_way() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)))
    assert vehicle.sweep(at(5) + POLICY.close_after_ms - 1) == []
    assert vehicle.sweep(at(5) + POLICY.close_after_ms) == ["close"]
    assert vehicle.told == [(1, False)]
    assert vehicle.sweep(at(5) + 3 * POLICY.close_after_ms) == []


def test_switched_off_it_is_closed_as_soon_as_that_was_no_flicker() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5), [{"t": at(5.5), "ignition": False}]))
    assert vehicle.sweep(at(5.5) + 29_999) == []
    assert vehicle.sweep(at(5.5) + 30_000) == ["close"]
    assert vehicle.told == [(1, False)]


def test_telemetry_after_closing_goes_on_with_the_trip() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)))
    vehicle.close()
    vehicle.hear(message(1, drive(5, start_ms=at(5.5))))
    vehicle.close()
    assert vehicle.told == [(1, False), (2, False)]
    assert [trip.duration_s for trip in vehicle.trips] == [630]


def test_telemetry_of_the_very_moment_of_the_end_is_still_told_after_closing() -> None:
    last = drive(5)
    vehicle = Vehicle()
    vehicle.hear(message(0, last))
    vehicle.close()
    vehicle.hear(message(1, last[-1:]))
    vehicle.close()
    assert [trip.samples for trip in vehicle.trips] == [32]


def test_closing_again_tells_nothing() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)))
    vehicle.close()
    vehicle.close()
    vehicle.hear(message(1, drive(5, start_ms=at(30))))
    assert vehicle.told == [(1, False)]


def test_a_vehicle_that_goes_nowhere_makes_no_trip() -> None:
    vehicle = Vehicle()
    for seq in range(300):
        vehicle.hear(message(seq, [{"t": at(10 * seq), "lat": 50.0, "lon": 8.0, "speed_kmh": 0.0}]))
    vehicle.close()
    assert vehicle.announced == []
    assert len(vehicle.state.known) <= 1


def test_rows_go_after_the_retention_and_only_those_of_finished_trips() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)), message(1, drive(5, start_ms=at(20))))
    vehicle.sweep(at(100))
    vehicle.hear(message(2, drive(5, start_ms=at(60 * 72))))
    vehicle.sweep(at(25) + RETENTION_MS - 1)
    assert len(vehicle.kept) == 3
    vehicle.sweep(at(110) + RETENTION_MS)
    assert [one.seq for one in vehicle.kept] == [2]
    assert vehicle.told == [(1, False)] * 3


def test_data_older_than_the_retention_is_too_late_and_changes_nothing() -> None:
    vehicle = Vehicle()
    vehicle.hear(message(0, drive(5)))
    vehicle.sweep(at(30))
    vehicle.sweep(at(40) + RETENTION_MS)
    late = message(1, drive(5, start_ms=at(5)), arrived_ms=at(50) + RETENTION_MS)
    vehicle.hear(late)
    vehicle.hear(late)
    vehicle.close()
    assert vehicle.too_late == [late]
    assert vehicle.told == [(1, False)]


def test_the_state_of_a_usual_car_is_small() -> None:
    vehicle = Vehicle()
    for trip in range(12):
        for seq, body in enumerate(bodies(drive(60, start_ms=at(240 * trip)))):
            vehicle.hear(*decoded([body.replace(b'"b1"', b'"boot-%d"' % trip)], at(240 * trip + seq)))
    assert vehicle.told == [(1, False)] * 11
    assert len(vehicle_trips.encode(vehicle.state)) < 2500


def test_the_state_of_a_hostile_car_still_fits_into_a_row() -> None:
    """Boots without end, a gap before every message, and hundreds of short trips."""
    vehicle = Vehicle()
    for start in range(0, 2_000, 40):
        batch = []
        for index in range(start, start + 40):
            moved = drive(0.5, start_ms=at(5 * index))
            boot = f"{'x' * 30}{index // 150 % 40}"
            batch.append(message(2**32 + 2 * (index % 150), moved, boot=boot, arrived_ms=at(5 * index)))
        vehicle.hear(*batch)
        vehicle.sweep(vehicle.now_ms + 4000_000)
    assert len(vehicle.announced) > 1_000
    assert len(vehicle_trips.encode(vehicle.state)) < 60_000


def test_a_message_that_a_batch_holds_twice_is_taken_in_once_even_where_its_number_was_forgotten() -> None:
    """With more gaps than are kept the lowest numbers are forgotten at once, and two rows of one key are refused."""
    odd = [message(seq, [{"t": at(seq)}]) for seq in range(101, 101 + 2 * MAX_RANGES, 2)]
    vehicle = Vehicle()
    vehicle.hear(*odd)
    late = message(7, [{"t": at(7)}], arrived_ms=at(300))
    assert take_in(vehicle.state, "car", [late, late], POLICY).new == [late]


def test_a_vehicle_that_floods_is_held_to_what_it_may_send_and_others_may_catch_up() -> None:
    """Late data repeats the fold over all that is kept of a vehicle: unbounded, one car would hold up a partition."""
    seconds, arrived_ms = RETENTION_MS // 1000, at(10_000)
    state, allowed = VehicleTrips(), 0
    for seq in range(seconds // 300 + 100):  # 600 samples each: twice a second for 72 h fits, more does not
        flood = message(seq, [{"t": MORNING_MS + seq}] * 600, boot="b", arrived_ms=arrived_ms)
        intake = take_in(state, "car", [flood], POLICY)
        allowed += len(intake.new)
        assert intake.new or intake.too_many == [flood]
    assert allowed == seconds // 300
    usual = message(10**6, [{"t": at(10_001)}] * 30, boot="b", arrived_ms=arrived_ms + 30_000)
    assert take_in(state, "car", [usual], POLICY).new == [usual], "what it measures from now on is taken again"


def test_more_trips_than_fit_into_a_transaction_are_found_in_portions() -> None:
    vehicle = Vehicle()
    trips = [message(seq, drive(0.5, start_ms=at(5 * seq)), arrived_ms=at(1000)) for seq in range(100)]
    vehicle.hear(*trips[1:])
    vehicle.hear(trips[0])
    vehicle.close()
    assert vehicle.told == [(1, False)] * 100


def test_more_trips_than_fit_into_a_transaction_are_withdrawn_in_portions() -> None:
    """Late data joins sixty trips to one."""
    vehicle = Vehicle()
    parts = [message(seq, drive(1, start_ms=at(4 * seq / 2)), arrived_ms=at(1000)) for seq in range(0, 120, 2)]
    gaps = [message(seq, drive(2, start_ms=at(4 * seq / 2 - 1)), arrived_ms=at(1100)) for seq in range(1, 120, 2)]
    vehicle.hear(*parts)
    vehicle.close()
    assert vehicle.told == [(1, False)] * 60
    vehicle.hear(*gaps)
    vehicle.close()
    assert vehicle.told[60:].count((2, True)) == 59
    assert [trip.started_at_ms for trip in vehicle.trips] == [at(0)]


def test_a_state_comes_back_from_its_row_exactly() -> None:
    state = after([message(0, drive(5)), message(2, drive(5, start_ms=at(20)))]).state
    assert state != VehicleTrips()
    assert vehicle_trips.decode(vehicle_trips.encode(state)) == state


@pytest.mark.parametrize("minutes", [0, 1])
def test_a_fold_does_not_take_the_same_moment_twice(minutes: int) -> None:
    """The last sample of one message and the first of the next may be of one moment."""
    first, second = drive(1), drive(1, start_ms=at(1))
    vehicle = after([message(0, first), message(1, second)])
    assert vehicle.trips == reference([message(0, first), message(1, second)])
    assert vehicle.trips[0].duration_s == 120


def test_a_trip_that_begins_by_its_positions_alone_is_the_same_when_it_is_folded_anew() -> None:
    """It begins when the car is far from where it had come to rest, which nobody knows who looks from there on."""
    rest = carried(0, 8, kmh=0.0, every_s=60, gear="P")
    away = carried(9, 9, kmh=0.0, north_km=1.0, gear="D"), carried(10, 11, kmh=0.0, north_km=1.0, every_s=60, gear="P")
    way = carried(12, 40, kmh=30.0, north_km=1.0, every_s=60, gear="D")
    messages = in_turn([*rest, *away[0], *away[1], *way[:10]], way[10:20], way[20:])
    vehicle = after([messages[0], messages[2]])
    vehicle.hear(messages[1])
    vehicle.close()
    assert records(vehicle) == reference(messages)
