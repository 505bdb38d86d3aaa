"""Routes: what of a track is believed, how long it is, and that its line is short and right."""

import random
from itertools import pairwise
from math import degrees, pi

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips import route
from functions.trips.geodesy import DEGREE_M, decoded, distance_m
from functions.trips.records import Fold
from functions.trips.route import MAX_STRETCHES, TOLERANCE_M, Route
from functions.trips.samples import Message, Run, in_order
from functions.trips.segmentation import advance
from tests.trips.drives import MORNING_MS, POLICY
from tests.trips.tracks import Fix, circle, followed, off_line_m, run_of, steered, track

ROAD = [(50 + i / 1000, 8.0) for i in range(30)]


def line(found: Route) -> list[tuple[float, float]]:
    return [(lat / 1e5, lon / 1e5) for lat, lon in decoded(route.line(found.credible()))]


def left_out(found: Route) -> int:
    return found.given_up + sum(one.fixes for one in found.stretches) - sum(one.fixes for one in found.credible())


def fixes_of(found: Route) -> int:
    return found.given_up + sum(one.fixes for one in found.stretches)


# --- the line and its length


def test_a_straight_road_is_two_points() -> None:
    found = followed(track(ROAD))
    assert line(found) == [(50.0, 8.0), (50.029, 8.0)]
    assert route.length_m(found.credible()) == pytest.approx(0.029 * DEGREE_M)


def test_without_fixes_there_is_no_line() -> None:
    assert route.length_m(Route().credible()) == 0
    assert route.line(Route().credible()) == ""


def test_one_fix_is_a_line_of_no_length() -> None:
    found = followed(track(ROAD[:1]))
    assert line(found) == [ROAD[0], ROAD[0]]
    assert route.length_m(found.credible()) == 0


def test_repeated_fixes_are_one() -> None:
    """A receiver gives a fix a second at best, a bus repeats it."""
    repeated = [place for place in ROAD for _ in range(12)]
    found = followed(track(repeated, every_s=1))
    assert line(found) == [(50.0, 8.0), (50.029, 8.0)]
    assert route.length_m(found.credible()) == pytest.approx(0.029 * DEGREE_M)
    assert fixes_of(found) == 360


def test_a_receiver_at_rest_makes_no_way() -> None:
    chance = random.Random(3)
    rest = [(50 + chance.uniform(-3e-5, 3e-5), 8 + chance.uniform(-3e-5, 3e-5)) for _ in range(3600)]
    assert route.length_m(followed(track(rest, every_s=1)).credible()) < 10


@pytest.mark.parametrize(
    ("kmh", "radius_m", "tolerance"),
    [(20.0, 25.0, 0.05), (50.0, 60.0, 0.025), (130.0, 400.0, 0.01), (50.0, 1000.0, 0.001), (130.0, 20_000.0, 0.001)],
)
@pytest.mark.parametrize("lat", [0.0, 50.0, -70.0])
def test_the_length_of_a_circle_is_its_circumference(radius_m: float, kmh: float, tolerance: float, lat: float) -> None:
    """As tightly as a car can drive it, and on a long bend."""
    (only,) = followed(circle(radius_m, kmh, lat=lat)).credible()
    assert route.length_m([only]) == pytest.approx(2 * pi * radius_m, rel=tolerance)


