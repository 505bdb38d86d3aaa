"""Distances on the globe, lines made simpler, and lines as text."""

from math import cos, isclose, radians

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips.geodesy import DEGREE_M, decoded, distance_m, encoded, simplified, to_e5

_ANYWHERE = st.tuples(st.integers(-90 * 10**5, 90 * 10**5), st.integers(-180 * 10**5, 180 * 10**5))
_NEARBY = st.tuples(st.integers(4_999_000, 5_001_000), st.integers(799_000, 801_000))


def test_distances_are_those_of_the_globe() -> None:
    assert isclose(distance_m(52.5200, 13.4050, 48.1351, 11.5820), 504_200, rel_tol=1e-3)  # Berlin to Munich
    assert isclose(distance_m(0, 0, 1, 0), DEGREE_M, rel_tol=1e-12)
    assert isclose(distance_m(90, 0, -90, 77), 180 * DEGREE_M, rel_tol=1e-12)
    assert distance_m(10, 10, 10, 10) == 0


def test_the_antimeridian_is_no_border() -> None:
    assert isclose(distance_m(0, 179.5, 0, -179.5), DEGREE_M, rel_tol=1e-9)
    assert distance_m(12.0, 180.0, 12.0, -180.0) < 1e-6


def test_a_pole_is_one_place() -> None:
    assert distance_m(90, 0, 90, 120) < 1e-6


def test_the_polyline_is_googles() -> None:
    """The examples of the format's description."""
    places = [(38.5, -120.2), (40.7, -120.95), (43.252, -126.453)]
    points = [(to_e5(lat), to_e5(lon)) for lat, lon in places]
    assert encoded(points) == "_p~iF~ps|U_ulLnnqC_mqNvxq`@"
    assert decoded("_p~iF~ps|U_ulLnnqC_mqNvxq`@") == points
    assert encoded([(to_e5(-179.9832104), 0)]) == "`~oia@?"


@settings(deadline=None)
@given(st.lists(_ANYWHERE, max_size=20))
def test_a_line_comes_back_from_its_text_exactly(points: list[tuple[int, int]]) -> None:
    assert decoded(encoded(points)) == points


@settings(deadline=None)
@given(st.lists(_ANYWHERE, min_size=1, max_size=20), st.integers(1, 19))
def test_a_line_may_be_written_in_parts(points: list[tuple[int, int]], size: int) -> None:
    first, rest = points[:size], points[size:]
    assert encoded(first) + encoded(rest, first[-1]) == encoded(points)


def test_a_straight_line_is_its_ends() -> None:
    assert simplified([(5_000_000 + 100 * i, 800_000) for i in range(30)], 15.0) == [
        (5_000_000, 800_000),
        (5_002_900, 800_000),
    ]


@pytest.mark.parametrize("points", [[(1, 2)], [(1, 2), (1, 2)], [(1, 2), (3, 4)]])
def test_what_has_no_middle_stays_as_it_is(points: list[tuple[int, int]]) -> None:
    assert simplified(points, 15.0) == points


@settings(deadline=None)
@given(st.lists(_NEARBY, min_size=1, max_size=30))
def test_no_point_is_further_from_the_short_form_than_the_tolerance(points: list[tuple[int, int]]) -> None:
    short = simplified(points, 15.0)
    assert short[0] == points[0]
    assert short[-1] == points[-1]
    line = [metres(*point) for point in short]
    for point in points:
        away = min(from_segment(metres(*point), a, b) for a, b in zip(line, line[1:] or line, strict=False))
        assert away < 15.01


def metres(lat_e5: int, lon_e5: int) -> complex:
    return complex((lon_e5 / 1e5 - 8) * DEGREE_M * cos(radians(50)), (lat_e5 / 1e5 - 50) * DEGREE_M)


def from_segment(point: complex, a: complex, b: complex) -> float:
    if a == b:
        return abs(point - a)
    along = ((point - a) / (b - a)).real
    return abs(point - a - min(1.0, max(0.0, along)) * (b - a))
