"""Harsh events, the kind of road, and the eco score."""

import csv
from datetime import datetime
from itertools import accumulate, pairwise
from math import isclose
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips.driving import (
    EVENT_MS,
    HARSH_OVER_KM,
    IDLING_POINTS,
    RURAL_KMH,
    SHORTEST_MS,
    SMOOTHNESS_POINTS,
    SPEED_POINTS,
    URBAN_KMH,
    Harshness,
    Pace,
    accelerations,
    eco_score,
    shares,
    speed_class,
)
from localcloud.fleet.cycles import Cycle, CycleName, load_cycle

G = 9.80665
speeds = st.integers(0, 250).map(float)


@st.composite
def drives(draw: st.DrawFn, shortest_ms: int = 1) -> tuple[list[int], list[float]]:
    """Times and speeds of one drive."""
    values = draw(st.lists(speeds, min_size=1, max_size=40))
    steps = draw(st.lists(st.integers(shortest_ms, 5000), min_size=len(values), max_size=len(values)))
    return list(accumulate(steps)), values


def test_a_change_of_speed_is_an_acceleration_in_metres_per_second_squared() -> None:
    found, pace = accelerations([0, 1000, 2000], [50.0, 39.2, 42.8])
    assert [(t, round(value, 6)) for t, value in found] == [(1000, -3.0), (2000, 1.0)]
    assert pace == Pace(42.8, 2000)


def test_a_speed_that_was_only_repeated_did_not_change_in_one_second() -> None:
    """As recorded: a bus that repeats 44.17 km/h for five seconds, then has 26.3."""
    found, _ = accelerations([220_000 + 1000 * i for i in range(6)], [44.17] * 5 + [26.3])
    assert [round(value, 2) for _, value in found] == [-0.99]


def test_braking_out_of_a_constant_speed_is_harsh_from_its_second_sample_on() -> None:
    found, _ = accelerations([1000 * i for i in range(13)], [100.0] * 10 + [85.0, 70.0, 55.0])
    assert [value <= -Harshness().braking for _, value in found] == [False, True, True]