def test_the_length_is_that_of_the_track_and_not_of_the_simplified_line() -> None:
    winding = list(steered((8 if second // 20 % 2 else -8, 50.0) for second in range(1200)))
    assert route.length_m(followed(winding).credible()) == pytest.approx(1199 * 50 / 3.6, rel=0.02)


def test_across_the_antimeridian_the_way_goes_on() -> None:
    places = [(-17.0, lon - 360 if lon > 180 else lon) for lon in (179.97 + i / 1000 for i in range(60))]
    found = followed(track(places))
    assert len(found.stretches) == 1
    assert route.length_m(found.credible()) == pytest.approx(distance_m(*places[0], *places[-1]), rel=1e-4)
    assert line(found)[0] == (-17.0, 179.97)
    assert line(found)[-1] == pytest.approx((-17.0, -179.971))
    assert len(line(found)) <= 6


def _turn(ms2: float, kmh: float) -> float:
    return degrees(max(-0.8, min(0.8, ms2 / kmh * 3.6))) if kmh else 0.0


_LEGS = st.tuples(
    st.sampled_from([0.0, 0.0, 0.0, 0.1, -0.1, 1.0, -1.0, 3.0, -3.0]),  # lateral acceleration, m/s²
    st.sampled_from([0.0, 5.0, 30.0, 50.0, 100.0, 130.0]),
    st.integers(1, 60),
)
_TRACKS = st.lists(_LEGS, min_size=1, max_size=25).map(
    lambda legs: list(
        steered(
            (degrees(min(0.8, ms2 / kmh * 3.6)) if kmh else 0.0, kmh)
            for ms2, kmh, seconds in legs
            for _ in range(seconds)
        )
    )
)
"""Drives that a car can do, a fix every second."""


@settings(deadline=None)
@given(_TRACKS, st.integers(0, 100), st.sampled_from([1, 7, 30]))
def test_a_track_is_nowhere_far_from_its_line(truth: list[Fix], seed: int, size: int) -> None:
    """However it turns, and with a receiver that is off by up to 3 m."""
    chance = random.Random(seed)
    fixes = [
        fix._replace(lat=fix.lat + chance.uniform(-2, 2) / DEGREE_M, lon=fix.lon + chance.uniform(-2, 2) / DEGREE_M)
        for fix in truth
    ]
    found = followed(fixes, size=size)
    assert left_out(found) == 0
    told = decoded(route.line(found.credible()))
    assert distance_m(told[0][0] / 1e5, told[0][1] / 1e5, fixes[0].lat, fixes[0].lon) < 1
    assert distance_m(told[-1][0] / 1e5, told[-1][1] / 1e5, fixes[-1].lat, fixes[-1].lon) < 1
    assert max(off_line_m(fix, told) for fix in fixes) < 4 * found.tolerance_m
    way_m = sum(distance_m(a.lat, a.lon, b.lat, b.lon) for a, b in pairwise(fixes))
    assert route.length_m(found.credible()) <= way_m + 1


@settings(deadline=None)
@given(_TRACKS, st.sets(st.integers(0, 200)), st.booleans())
def test_samples_without_a_position_are_passed_over(fixes: list[Fix], missing: set[int], with_speed: bool) -> None:
    known = [fix for index, fix in enumerate(fixes) if index not in missing]
    lat = [None if index in missing else fix.lat for index, fix in enumerate(fixes)]
    lon = [None if index in missing else fix.lon for index, fix in enumerate(fixes)]
    whole = run_of(fixes)
    columns = {"lat": lat, "lon": lon, "speed_kmh": whole.speed_kmh if with_speed else []}
    holed = Run(t=whole.t, steps=whole.steps, step_ms=whole.step_ms, whole=False, **columns)  # type: ignore[arg-type] # None as decoded
    found = Route()
    found.follow(holed, 0, len(fixes))
    assert fixes_of(found) == len(known)
    if known:
        told = decoded(route.line(found.credible()))
        assert max(off_line_m(fix, told) for fix in known) < 4 * TOLERANCE_M


# --- jumps


@pytest.mark.parametrize("every_s", [1, 10])
@pytest.mark.parametrize("size", [1, 7, 30])
@pytest.mark.parametrize("index", [0, 1, 7, 28, 29])
@pytest.mark.parametrize("bad", [(0.0, 0.0), (0.0, 8.0), (-50.0, -172.0), (50.5, 8.0)])
def test_teleports_are_left_out_wherever_they_are(
    bad: tuple[float, float], index: int, size: int, every_s: int
) -> None:
    places = [bad if i == index else (50 + i * every_s / 10_000, 8.0) for i in range(30)]
    found = followed(track(places, every_s=every_s), size=size)
    good = [place for place in places if place != bad]
    assert left_out(found) == 1
    assert bad not in line(found)
    assert line(found)[0] == good[0]
    assert line(found)[-1] == pytest.approx(good[-1])
    assert route.length_m(found.credible()) == pytest.approx(distance_m(*good[0], *good[-1]))


def test_a_teleport_that_lasts_a_while_is_left_out_as_a_whole() -> None:
    places = [(50 + i / 1000, 8.0 if not 100 <= i < 112 else 8.5) for i in range(200)]
    found = followed(track(places, every_s=10))
    assert left_out(found) == 12
    assert route.length_m(found.credible()) == pytest.approx(0.199 * DEGREE_M)


def test_a_receiver_that_was_lost_and_caught_up_is_believed() -> None:
    lost = [ROAD[0]] * 20 + [(lat + 0.02, lon) for lat, lon in ROAD]
    found = followed(track(lost))
    assert left_out(found) == 0
    assert route.length_m(found.credible()) == pytest.approx(0.049 * DEGREE_M)


def test_a_receiver_that_catches_up_by_more_than_a_car_can_do_is_believed_if_it_goes_on_well() -> None:
    """One of the recorded drives begins 1.8 km away from where it goes on."""
    places = [(50 + i / 2000, 8.0) for i in range(60)] + [(50.046 + i / 2000, 8.0) for i in range(60)]
    found = followed(track(places, every_s=5))
    assert len(found.stretches) == 2
    assert left_out(found) == 0
    assert len(line(found)) == 4
    assert route.length_m(found.credible()) == pytest.approx((50.046 + 59 / 2000 - 50) * DEGREE_M)


def test_a_long_tunnel_is_no_jump() -> None:
    places = [*ROAD, *((lat + 0.2, lon) for lat, lon in ROAD)]
    fixes = [fix._replace(t=fix.t + (600_000 if index >= 30 else 0)) for index, fix in enumerate(track(places))]
    found = followed(fixes)
    assert len(found.stretches) == 1
    assert route.length_m(found.credible()) == pytest.approx(0.229 * DEGREE_M)


def test_of_two_places_the_one_that_was_seen_longer_is_believed() -> None:
    flapping = [(50.0, 8.0) if index % 3 else (40.0, 8.0) for index in range(30)]
    found = followed(track([*flapping, *((50.0, 8.0) for _ in range(100))]))
    assert set(line(found)) == {(50.0, 8.0)}
    assert left_out(found) == 10


# --- bounds


def test_a_track_of_nothing_but_jumps_takes_no_room() -> None:
    wild = [((i * 37) % 170 - 85.0, (i * 73) % 350 - 175.0) for i in range(20_000)]
    found = followed(track(wild))
    assert len(found.stretches) <= MAX_STRETCHES
    assert len(found.credible()) >= 1
    assert fixes_of(found) == 20_000


def test_a_hostile_track_still_fits_into_a_row() -> None:
    zigzag = [(50 + (i % 2) / 1000, 8 + (i % 7) / 5000) for i in range(30_000)]
    found = followed(track(zigzag))
    assert len(msgspec.msgpack.encode(found)) < 3000
    assert 0 < len(route.line(found.credible())) < 3000


_WILD = st.tuples(
    st.floats(-90, 90), st.floats(-180, 180), st.sampled_from([0.0, 1e-4, 3e-4, 1e-3, 0.01]), st.integers(1, 300)
)


def hostile(parts: list[tuple[float, float, float, int]]) -> list[Fix]:
    """Somewhere else again and again, and there to and fro."""
    fixes = list[Fix]()
    for lat, lon, swing, count in parts:
        for index in range(count):
            y = max(-90.0, min(90.0, lat + swing * (index % 2)))
            x = max(-180.0, min(180.0, lon + swing * (index % 5)))
            fixes.append(Fix(MORNING_MS + 10_000 * len(fixes), y, x))
    return fixes


@settings(deadline=None, max_examples=60)
@given(st.lists(_WILD, min_size=1, max_size=12), st.sampled_from([7, 30]))
def test_whatever_happens_a_route_stays_small_and_loses_count_of_nothing(
    parts: list[tuple[float, float, float, int]], size: int
) -> None:
    fixes = hostile(parts)
    found = followed(fixes, size=size)
    assert len(found.stretches) <= MAX_STRETCHES
    assert fixes_of(found) == len(fixes)
    assert 0 <= left_out(found) < len(fixes)
    assert route.length_m(found.credible()) >= 0
    assert decoded(route.line(found.credible()))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Route)
    assert again == found


def test_a_jump_whenever_the_line_has_become_long_makes_it_no_longer() -> None:
    """Each stretch stays just below the share of the text at which it would be shortened."""
    fixes = list[Fix]()
    for number in range(1, MAX_STRETCHES + 1):
        for index in range(1400 // number // 6):
            fixes.append(Fix(10_000 * len(fixes), 10.0 + 5 * number + index % 2 * 0.002, 8.0 + index * 0.00031))
    assert len(msgspec.msgpack.encode(followed(fixes))) < 3000


@settings(deadline=None, max_examples=25)
@given(st.lists(_WILD, min_size=1, max_size=12), st.sampled_from([7, 30]))
def test_whatever_happens_the_state_of_a_trip_stays_small(
    parts: list[tuple[float, float, float, int]], size: int
) -> None:
    fixes = hostile(parts)
    assert len(msgspec.msgpack.encode(followed(fixes, size=size))) < 3000
    fold, largest = Fold(), 0
    for seq, start in enumerate(range(0, len(fixes), size)):
        part = run_of(fixes[start : start + size])
        advance(fold, in_order([Message("b", seq, part.t[-1], part, {})]), POLICY.rules)
        largest = max(largest, len(msgspec.msgpack.encode(fold)))
    assert largest < 4096


# --- parts


@settings(deadline=None)
@given(_TRACKS, st.integers(0, 900))
def test_parts_of_a_route_join_to_the_whole(fixes: list[Fix], cut: int) -> None:
    whole, first, second = followed(fixes), followed(fixes[:cut]), followed(fixes[cut:])
    first.join(second)
    assert fixes_of(first) == fixes_of(whole) == len(fixes)
    assert len(first.credible()) == 1
    assert route.length_m(first.credible()) == pytest.approx(route.length_m(whole.credible()), rel=0.02, abs=30)
    told = decoded(route.line(first.credible()))
    assert max(off_line_m(fix, told) for fix in fixes) < 4 * first.tolerance_m


def test_what_follows_a_jump_is_a_stretch_of_its_own_when_routes_join() -> None:
    first, second = followed(track(ROAD)), followed(track([(lat + 10, lon) for lat, lon in ROAD]))
    first.join(second)
    assert len(first.stretches) == 2


def test_a_route_ends_where_the_vehicle_came_to_a_stand() -> None:
    found = followed(track(ROAD))
    found.arrive(50.0291, 8.0)
    assert line(found)[-1] == (50.0291, 8.0)
    found.arrive(50.5, 8.0)
    assert line(found)[-1] == (50.0291, 8.0)
    Route().arrive(50.0, 8.0)


def test_single_places_are_passed_by_as_any_other() -> None:
    found = Route()
    for fix in track([ROAD[0], (0.0, 0.0), *ROAD[1:]]):
        found.pass_by(*fix[:3])
    assert left_out(found) == 1
    assert (line(found)[0], line(found)[-1]) == ((50.0, 8.0), (50.029, 8.0))
    assert route.length_m(found.credible()) == pytest.approx(0.029 * DEGREE_M)
