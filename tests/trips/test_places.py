"""Towns and time zones, everywhere on earth."""

import subprocess
import sys
from collections.abc import Callable
from math import inf, isclose, nan
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips.geodesy import distance_m
from functions.trips.places import place_at, time_zone_at
from functions.trips.towns import FARTHEST_M, FILE, OTHER_ZONE_M, Towns, reach_m, towns
from shared.errors import Rejected
from tests.trips.make_towns import made, row, table

ROOT = Path(__file__).parents[2]
LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)


@pytest.mark.parametrize(
    ("lat", "lon", "label", "time_zone"),
    [
        (52.4227, 10.7865, "Wolfsburg, DE", "Europe/Berlin"),
        (51.5000, -0.1200, "London, GB", "Europe/London"),
        (64.1500, -21.9400, "Reykjavík, IS", "Atlantic/Reykjavik"),
        (41.0100, 28.9800, "Istanbul, TR", "Europe/Istanbul"),
        (78.2200, 15.6500, "Longyearbyen, SJ", "Arctic/Longyearbyen"),
        (43.7384, 7.4246, "Monaco, MC", "Europe/Monaco"),
        (41.9022, 12.4539, "Vatican City, VA", "Europe/Vatican"),
        (33.9716, -6.8498, "Rabat, MA", "Africa/Casablanca"),
        (6.5200, 3.3800, "Lagos, NG", "Africa/Lagos"),
        (-33.9200, 18.4200, "Cape Town, ZA", "Africa/Johannesburg"),
        (28.6100, 77.2100, "Delhi, IN", "Asia/Kolkata"),
        (39.9000, 116.4000, "Beijing, CN", "Asia/Shanghai"),
        (35.6800, 139.6900, "Tokyo, JP", "Asia/Tokyo"),
        (-31.9500, 115.8600, "Perth, AU", "Australia/Perth"),
        (-31.9530, 141.4530, "Broken Hill, AU", "Australia/Broken_Hill"),
        (-36.8500, 174.7600, "Auckland, NZ", "Pacific/Auckland"),
        (40.7128, -74.0060, "New York City, US", "America/New_York"),
        (71.2900, -156.7900, "Utqiagvik, US", "America/Anchorage"),
        (19.4300, -99.1300, "Mexico City, MX", "America/Mexico_City"),
        (-23.5500, -46.6300, "São Paulo, BR", "America/Sao_Paulo"),
        (-54.8000, -68.3000, "Ushuaia, AR", "America/Argentina/Ushuaia"),
    ],
)
def test_towns_on_all_continents_are_named(lat: float, lon: float, label: str, time_zone: str) -> None:
    place = place_at(lat, lon)
    assert place
    assert (place.label, time_zone_at(lat, lon)) == (label, time_zone)


@pytest.mark.parametrize(
    ("lat", "lon", "label", "time_zone"),
    [
        # Across the Rhine, 400 m.
        (48.5715, 7.7985, "Strasbourg, FR", "Europe/Paris"),
        (48.5717, 7.8040, "Kehl, DE", "Europe/Berlin"),
        # Across the tripoint's ridge, 400 m.
        (50.7547, 6.0180, "Vaals, NL", "Europe/Amsterdam"),
        (50.7547, 6.0240, "Aachen, DE", "Europe/Berlin"),
        # An hour's difference, in neighbouring streets.
        (65.8450, 24.1300, "Haparanda, SE", "Europe/Stockholm"),
        (65.8400, 24.1600, "Tornio, FI", "Europe/Helsinki"),
        # A half-year's difference: one changes its clocks, one does not.
        (-28.1700, 153.5400, "Coolangatta, AU", "Australia/Brisbane"),
        (-28.1760, 153.5410, "Tweed Heads, AU", "Australia/Sydney"),
        # The same within one state: the Navajo Nation, and the Hopi Reservation inside it.
        (36.1540, -109.5530, "Chinle, US", "America/Denver"),
        (35.8700, -110.6100, "First Mesa, US", "America/Phoenix"),
        # Across a river, and across a fence.
        (42.3290, -83.0440, "Detroit, US", "America/Detroit"),
        (42.3200, -83.0390, "Windsor, CA", "America/Toronto"),
        (32.5430, -117.0290, "Chula Vista, US", "America/Los_Angeles"),
        (32.5400, -117.0290, "Tijuana, MX", "America/Tijuana"),
        # Germany inside Switzerland.
        (47.6967, 8.6889, "Büsingen, DE", "Europe/Busingen"),
    ],
)
def test_a_border_is_seen_from_the_right_side(lat: float, lon: float, label: str, time_zone: str) -> None:
    place = place_at(lat, lon)
    assert place
    assert (place.label, time_zone_at(lat, lon)) == (label, time_zone)


@pytest.mark.parametrize(("lat", "lon"), [(52.499, 13.403), (52.535, 13.200), (52.545, 13.355)])
def test_a_district_is_not_named_but_its_city(lat: float, lon: float) -> None:
    """Kreuzberg, Spandau and Wedding have more inhabitants than most towns."""
    place = place_at(lat, lon)
    assert place
    assert place.label == "Berlin, DE"


