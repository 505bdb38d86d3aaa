"""Positions on the earth: distances, a route without impossible jumps, and its short form."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

EARTH_RADIUS_M = 6_371_008.8
# A fix may be old by several seconds when it is first seen, so a jump is only impossible well beyond a car's speed.
MAX_SPEED_M_S = 70.0
JUMP_SLACK_M = 100.0
# How much impossible jump a second of recorded drive behind it makes credible: receivers that were lost for a while
# catch up by a kilometre or two and go on well, while a teleport leads nowhere for a few seconds.
JUMP_M_PER_SUPPORTING_S = 10.0

_LOOK_BACK = 64  # stretches that a stretch may continue; bounds the work on a track that is nothing but jumps
_PIECE = 512  # points that are simplified together; bounds the work on a hostile track


class Fix(NamedTuple):
    """A position, and the first and last moment (epoch ms) at which it was reported, by how many samples."""

    lat: float
    lon: float
    t: int
    until: int
    samples: int = 1


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance in metres (haversine)."""
    phi1, phi2 = radians(lat1), radians(lat2)
    h = sin((phi2 - phi1) / 2) ** 2 + cos(phi1) * cos(phi2) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(h)))


def _impossible_m(a: Fix, b: Fix) -> float:
    """By how much the later fix is too far away for a car to have gone there; 0 if it is not."""
    possible_m = JUMP_SLACK_M + MAX_SPEED_M_S * (b.t - a.t) / 1000
    return max(0.0, distance_m(a.lat, a.lon, b.lat, b.lon) - possible_m)


def merge_repeated(positions: Iterable[tuple[int, float, float]]) -> list[Fix]:
    """Fixes from (time, latitude, longitude): receivers repeat a fix until there is a new one."""
    fixes = list[Fix]()
    for t, lat, lon in positions:
        if fixes and fixes[-1].lat == lat and fixes[-1].lon == lon:
            fixes[-1] = fixes[-1]._replace(until=t, samples=fixes[-1].samples + 1)
        else:
            fixes.append(Fix(lat, lon, t, t))
    return fixes


def without_jumps(fixes: Sequence[Fix]) -> list[Fix]:
    """The fixes that make the most credible route: as long a part of the drive as possible, with as little jumping.

    No fix is trusted for being the first: a track that begins with (0, 0) loses that one and not all others.
    """
    stretches = _without_inner_jumps(fixes)
    credit, before = list[float](), list[int]()
    for index, stretch in enumerate(stretches):
        best, origin = 0.0, -1
        for earlier in range(max(0, index - _LOOK_BACK), index):
            jump_m = _impossible_m(stretches[earlier][-1], stretch[0])
            if credit[earlier] - jump_m / JUMP_M_PER_SUPPORTING_S > best:
                best, origin = credit[earlier] - jump_m / JUMP_M_PER_SUPPORTING_S, earlier
        credit.append(best + 1 + (stretch[-1].until - stretch[0].t) / 1000)
        before.append(origin)
    index = max(range(len(stretches)), key=credit.__getitem__, default=-1)
    chosen = list[list[Fix]]()
    while index >= 0:
        chosen.append(stretches[index])
        index = before[index]
    return [fix for stretch in reversed(chosen) for fix in stretch]


def _without_inner_jumps(fixes: Sequence[Fix]) -> list[list[Fix]]:
    stretches = list[list[Fix]]()
    for fix in fixes:
        if stretches and _impossible_m(stretches[-1][-1], fix) == 0:
            stretches[-1].append(fix)
        else:
            stretches.append([fix])
    return stretches


def length_m(fixes: Sequence[Fix]) -> float:
    """Length of the route in metres."""
    return sum(distance_m(a.lat, a.lon, b.lat, b.lon) for a, b in pairwise(fixes))


def polyline(fixes: Sequence[Fix], *, tolerance_m: float = 15.0, max_length: int = 30_000) -> str:
    """The route in Google's encoded polyline format, simplified by Douglas and Peucker to within `tolerance_m`.

    Every second point goes until the text fits `max_length`.
    https://developers.google.com/maps/documentation/utilities/polylinealgorithm
    """
    while True:
        text = _encode(_simplified(fixes, tolerance_m))
        if len(text) <= max_length:
            return text
        fixes = [*fixes[:-1:2], fixes[-1]]


def _simplified(fixes: Sequence[Fix], tolerance_m: float) -> list[Fix]:
    pieces = (fixes[start : start + _PIECE] for start in range(0, len(fixes), _PIECE))
    return [piece[index] for piece in pieces for index in _douglas_peucker(piece, tolerance_m)]


def _douglas_peucker(fixes: Sequence[Fix], tolerance_m: float) -> list[int]:
    """Indices of the points to keep, ascending."""
    scale = cos(radians(fixes[0].lat))
    xs = [radians(fix.lon) * scale * EARTH_RADIUS_M for fix in fixes]
    ys = [radians(fix.lat) * EARTH_RADIUS_M for fix in fixes]
    kept = {0, len(fixes) - 1}
    spans = [(0, len(fixes) - 1)]
    while spans:
        first, last = spans.pop()
        farthest, index = tolerance_m, -1
        for candidate in range(first + 1, last):
            away = _from_segment_m(xs, ys, candidate, first, last)
            if away > farthest:
                farthest, index = away, candidate
        if index >= 0:
            kept.add(index)
            spans += [(first, index), (index, last)]
    return sorted(kept)


def _from_segment_m(xs: list[float], ys: list[float], point: int, first: int, last: int) -> float:
    dx, dy = xs[last] - xs[first], ys[last] - ys[first]
    px, py = xs[point] - xs[first], ys[point] - ys[first]
    square = dx * dx + dy * dy
    along = max(0.0, min(1.0, (px * dx + py * dy) / square)) if square else 0.0
    return sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2)


def _encode(fixes: Sequence[Fix]) -> str:
    text = list[str]()
    lat = lon = 0
    for fix in fixes:
        for value, previous in ((round(fix.lat * 1e5), lat), (round(fix.lon * 1e5), lon)):
            _append_number(text, value - previous)
        lat, lon = round(fix.lat * 1e5), round(fix.lon * 1e5)
    return "".join(text)


def _append_number(text: list[str], number: int) -> None:
    bits = ~(number << 1) if number < 0 else number << 1
    while bits >= 0x20:
        text.append(chr((0x20 | (bits & 0x1F)) + 63))
        bits >>= 5
    text.append(chr(bits + 63))
