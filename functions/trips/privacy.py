"""Trips that do not tell where someone lives: ends that are only roughly right, routes without their ends.

Positions are snapped to the middle of their cell in a fixed grid. Unlike noise, that gives the same place every day,
so that many trips tell no more than one. Who knows the grid learns in which cell a place is, and nothing about where
in it. Only a place within a receiver's error of an edge changes between neighbours, and is known to be near both.
"""

from collections.abc import Sequence
from math import ceil, cos, inf, pi, radians, sqrt
from typing import TypeVar

from functions.trips.geodesy import EARTH_RADIUS_M, distance_m
from functions.trips.positions import check_position
from shared.errors import Misconfigured

Point = TypeVar("Point", bound=tuple[float, ...])


def fuzzed(lat: float, lon: float, radius_m: float) -> tuple[float, float]:
    """Latitude and longitude of a place at most `radius_m` away, the same for all positions in a cell of the grid.

    Cells are as wide as high in metres at any latitude, about 1.4 times the radius. Raises `Rejected` for what is no
    position, `Misconfigured` for a radius below a metre.
    """
    check_position(lat, lon)
    _check_radius(radius_m)
    side_m = sqrt(2) * radius_m
    rows = ceil(pi * EARTH_RADIUS_M / side_m)
    height = 180 / rows
    row = min(int((lat + 90) / height), rows - 1)
    south, north = row * height - 90, (row + 1) * height - 90
    longest_parallel_m = 2 * pi * EARTH_RADIUS_M * cos(radians(max(0.0, south, -north)))
    columns = ceil(longest_parallel_m / side_m)
    width = 360 / columns
    column = int((lon + 180) / width) % columns
    return (south + north) / 2, (column + 0.5) * width - 180


def trimmed(points: Sequence[Point], start_radius_m: float, end_radius_m: float | None = None) -> list[Point]:
    """The points of a route (tuples that begin with latitude and longitude) that do not tell its ends.

    Those go that are within twice the radius of the *fuzzed* start or end: all within the radius of the true place,
    none beyond three times the radius. A circle around the true place itself would be its undoing: a few trips in
    different directions show the circle, and so its middle (Hassan, Hussain, Bates, "Analysis of Privacy Protections in
    Fitness Tracking Social Networks", USENIX Security 2018). Points in the midst of a route go too, since who turns
    round at the door for a forgotten thing has not ended the trip. A route that stays in the neighbourhood is empty.

    Without `end_radius_m` it is that of the start. Raises as `fuzzed` does.
    """
    if not points:
        return []
    end_radius_m = start_radius_m if end_radius_m is None else end_radius_m
    start = fuzzed(points[0][0], points[0][1], start_radius_m)
    end = fuzzed(points[-1][0], points[-1][1], end_radius_m)
    return [
        point
        for point in points
        if distance_m(point[0], point[1], *start) > 2 * start_radius_m
        and distance_m(point[0], point[1], *end) > 2 * end_radius_m
    ]


def _check_radius(radius_m: float) -> None:
    if not 1 <= radius_m < inf:
        raise Misconfigured(f"a place cannot be fuzzed by {radius_m:g} m; a metre is the least")
