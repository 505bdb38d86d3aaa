"""Speeds that no car can have come to, alone and in what becomes of a trip."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips.leaps import are_plain, leaps, most_kmh
from functions.trips.summary import Summary
from tests.trips.drives import MORNING_MS, message
from tests.trips.vehicle import after

Speeds = list[float]


def steady(kmh: float, count: int) -> Speeds:
    return [kmh] * count


def wrong(speeds: Sequence[float | None], *, step_ms: int = 1000) -> list[int]:
    return sorted(leaps([step_ms * index for index in range(len(speeds))], speeds))


def trip_of(speeds: Sequence[float], *, size: int = 30) -> Summary:
    """Of a car that tells nothing but its speed, once a second, in messages of so many samples."""
    rows = [{"t": MORNING_MS + 1000 * second, "speed_kmh": kmh} for second, kmh in enumerate(speeds)]
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    (trip,) = after([message(seq, part) for seq, part in enumerate(parts)]).trips
    return trip


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        (steady(36, 14) + steady(255, 1) + steady(36, 15), [14]),
        (steady(36, 14) + steady(255, 6) + steady(40, 10), list(range(14, 20))),
        (steady(0, 14) + steady(255, 2) + steady(0, 14), [14, 15]),
        ([36.0, 255.0, 36.0, 255.0, 36.0], [1, 3]),
        ([36.0, 255.0], [1]),
        (steady(255, 1) + steady(36, 14) + steady(255, 1) + steady(36, 14), [0, 15]),
        (steady(36, 25) + steady(255, 5), [25, 26, 27, 28, 29]),
        (steady(255, 4) + steady(36, 26), [0, 1, 2, 3]),
    ],
    ids=str,
)
def test_a_value_for_not_available_is_no_speed(speeds: Speeds, expected: list[int]) -> None:
    """In the middle of a message, at its end, and at its beginning, where the part before is in another message."""
    assert wrong(speeds) == expected


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        (steady(120, 10) + steady(0, 1) + steady(120, 19), [10]),
        (steady(120, 10) + steady(0, 3) + steady(125, 17), [10, 11, 12]),
        (steady(120, 27) + steady(0, 2) + steady(120, 1), [27, 28]),
        (steady(0, 2) + steady(120, 28), [0, 1]),
    ],
    ids=str,
)
def test_a_dropout_is_no_standstill(speeds: Speeds, expected: list[int]) -> None:
    assert wrong(speeds) == expected


@pytest.mark.parametrize(
    "speeds",
    [
        [0.0, 50.0, 100.0, 120.0],
        [*steady(0, 9), 40.0, 41.0],
        [*steady(100, 10), 30.0, *steady(0, 19)],
        [*steady(100, 10), *steady(0, 20)],
        [*steady(130, 10), *steady(0, 20)],
        [130.0, *steady(0, 29)],
        [*steady(130, 29), 0.0],
        [*steady(130, 5), *steady(0, 24), 2.0],
    ],
    ids=str,
)
def test_what_a_car_can_do_stays(speeds: Speeds) -> None:
    """From 0 to 100 km/h in two seconds, the longest repetition on a recorded bus, and crashes."""
    assert wrong(speeds) == []


def test_after_a_crash_a_gain_is_as_impossible_as_before() -> None:
    assert wrong(steady(120, 10) + steady(0, 3) + steady(255, 1) + steady(0, 16)) == [13]


def test_the_time_between_samples_counts() -> None:
    """None: a clock that tells whole seconds, whose samples are up to one apart. Ten seconds: any speed is possible."""
    assert wrong(steady(36, 5) + steady(85, 1) + steady(36, 5), step_ms=0) == []
    assert wrong(steady(36, 5) + steady(100, 1) + steady(36, 5), step_ms=0) == [5]
    assert wrong(steady(36, 5) + steady(255, 1) + steady(36, 5), step_ms=10_000) == []


def test_samples_without_a_speed_are_passed_by() -> None:
    assert wrong([36.0, None, 255.0, None, 36.0]) == [2]
    assert wrong([None, None]) == []
    assert wrong([]) == []


_SPEEDS = st.lists(st.sampled_from([0.0, 30.0, 60.0, 130.0, 255.0, 400.0]) | st.floats(0, 400), min_size=2, max_size=60)
_STEPS_MS = st.sampled_from([0, 1, 500, 1000, 1000, 1000, 2000, 5000, 10_000])


@given(_SPEEDS, st.data())
def test_what_is_left_has_no_impossible_gain_and_is_not_nothing(speeds: Speeds, data: st.DataObject) -> None:
    steps = data.draw(st.lists(_STEPS_MS, min_size=len(speeds) - 1, max_size=len(speeds) - 1))
    times = [0]
    for step in steps:
        times.append(times[-1] + step)
    found = leaps(times, speeds)
    left = [(t, kmh) for index, (t, kmh) in enumerate(zip(times, speeds, strict=True)) if index not in found]
    assert left
    assert all(after_kmh - kmh <= most_kmh(after_ms - ms) for (ms, kmh), (after_ms, after_kmh) in pairwise(left))
    assert not (are_plain(speeds, min(steps)) and found)


def test_a_spike_is_neither_the_maximum_of_a_trip_nor_harsh_driving() -> None:
    for place in range(60, 90):  # wherever in a message
        speeds = steady(36, 150)
        speeds[place] = 255.0
        trip = trip_of(speeds)
        assert (trip.max_speed_kmh, trip.harsh_accelerations, trip.harsh_brakings) == (36.0, 0, 0)
        assert trip.distance_km == pytest.approx(149 * 0.01, abs=0.002)
        assert trip.dropped == {"speed": 1}


@pytest.mark.parametrize("lasts_s", [1, 2, 5])
def test_a_dropout_costs_no_distance(lasts_s: int) -> None:
    speeds = steady(120, 40) + steady(0, lasts_s) + steady(120, 60)
    trip = trip_of(speeds)
    assert trip.distance_km == pytest.approx((len(speeds) - 1) / 30, abs=0.002)
    assert (trip.idle_s, trip.harsh_brakings, trip.dropped) == (0, 0, {"speed": lasts_s})


@pytest.mark.parametrize("lasts_s", [1, 2, 5])
def test_a_dropout_over_two_messages_costs_no_more_than_the_way_meanwhile(lasts_s: int) -> None:
    for place in range(60, 90):
        speeds = steady(120, 150)
        speeds[place : place + lasts_s] = steady(0, lasts_s)
        lost_km = 149 / 30 - trip_of(speeds).distance_km
        assert -0.001 < lost_km < lasts_s / 30 + 0.001


def test_a_crash_is_a_harsh_braking() -> None:
    trip = trip_of([*range(40, 100, 10), *[100.0, 101.0] * 20, *steady(0, 44)])
    assert (trip.harsh_brakings, trip.max_speed_kmh, trip.dropped) == (1, 101.0, {})
