"""The three memories of the trip computer, as the manuals tell them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips import memories
from functions.trips.memories import Beginning, Memory
from functions.trips.rollup import Trip
from tests.trips.rollups import HOUR_MS, at, trip

START_MS = at("2026-05-01T06:00:00")

drives = st.builds(
    lambda hour, km, hours, carried, pct, kwh: trip(
        START_MS + hour * HOUR_MS,
        ended_at_ms=START_MS + hour * HOUR_MS + round(hours * HOUR_MS),
        distance_km=km,
        duration_s=hours * 3600,
        kind="carried" if carried else "driven",
        fuel_start_pct=pct,
        energy_kwh=kwh,
    ),
    st.integers(0, 5000),
    st.floats(0.1, 3000),
    st.floats(0.01, 30),
    st.booleans(),
    st.none() | st.floats(0, 100),
    st.none() | st.floats(-5, 90),
)
histories = st.lists(drives, max_size=40, unique_by=lambda one: one.started_at_ms)


def at_hour(hour: float, **changes: Any) -> Trip:
    return trip(START_MS + round(hour * HOUR_MS), **changes)


def after(*rows: Trip, charged: tuple[float, ...] = (), beginning: Beginning | None = None) -> memories.Memories:
    return memories.memories(rows, [START_MS + round(hour * HOUR_MS) for hour in charged], beginning)


def starts(memory: Memory | None) -> tuple[str, float, int] | None:
    """Since what, from which hour on, how many trips."""
    return None if memory is None else (memory.since, (memory.started_at_ms - START_MS) / HOUR_MS, memory.trips)


def test_who_drove_nothing_remembers_nothing() -> None:
    assert after(at_hour(0, kind="carried"), charged=(1,)) == memories.Memories(
        short_term=None, cyclic=None, long_term=None
    )


def test_a_memory_tells_what_the_trip_computer_tells() -> None:
    first = at_hour(0, distance_km=10.0, duration_s=1200.0, odo_start_km=41_915.0, energy_kwh=2.0, recuperated_kwh=0.5)
    second = at_hour(1, distance_km=30.0, duration_s=1800.0, energy_kwh=-0.5, fuel_l=1.5)
    memory = after(second, first).short_term
    assert memory is not None
    assert (memory.start_mileage_km, memory.mileage_km, memory.travel_time_s) == (41_915.0, 40.0, 3000.0)
    assert memory.ended_at_ms == second.ended_at_ms
    assert memory.average_speed_kmh == 48.0, "over the travel time, stops included"
    assert memory.average_electric_consumption_kwh_100km == 3.8
    assert memory.average_recuperation_kwh_100km == 5.0, "of the 10 km that say so"
    assert memory.average_fuel_consumption_l_100km == 5.0


def test_more_was_recuperated_than_drawn_and_the_sign_survives() -> None:
    downhill = after(at_hour(0, energy_kwh=-0.44)).short_term
    assert downhill is not None
    assert downhill.average_electric_consumption_kwh_100km == -2.2
    assert downhill.average_fuel_consumption_l_100km is None


@pytest.mark.parametrize(("pause_ms", "began"), [(2 * HOUR_MS, 0.0), (2 * HOUR_MS + 1, 2.5)])
def test_short_term_is_cleared_by_a_stop_of_more_than_two_hours(pause_ms: int, began: float) -> None:
    first = at_hour(0)
    second = trip(first.ended_at_ms + pause_ms)
    memory = after(first, second).short_term
    assert memory is not None
    assert (memory.started_at_ms - START_MS) / HOUR_MS == pytest.approx(began, abs=1e-5)


def test_short_term_goes_on_over_short_stops_and_through_what_was_carried() -> None:
    rows = [at_hour(0), at_hour(1), at_hour(2, kind="carried"), at_hour(3), at_hour(9), at_hour(10)]
    assert starts(after(*rows).short_term) == ("start", 9, 2)
    assert starts(after(*rows[:4]).short_term) == ("start", 0, 3)


def test_without_a_tank_the_cycle_begins_with_the_last_charge() -> None:
    rows = [at_hour(0), at_hour(10), at_hour(20)]
    assert starts(after(*rows, charged=(1, 5)).cyclic) == ("charging", 10, 2)
    assert starts(after(*rows).cyclic) == ("records", 0, 3)
    assert after(*rows, charged=(21,)).cyclic is None, "nothing driven since"


@pytest.mark.parametrize(("level_pct", "began"), [(44.9, 0), (45.0, 10), (100.0, 10)])
def test_with_a_tank_the_cycle_begins_when_there_is_clearly_more_in_it(level_pct: float, began: int) -> None:
    rows = [at_hour(0, fuel_end_pct=40.0), at_hour(10, fuel_start_pct=level_pct), at_hour(20)]
    memory = after(*rows, charged=(15,)).cyclic
    assert memory is not None
    assert (memory.started_at_ms - START_MS) / HOUR_MS == began
    assert memory.since == ("refuelling" if began else "records")


def test_a_tank_that_some_trips_do_not_tell_of_is_compared_with_the_last_that_did() -> None:
    rows = [at_hour(0, fuel_start_pct=30.0), at_hour(5), at_hour(10, fuel_start_pct=80.0, fuel_end_pct=75.0)]
    assert starts(after(*rows).cyclic) == ("refuelling", 10, 1)
    rows += [at_hour(20, fuel_start_pct=76.0)]
    assert starts(after(*rows).cyclic) == ("refuelling", 10, 2)


def test_the_first_level_of_all_is_no_refuelling() -> None:
    assert starts(after(at_hour(0), at_hour(1, fuel_start_pct=90.0)).cyclic) == ("records", 0, 2)


@pytest.mark.parametrize(
    ("km", "hours", "began"),
    [(9_998.9, 1.0, 0), (9_999.0, 1.0, 1), (100.0, 99.98, 0), (100.0, 99 + 59 / 60, 1)],
)
def test_long_term_starts_over_after_either_limit(km: float, hours: float, began: int) -> None:
    memory = after(at_hour(0, distance_km=km, duration_s=hours * 3600), at_hour(1)).long_term
    assert starts(memory) == (("limit", 1, 1) if began else ("records", 0, 2))


def test_long_term_begins_with_the_drivers_reset() -> None:
    rows = [at_hour(0), at_hour(10), at_hour(20)]
    reset = Beginning(from_ms=START_MS + 5 * HOUR_MS, since="reset")
    assert starts(after(*rows, beginning=reset).long_term) == ("reset", 10, 2)
    assert starts(after(*rows, beginning=reset).short_term) == ("start", 20, 1)


@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_cannot_be_seen(rows: list[Trip], chance: Any) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert after(*shuffled, charged=(100, 7)) == after(*rows, charged=(7, 100))


@given(histories, st.lists(st.integers(-10, 5010), max_size=4), st.none() | st.integers(0, 5000))
def test_long_term_is_the_same_to_the_digit_however_often_old_trips_are_removed(
    rows: list[Trip], cuts: list[int], reset_hour: int | None
) -> None:
    beginning = Beginning() if reset_hour is None else Beginning(from_ms=START_MS + reset_hour * HOUR_MS, since="reset")
    whole = after(*rows, beginning=beginning).long_term
    left = list(rows)
    for hour in cuts:
        cut_ms = START_MS + hour * HOUR_MS
        beginning = memories.carried_forward(left, beginning, cut_ms)
        left = [one for one in left if one.started_at_ms >= cut_ms]
    assert beginning.removed_before_ms == max((START_MS + hour * HOUR_MS for hour in cuts), default=0)
    assert after(*left, beginning=beginning).long_term == whole
