"""A road that exists only here: smooth curves from a given start, as long as one likes."""

import math
from random import Random
from typing import Final

_EARTH_RADIUS_KM: Final = 6371.0088  # mean, as in the haversine formula
_BENDS: Final = ((0.9, 9.0), (0.35, 2.3), (0.12, 0.8))  # swing of the heading in radians, length in km


class Road:
    """Where one is after so many kilometres. The same seed is the same road.

    No bend is tighter than some 400 m, so that the way between two seconds is as good as straight.
    """

    def __init__(self, lat: float, lon: float, seed: int) -> None:
        random = Random(f"road/{seed}")  # noqa: S311 - it must be repeatable
        self.lat = lat
        self.lon = lon
        self._travelled_km = 0.0
        self._heading = random.uniform(0, 2 * math.pi)
        self._bends = [(swing, length_km, random.uniform(0, 2 * math.pi)) for swing, length_km in _BENDS]
        self._altitude_m = random.uniform(50, 250)

    @property
    def altitude_m(self) -> float:
        return self._altitude_m + 15 * math.sin(self._travelled_km / 1.7)

    def lateral_ms2(self, speed_kmh: float) -> float:
        """The acceleration to the side at this speed, positive to the left (ISO 8855)."""
        angle = 2 * math.pi * self._travelled_km
        to_the_right_per_km = sum(
            swing * 2 * math.pi / length * math.cos(angle / length + phase) for swing, length, phase in self._bends
        )
        return -((speed_kmh / 3.6) ** 2) * to_the_right_per_km / 1000

    def advance(self, distance_km: float) -> None:
        heading = self._heading_at(self._travelled_km + distance_km / 2)
        self._travelled_km += distance_km
        north = distance_km * math.cos(heading) / _EARTH_RADIUS_KM
        east = distance_km * math.sin(heading) / _EARTH_RADIUS_KM
        middle = math.radians(self.lat) + north / 2
        self.lat += math.degrees(north)
        self.lon += math.degrees(east / math.cos(middle))

    def _heading_at(self, distance_km: float) -> float:
        angle = 2 * math.pi * distance_km
        return self._heading + sum(swing * math.sin(angle / length + phase) for swing, length, phase in self._bends)