def test_the_distance_is_that_to_the_centre() -> None:
    centre, outside = place_at(52.42452, 10.78150), place_at(52.42452, 10.75000)
    assert centre
    assert outside
    assert centre.town == outside.town == "Wolfsburg"
    assert centre.distance_km < 0.002
    assert isclose(outside.distance_km, distance_m(52.42452, 10.7815, 52.42452, 10.75) / 1000, abs_tol=0.002)


@pytest.mark.parametrize(
    ("lat", "lon", "time_zone"),
    [
        (57.0, 3.5, "Etc/GMT"),  # the North Sea
        (0.0, -30.0, "Etc/GMT+2"),  # the Atlantic
        (25.0, -140.0, "Etc/GMT+9"),  # the Pacific
        (-31.72, 128.88, "Australia/Eucla"),  # a road house in the desert
        (90.0, 0.0, "Etc/GMT"),
        (90.0, 135.0, "Etc/GMT-9"),
        (-90.0, 50.0, "Antarctica/McMurdo"),
    ],
)
def test_far_from_all_towns_there_is_a_time_zone_and_no_town(lat: float, lon: float, time_zone: str) -> None:
    assert place_at(lat, lon) is None
    assert time_zone_at(lat, lon) == time_zone


def test_a_sliver_between_simplified_borders_has_a_neighbours_time_zone() -> None:
    """There is one in the river that Luxembourg and Germany own together."""
    assert time_zone_at(49.8872148457374, 6.256531457566859) in {"Europe/Luxembourg", "Europe/Berlin"}


@settings(deadline=None, max_examples=500)
@given(LATITUDES, LONGITUDES)
def test_every_position_has_a_time_zone_that_python_knows(lat: float, lon: float) -> None:
    assert ZoneInfo(time_zone_at(lat, lon))


@settings(deadline=None, max_examples=500)
@given(LATITUDES, LONGITUDES)
def test_every_position_has_a_town_or_none(lat: float, lon: float) -> None:
    place = place_at(lat, lon)
    if place is not None:
        assert place.town
        assert len(place.country) == 2
        assert place.distance_km <= (FARTHEST_M + reach_m(30_000_000)) / 1000


@pytest.mark.parametrize("look_up", [place_at, time_zone_at])
@pytest.mark.parametrize(
    ("lat", "lon"), [(nan, 0.0), (0.0, nan), (inf, 0.0), (0.0, -inf), (90.001, 0.0), (-91.0, 0.0), (0.0, 180.001)]
)
def test_what_is_no_position_is_refused(look_up: Callable[[float, float], object], lat: float, lon: float) -> None:
    with pytest.raises(Rejected, match="bad-position"):
        look_up(lat, lon)


AROUND = st.sampled_from([(48.0, 9.0), (0.0, 0.0), (-17.0, 180.0), (66.0, -180.0), (89.5, 30.0), (-89.9, 0.0)])
NEAR = st.floats(-1.5, 1.5)


@settings(deadline=None, max_examples=300)
@given(
    AROUND,
    NEAR,
    NEAR,
    st.lists(st.tuples(NEAR, NEAR, st.integers(0, 30_000_000), st.sampled_from("ABC")), min_size=1, max_size=40),
)
def test_the_search_finds_what_comparing_all_finds(
    middle: tuple[float, float], north: float, east: float, drawn: list[tuple[float, float, int, str]]
) -> None:
    """Also around poles and antimeridian, for towns of all sizes, on both sides of borders."""

    def displaced(north: float, east: float) -> tuple[float, float]:
        lat, lon = middle[0] + north, middle[1] + east * (120 if abs(middle[0]) > 89 else 1)
        return max(-90.0, min(90.0, lat)), (lon + 180) % 360 - 180

    position = displaced(north, east)
    positions = [displaced(north, east) for north, east, _, _ in drawn]
    rows = [
        row(number, f"town {number}", "XX", zone, *positions[number], inhabitants)
        for number, (_, _, inhabitants, zone) in enumerate(drawn)
    ]
    beyond_edge = {
        f"town {number}": distance_m(*position, *positions[number])
        - reach_m(inhabitants)
        + (0 if zone == "B" else OTHER_ZONE_M)
        for number, (_, _, inhabitants, zone) in enumerate(drawn)
    }
    least, rounding = min(beyond_edge.values()), 5
    found = Towns(table(rows, "made up")).nearest(*position, "B")
    if found is None:
        assert least > FARTHEST_M - rounding
    else:
        assert beyond_edge[found.name] <= min(least, FARTHEST_M) + rounding


def test_the_table_is_the_one_made_from_geonames() -> None:
    """`python -m tests.trips.make_towns` writes it anew."""
    assert FILE.read_bytes() == made()
    assert len(towns()) > 150_000


def test_nothing_is_loaded_before_the_first_look_up() -> None:
    code = "import sys, functions.trips.places as p; print('tzfpy' in sys.modules, p.towns.cache_info().currsize)"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output.split() == ["False", "0"]
