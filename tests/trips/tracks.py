"""Tracks of fixes, and the geometry to judge what becomes of them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from math import cos, hypot, pi, radians, sin
from typing import NamedTuple

from functions.trips.geodesy import DEGREE_M
from functions.trips.route import Route
from functions.trips.samples import Run, even_step_ms


class Fix(NamedTuple):
    t: int  # milliseconds
    lat: float
    lon: float
    kmh: float | None = None


def track(places: Iterable[tuple[float, float]], *, every_s: float = 10.0) -> list[Fix]:
    return [Fix(round(1000 * every_s * index), lat, lon) for index, (lat, lon) in enumerate(places)]


def steered(turns: Iterable[tuple[float, float]], *, lat: float = 50.0, lon: float = 8.0) -> Iterator[Fix]:
    """One fix a second of a car that turns by so many degrees and goes on at so many km/h, on a flat bit of earth."""
    heading, scale = 0.0, cos(radians(lat))
    for second, (turn, kmh) in enumerate(turns):
        heading += radians(turn)
        lat += kmh / 3.6 * cos(heading) / DEGREE_M
        lon += kmh / 3.6 * sin(heading) / DEGREE_M / scale
        yield Fix(1000 * second, lat, lon, kmh)


def circle(radius_m: float, kmh: float, *, lat: float = 50.0, lon: float = 8.0) -> list[Fix]:
    """Once around, with a fix every second."""
    seconds = round(2 * pi * radius_m / kmh * 3.6)
    step = radius_m / DEGREE_M
    return [
        Fix(1000 * i, lat + step * sin(a), lon + step * cos(a) / cos(radians(lat)), kmh)
        for i in range(seconds + 1)
        if (a := 2 * pi * i / seconds) or True
    ]


def run_of(fixes: Sequence[Fix]) -> Run:
    t = [fix.t for fix in fixes]
    steps = [after - before for before, after in pairwise(t)]
    speeds = [fix.kmh for fix in fixes if fix.kmh is not None]
    lat, lon = [fix.lat for fix in fixes], [fix.lon for fix in fixes]
    return Run(t=t, steps=steps, step_ms=even_step_ms(steps), whole=True, lat=lat, lon=lon, speed_kmh=speeds)


def followed(fixes: Iterable[Fix], *, size: int = 30, route: Route | None = None) -> Route:
    """Along messages of so many samples."""
    route, remaining = route or Route(), iter(fixes)
    while part := list(islice(remaining, size)):
        route.follow(run_of(part), 0, len(part))
    return route


def off_line_m(fix: Fix, line: Sequence[tuple[int, int]]) -> float:
    """How far a fix is from a line (1e-5 degrees) nearby."""
    scale = cos(radians(fix.lat))
    flat = [((lon / 1e5 - fix.lon) * scale * DEGREE_M, (lat / 1e5 - fix.lat) * DEGREE_M) for lat, lon in line]
    return min(_from_origin(*a, *b) for a, b in zip(flat, flat[1:] or flat, strict=False))


def _from_origin(x1: float, y1: float, x2: float, y2: float) -> float:
    dx, dy = x2 - x1, y2 - y1
    square = dx * dx + dy * dy
    along = min(1.0, max(0.0, -(x1 * dx + y1 * dy) / square)) if square else 0.0
    return hypot(x1 + along * dx, y1 + along * dy)