def test_measuring_more_often_is_not_driving_more_harshly() -> None:
    """Ten samples a second with a resolution of 1 km/h: each step alone would be 2.8 m/s²."""
    found, _ = accelerations(list(range(0, 5000, 100)), [30.0 + i // 3 for i in range(50)])
    assert max(value for _, value in found) < 1.2


@given(drives(SHORTEST_MS), st.integers(2, 5))
def test_repeating_a_value_until_there_is_a_new_one_changes_nothing(
    drive: tuple[list[int], list[float]], times: int
) -> None:
    moments, values = drive
    held = [
        (before + (after - before) * part // times, value)
        for (before, after), value in zip(pairwise(moments), values, strict=False)
        for part in range(times)
    ]
    held.append((moments[-1], values[-1]))
    assert accelerations([t for t, _ in held], [value for _, value in held]) == accelerations(moments, values)


@given(drives(), st.integers(0, 40))
def test_a_drive_in_two_parts_is_the_same_drive(drive: tuple[list[int], list[float]], cut: int) -> None:
    moments, values = drive
    first, pace = accelerations(moments[:cut], values[:cut])
    second, last = accelerations(moments[cut:], values[cut:], pace)
    assert (first + second, last) == accelerations(moments, values)


@given(drives())
def test_accelerations_add_up_to_the_change_of_speed(drive: tuple[list[int], list[float]]) -> None:
    moments, values = drive
    found, pace = accelerations(moments, values)
    assert pace is not None
    assert all(value != 0 for _, value in found)
    assert len({t for t, _ in found}) == len(found)
    spans_ms = [b - a for a, b in pairwise([moments[0], *(t for t, _ in found)])]
    assert all(span_ms >= SHORTEST_MS for span_ms in spans_ms)


def test_a_recorded_car_of_13_kw_accelerates_like_one(drives: Path) -> None:
    """The figures of docs/trips.md. From one sample to the next, the same recordings show 11 m/s²."""
    brakings = harsh_accelerations = 0
    strongest = 0.0
    for file in sorted(drives.glob("twizy-*.csv")):
        rows = [row for row in csv.DictReader(file.open()) if row["time"].startswith("2021") and row["speed_kmh"]]
        moments_ms = [round(datetime.fromisoformat(row["time"]).timestamp() * 1000) for row in rows]
        found, _ = accelerations(moments_ms, [float(row["speed_kmh"]) for row in rows])
        brakings += _events([t for t, value in found if value <= -3.0])
        harsh_accelerations += _events([t for t, value in found if value >= 3.0])
        strongest = max(strongest, *(value for _, value in found))
    assert (brakings, harsh_accelerations, round(strongest, 1)) == (14, 3, 3.6)


def _events(moments_ms: list[int]) -> int:
    return len(moments_ms[:1]) + sum(b - a > EVENT_MS for a, b in pairwise(moments_ms))


def test_time_that_stands_still_or_runs_backwards_accelerates_nobody() -> None:
    assert accelerations([5000, 5000, 1000], [0.0, 100.0, 200.0]) == ([], Pace(0.0, 5000))


@pytest.mark.parametrize("name", CycleName)
def test_no_type_approval_cycle_is_harsh(name: CycleName) -> None:
    cycle = load_cycle(name)
    found, _ = accelerations([1000 * i for i in range(len(cycle.speeds_kmh))], cycle.speeds_kmh)
    assert max(abs(value) for _, value in found) < 1.7 < min(Harshness())


def test_thresholds_are_below_those_for_accelerometers() -> None:
    """Simons-Morton et al. 2012: braking 0.45 g, acceleration 0.35 g, cornering 0.50 g."""
    assert Harshness() < (0.45 * G, 0.35 * G, 0.50 * G)
    assert EVENT_MS > 1000


@pytest.mark.parametrize(
    ("speed_kmh", "expected"),
    [(0.0, "urban"), (60.0, "urban"), (60.1, "rural"), (90.0, "rural"), (90.1, "motorway"), (250.0, "motorway")],
)
def test_speed_classes_are_those_of_real_driving_emissions(speed_kmh: float, expected: str) -> None:
    """Regulation (EU) 2017/1151, annex IIIA, 6.3 to 6.5."""
    assert speed_class(speed_kmh) == expected


@given(*(st.floats(0, 1e9, allow_subnormal=False) for _ in range(3)))
def test_shares_of_the_road_add_up_to_one(urban: float, rural: float, motorway: float) -> None:
    found = shares(urban, rural, motorway)
    if found is None:
        assert urban + rural + motorway == 0
    else:
        assert isclose(sum(found), 1.0, abs_tol=2e-4)
        assert min(found) >= 0


def test_a_vehicle_that_went_nowhere_has_no_shares() -> None:
    assert shares(0.0, 0.0, 0.0) is None


SMOOTH: dict[str, Any] = {
    "distance_km": 20.0,
    "duration_s": 1200.0,
    "idle_s": 0.0,
    "harsh_events": 0,
    "motorway_share": 0.0,
}


def points(**changes: Any) -> tuple[int, ...]:
    score = eco_score(**(SMOOTH | changes))
    assert score is not None
    return score


def test_who_drives_smoothly_never_waits_and_never_hurries_has_all_points() -> None:
    assert points() == (100, SMOOTHNESS_POINTS, IDLING_POINTS, SPEED_POINTS)


def test_each_part_can_be_lost_on_its_own() -> None:
    assert points(harsh_events=10) == (60, 0, 20, 40)
    assert points(idle_s=600.0) == (80, 40, 0, 40)
    assert points(motorway_share=1.0, motorway_kmh=130.0) == (60, 40, 20, 0)
    assert points(harsh_events=99, idle_s=1200.0, motorway_share=1.0, motorway_kmh=200.0) == (0, 0, 0, 0)


def test_parts_are_lost_in_proportion() -> None:
    assert points(harsh_events=5) == (80, 20, 20, 40)
    assert points(idle_s=300.0) == (90, 40, 10, 40)
    assert points(motorway_share=0.5, motorway_kmh=110.0) == (90, 40, 20, 30)


def test_an_unknown_speed_on_the_motorway_counts_as_110_km_h() -> None:
    assert points(motorway_share=0.7) == points(motorway_share=0.7, motorway_kmh=110.0)


def test_one_event_on_a_short_trip_is_not_a_habit() -> None:
    assert points(distance_km=2.0, harsh_events=1) == points(distance_km=HARSH_OVER_KM, harsh_events=1)
    assert points(distance_km=2.0, harsh_events=1)[1] == 32


@pytest.mark.parametrize("changes", [{"distance_km": 0.99}, {"motorway_share": None}, {"duration_s": 0.0}])
def test_a_trip_too_short_or_without_speed_has_no_score(changes: dict[str, Any]) -> None:
    assert eco_score(**(SMOOTH | changes)) is None


def _scored(cycle: Cycle) -> tuple[int, ...]:
    means = [(a + b) / 2 for a, b in pairwise(cycle.speeds_kmh)]
    fast = [kmh for kmh in means if kmh > RURAL_KMH]
    urban_km, rural_km = (sum(kmh for kmh in means if speed_class(kmh) == kind) / 3600 for kind in ("urban", "rural"))
    found = shares(urban_km, rural_km, sum(fast) / 3600)
    assert found is not None
    return points(
        distance_km=cycle.distance_km,
        duration_s=cycle.duration_s,
        idle_s=sum(kmh < 1 for kmh in cycle.speeds_kmh[:-1]),
        motorway_share=found.motorway,
        motorway_kmh=sum(fast) / len(fast),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (CycleName.WLTC_CLASS_3B, (88, 40, 15, 33)),
        (CycleName.UDDS, (92, 40, 12, 40)),
        (CycleName.HWFET, (99, 40, 20, 39)),
    ],
)
def test_type_approval_cycles_score_well(name: CycleName, expected: tuple[int, ...]) -> None:
    """The figures of docs/trips.md."""
    assert _scored(load_cycle(name)) == expected


rides = st.fixed_dictionaries(
    {
        "distance_km": st.floats(1, 2000),
        "duration_s": st.floats(1, 100_000),
        "idle_s": st.floats(0, 100_000),
        "harsh_events": st.integers(0, 1000),
        "motorway_share": st.floats(0, 1),
        "motorway_kmh": st.none() | st.floats(URBAN_KMH, 400),
    }
)


@given(rides)
def test_the_parts_are_bounded_and_add_up(ride: dict[str, Any]) -> None:
    score, smoothness, idling, speed = points(**ride)
    assert 0 <= smoothness <= SMOOTHNESS_POINTS
    assert 0 <= idling <= IDLING_POINTS
    assert 0 <= speed <= SPEED_POINTS
    assert score == smoothness + idling + speed <= 100


@given(rides, st.sampled_from(["idle_s", "harsh_events", "motorway_share", "motorway_kmh"]), st.floats(0, 1000))
def test_more_waiting_harshness_or_haste_never_scores_better(ride: dict[str, Any], what: str, more: float) -> None:
    value = ride[what] if ride[what] is not None else 110.0
    worse = ride | {what: min(1.0, value + more) if what == "motorway_share" else value + more}
    for before, after in zip(points(**ride), points(**worse), strict=True):
        assert after <= before


@given(rides, st.floats(0, 1000))
def test_the_same_events_on_a_longer_way_never_score_worse(ride: dict[str, Any], more_km: float) -> None:
    assert points(**(ride | {"distance_km": ride["distance_km"] + more_km})) >= points(**ride)
