"""Where someone lives cannot be told from trips."""

from collections.abc import Sequence
from math import asin, atan2, cos, degrees, inf, nan, pi, radians, sin
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips.geodesy import EARTH_RADIUS_M, distance_m
from functions.trips.privacy import fuzzed, trimmed
from shared.errors import Misconfigured, Rejected

LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)
RADII = st.floats(1, 200_000)
TENTH_OF_A_MILLIMETRE = 1e-4

Place = tuple[float, float]


class Numbered(NamedTuple):
    """A point of a route that knows more than where it is."""

    lat: float
    lon: float
    number: int


def away(place: Place, metres: float, bearing: float) -> Place:
    """The place at that distance in that direction (radians, clockwise from north)."""
    lat, lon, angle = radians(place[0]), radians(place[1]), metres / EARTH_RADIUS_M
    there = asin(max(-1.0, min(1.0, sin(lat) * cos(angle) + cos(lat) * sin(angle) * cos(bearing))))
    east = atan2(sin(bearing) * sin(angle) * cos(lat), cos(angle) - sin(lat) * sin(there))
    return degrees(there), (degrees(lon + east) + 180) % 360 - 180


@settings(deadline=None, max_examples=1000)
@given(LATITUDES, LONGITUDES, RADII)
def test_a_fuzzed_place_is_within_the_radius(lat: float, lon: float, radius_m: float) -> None:
    fuzzed_lat, fuzzed_lon = fuzzed(lat, lon, radius_m)
    assert -90 <= fuzzed_lat <= 90
    assert -180 <= fuzzed_lon < 180
    assert distance_m(lat, lon, fuzzed_lat, fuzzed_lon) <= radius_m * (1 + 1e-9) + TENTH_OF_A_MILLIMETRE


@settings(deadline=None, max_examples=500)
@given(LATITUDES, LONGITUDES, RADII)
def test_fuzzing_again_changes_nothing(lat: float, lon: float, radius_m: float) -> None:
    once = fuzzed(lat, lon, radius_m)
    assert fuzzed(*once, radius_m) == once


@settings(deadline=None, max_examples=500)
@given(st.floats(-85, 85), LONGITUDES, st.floats(10, 5000), st.floats(0, 0.65), st.floats(0, 2 * pi))
def test_all_places_around_a_fuzzed_one_look_alike(
    lat: float, lon: float, radius_m: float, part: float, bearing: float
) -> None:
    """Nothing of where in the cell a place is gets through: none of the cell's positions differs from its middle."""
    middle = fuzzed(lat, lon, radius_m)
    assert fuzzed(*away(middle, part * radius_m, bearing), radius_m) == middle


def test_cells_are_as_wide_as_high_in_the_north_too() -> None:
    """In Tromsø a degree of longitude is a third of one at the equator."""
    seen = {fuzzed(69.65 + north / 1e3, 18.95 + east / 1e3, 500) for north in range(64) for east in range(184)}
    assert 100 <= len(seen) <= 121  # ten by ten cells of 707 m, and those that the edge cuts


@pytest.mark.parametrize("radius_m", [1, 500, 100_000])
def test_both_sides_of_the_antimeridian_are_one_place(radius_m: float) -> None:
    assert fuzzed(-16.8, 180, radius_m) == fuzzed(-16.8, -180, radius_m)


@pytest.mark.parametrize("radius_m", [1, 500, 100_000])
@pytest.mark.parametrize("pole", [90, -90])
def test_a_pole_is_a_place_like_others(pole: float, radius_m: float) -> None:
    for lon in range(-180, 181, 15):
        assert distance_m(pole, lon, *fuzzed(pole, lon, radius_m)) <= radius_m


def test_a_radius_of_half_the_world_leaves_one_place() -> None:
    assert len({fuzzed(lat, lon, 3e7) for lat in range(-90, 91, 30) for lon in range(-180, 181, 30)}) == 1


def test_many_trips_from_one_place_tell_no_more_than_one() -> None:
    """The receiver is a few metres off each time; noise that is drawn anew would average out."""
    home = away(fuzzed(52.4227, 10.7865, 500), 200, 1.0)
    assert len({fuzzed(*away(home, 15, bearing / 100), 500) for bearing in range(628)}) == 1


