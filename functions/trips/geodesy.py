"""Positions on the earth: distances, and routes as text."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import asin, cos, radians, sin, sqrt

EARTH_RADIUS_M = 6_371_008.8
DEGREE_M = radians(1) * EARTH_RADIUS_M  # along a meridian


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance in metres (haversine)."""
    phi1, phi2 = radians(lat1), radians(lat2)
    h = sin((phi2 - phi1) / 2) ** 2 + cos(phi1) * cos(phi2) * sin(radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(h)))


def to_e5(degrees: float) -> int:
    """Degrees as the polyline format counts them: about a metre."""
    return round(degrees * 1e5)


def encoded(points: Iterable[tuple[int, int]], origin: tuple[int, int] = (0, 0)) -> str:
    """Points (1e-5 degrees) in Google's encoded polyline format, going on from `origin`.

    https://developers.google.com/maps/documentation/utilities/polylinealgorithm
    """
    text = ""
    lat, lon = origin
    for point in points:
        text += _number(point[0] - lat) + _number(point[1] - lon)
        lat, lon = point
    return text


@lru_cache(4096)
def _number(number: int) -> str:
    bits, text = ~(number << 1) if number < 0 else number << 1, ""
    while bits >= 0x20:
        text += chr((0x20 | (bits & 0x1F)) + 63)
        bits >>= 5
    return text + chr(bits + 63)


def decoded(text: str) -> list[tuple[int, int]]:
    """The points (1e-5 degrees) of an encoded polyline."""
    numbers, bits, shift = list[int](), 0, 0
    for character in text:
        chunk = ord(character) - 63
        bits |= (chunk & 0x1F) << shift
        shift += 5
        if chunk < 0x20:
            numbers.append(~(bits >> 1) if bits & 1 else bits >> 1)
            bits = shift = 0
    lat = lon = 0
    points = list[tuple[int, int]]()
    for lat_step, lon_step in zip(numbers[::2], numbers[1::2], strict=True):
        lat, lon = lat + lat_step, lon + lon_step
        points.append((lat, lon))
    return points


def simplified(points: Sequence[tuple[int, int]], tolerance_m: float) -> list[tuple[int, int]]:
    """The points (1e-5 degrees) that Douglas and Peucker keep, so that no other is farther off than `tolerance_m`."""
    scale = cos(radians(points[0][0] / 1e5))
    xs = [lon / 1e5 * scale * DEGREE_M for _, lon in points]
    ys = [lat / 1e5 * DEGREE_M for lat, _ in points]
    kept = {0, len(points) - 1}
    spans = [(0, len(points) - 1)]
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
    return [points[index] for index in sorted(kept)]


def _from_segment_m(xs: list[float], ys: list[float], point: int, first: int, last: int) -> float:
    dx, dy = xs[last] - xs[first], ys[last] - ys[first]
    px, py = xs[point] - xs[first], ys[point] - ys[first]
    square = dx * dx + dy * dy
    along = max(0.0, min(1.0, (px * dx + py * dy) / square)) if square else 0.0
    return sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2)
