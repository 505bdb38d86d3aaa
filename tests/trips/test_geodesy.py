"""Distances, routes without impossible jumps, and encoded polylines."""

from math import cos, isclose, radians

from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips.geodesy import Fix, distance_m, merge_repeated, polyline, without_jumps


def track(*places: tuple[float, float], every_s: int = 10) -> list[Fix]:
    return [Fix(lat, lon, 1000 * every_s * i, 1000 * every_s * i) for i, (lat, lon) in enumerate(places)]


def decode(text: str) -> list[tuple[float, float]]:
    """The inverse, written from the format's description."""
    numbers, value, shift = list[int](), 0, 0
    for character in text:
        chunk = ord(character) - 63
        value |= (chunk & 0x1F) << shift
        shift += 5
        if chunk < 0x20:
            numbers.append(~(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    places, lat, lon = list[tuple[float, float]](), 0, 0
    for dlat, dlon in zip(numbers[::2], numbers[1::2], strict=True):
        lat, lon = lat + dlat, lon + dlon
        places.append((lat / 1e5, lon / 1e5))
    return places


def test_distances_are_those_of_the_globe() -> None:
    assert isclose(distance_m(52.5200, 13.4050, 48.1351, 11.5820), 504_200, rel_tol=1e-3)  # Berlin to Munich
    assert isclose(distance_m(0, 179.5, 0, -179.5), 111_195, rel_tol=1e-4)
    assert distance_m(10, 10, 10, 10) == 0


def test_repeated_fixes_are_one() -> None:
    assert merge_repeated([(0, 1.0, 2.0), (1, 1.0, 2.0), (2, 3.0, 2.0), (3, 1.0, 2.0)]) == [
        Fix(1.0, 2.0, 0, 1, 2),
        Fix(3.0, 2.0, 2, 2),
        Fix(1.0, 2.0, 3, 3),
    ]


ROAD = [(50 + i / 1000, 8.0) for i in range(30)]


def test_teleports_are_left_out_wherever_they_are() -> None:
    for index in (0, 7, 29):
        bad = [(0.0, 8.0) if i == index else place for i, place in enumerate(ROAD)]
        assert [(fix.lat, fix.lon) for fix in without_jumps(track(*bad))] == [p for p in bad if p != (0.0, 8.0)]


def test_a_receiver_that_was_lost_and_caught_up_is_believed() -> None:
    lost = [ROAD[0]] * 20 + [(lat + 0.02, lon) for lat, lon in ROAD]
    assert len(without_jumps(track(*lost))) == len(lost)


def test_a_track_of_nothing_but_jumps_takes_no_time() -> None:
    wild = track(*(((i * 37) % 170 - 85, (i * 73) % 350 - 175) for i in range(20_000)))
    assert 1 <= len(without_jumps(wild)) < 100


def test_the_polyline_is_googles() -> None:
    """The example of the format's description."""
    places = track((38.5, -120.2), (40.7, -120.95), (43.252, -126.453))
    assert polyline(places) == "_p~iF~ps|U_ulLnnqC_mqNvxq`@"


def test_a_straight_road_is_two_points() -> None:
    assert decode(polyline(track(*ROAD))) == [(50.0, 8.0), (50.029, 8.0)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(49.99, 50.01), st.floats(7.99, 8.01)), min_size=1, max_size=30))
def test_no_point_is_further_from_the_short_form_than_the_tolerance(places: list[tuple[float, float]]) -> None:
    def metres(lat: float, lon: float) -> complex:
        return complex((lon - 8) * 111_195 * cos(radians(50)), (lat - 50) * 111_195)

    short = [metres(*place) for place in decode(polyline(track(*places)))]
    for place in places:
        point = metres(*place)
        away = min(_from_segment(point, a, b) for a, b in zip(short, short[1:] or short, strict=False))
        assert away < 15 + 2  # five digits are a metre


def _from_segment(point: complex, a: complex, b: complex) -> float:
    if a == b:
        return abs(point - a)
    along = ((point - a) / (b - a)).real
    return abs(point - a - min(1.0, max(0.0, along)) * (b - a))


def test_a_hostile_track_still_fits_into_a_row() -> None:
    zigzag = track(*((50 + (i % 2) / 10, 8 + (i % 7) / 50) for i in range(30_000)))
    assert 0 < len(polyline(zigzag)) <= 30_000