@pytest.mark.parametrize(("lat", "lon"), [(nan, 0.0), (0.0, nan), (91.0, 0.0), (0.0, inf)])
def test_what_is_no_position_is_refused(lat: float, lon: float) -> None:
    with pytest.raises(Rejected, match="bad-position"):
        fuzzed(lat, lon, 500)
    with pytest.raises(Rejected, match="bad-position"):
        trimmed([(lat, lon), (0, 0)], 500)
    with pytest.raises(Rejected, match="bad-position"):
        trimmed([(0, 0), (lat, lon)], 500)


@pytest.mark.parametrize("radius_m", [0, -500, 0.5, nan, inf])
def test_a_radius_that_hides_nothing_is_refused(radius_m: float) -> None:
    with pytest.raises(Misconfigured):
        fuzzed(52, 10, radius_m)
    with pytest.raises(Misconfigured):
        trimmed([(52, 10)], 500, radius_m)


STEPS = st.lists(st.tuples(st.floats(0, 900), st.floats(0, 2 * pi)), max_size=40)


def drive(start: Place, steps: Sequence[tuple[float, float]]) -> list[Place]:
    route = [start]
    for metres, bearing in steps:
        route.append(away(route[-1], metres, bearing))
    return route


@settings(deadline=None, max_examples=500)
@given(LATITUDES, LONGITUDES, STEPS, st.floats(50, 2000), st.floats(50, 2000))
def test_a_trimmed_route_stays_away_from_both_ends_and_keeps_what_is_far_away(
    lat: float, lon: float, steps: list[tuple[float, float]], start_radius_m: float, end_radius_m: float
) -> None:
    """All within the radius of a true end goes, nothing beyond three times the radius does, and the order stays."""
    route = [Numbered(*place, number) for number, place in enumerate(drive((lat, lon), steps))]
    kept = trimmed(route, start_radius_m, end_radius_m)
    numbers = [point.number for point in kept]
    assert numbers == sorted(set(numbers))
    for point in route:
        from_start, from_end = distance_m(*route[0][:2], *point[:2]), distance_m(*route[-1][:2], *point[:2])
        if from_start < start_radius_m - TENTH_OF_A_MILLIMETRE or from_end < end_radius_m - TENTH_OF_A_MILLIMETRE:
            assert point not in kept
        if from_start > 3 * start_radius_m and from_end > 3 * end_radius_m:
            assert point in kept


@settings(deadline=None, max_examples=300)
@given(
    st.floats(-80, 80),
    LONGITUDES,
    STEPS,
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 2 * pi)), min_size=2, max_size=2),
)
def test_where_a_route_is_cut_does_not_depend_on_where_in_its_cell_it_began(
    lat: float, lon: float, steps: list[tuple[float, float]], homes: list[tuple[float, float]]
) -> None:
    """Else the beginnings of several trips would lie on a circle, with the home in its middle."""
    middle = fuzzed(lat, lon, 500)
    ways = [[away(middle, *home), *drive(middle, steps), away(middle, 5000, 1.0)] for home in homes]
    assert trimmed(ways[0], 500) == trimmed(ways[1], 500)


def test_a_route_that_never_leaves_the_neighbourhood_is_not_shown() -> None:
    assert trimmed(drive((52.4227, 10.7865), [(100.0, float(bearing)) for bearing in range(6)]), 500) == []


def test_a_round_trip_is_trimmed_at_both_ends() -> None:
    out = drive((52.4227, 10.7865), [(100.0, 0.0)] * 50)
    kept = trimmed(out + out[::-1], 500)
    assert 50 < len(kept) < 100
    assert kept == kept[::-1]


def test_turning_round_at_the_own_door_does_not_show_it() -> None:
    home = (52.4227, 10.7865)
    route = drive(home, [(100.0, 0.0)] * 50 + [(100.0, pi)] * 50 + [(100.0, 0.0)] * 80)
    assert all(distance_m(*home, *point) >= 500 for point in trimmed(route, 500))


def test_each_end_may_have_a_radius_of_its_own() -> None:
    route = drive((52.4227, 10.7865), [(100, 0.0)] * 100)
    kept = trimmed(route, 1000, 100)
    assert route.index(kept[0]) > 10
    assert 1 <= len(route) - 1 - route.index(kept[-1]) <= 3


def test_no_points_are_no_route() -> None:
    assert trimmed([], 500) == []


def test_what_else_is_known_of_a_point_is_kept() -> None:
    route = [Numbered(*place, number) for number, place in enumerate(drive((52.4227, 10.7865), [(100, 0.0)] * 50))]
    kept = trimmed(route, 500)
    assert kept == route[kept[0].number : kept[-1].number + 1]
