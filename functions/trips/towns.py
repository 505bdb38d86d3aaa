"""The towns of the world, in a table that ships with the app, and which of them a position belongs to.

Town data: GeoNames (https://www.geonames.org), CC BY 4.0, all places of 1,000 inhabitants or more, from which
`tests/trips/make_towns.py` makes the table. Why no library does this: docs/adr/0010.
"""

from array import array
from functools import cache
from math import cos, pi, radians, sin, sqrt
from pathlib import Path
from typing import NamedTuple

import msgspec

from functions.trips.geodesy import EARTH_RADIUS_M

FILE = Path(__file__).with_name("towns.msgpack")

# How far beyond its edge a town still gives its name to a place.
FARTHEST_M = 50_000.0
# How much farther away a town counts if it has another time zone than the place. Most countries have zones of their
# own, so this decides for the right side of a border; a town over there is better than none.
OTHER_ZONE_M = 30_000.0
# A town reaches as far from its centre as its inhabitants need room, so that a place in a large city has the city's
# name and not that of a district, which GeoNames lists too. The density of large cities in Europe; docs/adr/0010 says
# how well that names.
INHABITANTS_PER_KM2 = 4_000.0


class Town(NamedTuple):
    """A town, the ISO 3166-1 code of its country (GeoNames has XK for Kosovo), and how far away its centre is."""

    name: str
    country: str
    distance_m: float


class Table(msgspec.Struct, frozen=True):
    """The file. Columns of little-endian numbers, one for each town, in the order of a balanced k-d tree.

    The root of the rows from `first` to before `beyond` is the one in the middle. Those before it are not farther along
    the tree's axis (x, y, z in turns, from the centre of the earth), those behind it not less far.
    """

    source: str
    countries: list[str]
    zones: list[str]
    x_m: bytes  # int32, like y and z
    y_m: bytes
    z_m: bytes
    reach_m: bytes  # uint16
    reach_below_m: bytes  # uint16: the largest reach in the tree under this town, its own included
    country: bytes  # uint8, index of `countries`
    zone: bytes  # uint16, index of `zones`
    name_end: bytes  # uint32: where the name ends in `names`; it begins where the one before ends
    names: bytes  # UTF-8


def cartesian_m(lat: float, lon: float) -> tuple[float, float, float]:
    """The position in metres from the centre of the earth, where poles and antimeridian are like any other place."""
    phi, theta = radians(lat), radians(lon)
    return (
        EARTH_RADIUS_M * cos(phi) * cos(theta),
        EARTH_RADIUS_M * cos(phi) * sin(theta),
        EARTH_RADIUS_M * sin(phi),
    )


def reach_m(inhabitants: int) -> float:
    """Radius of a round town of the usual density, in metres."""
    return 1000 * sqrt(inhabitants / INHABITANTS_PER_KM2 / pi)


class Towns:
    """The table, ready for search."""

    def __init__(self, table: Table) -> None:
        self._countries, self._names = table.countries, table.names
        self._zones = {zone: index for index, zone in enumerate(table.zones)}
        self._axes = array("i", table.x_m), array("i", table.y_m), array("i", table.z_m)
        self._reach, self._reach_below = array("H", table.reach_m), array("H", table.reach_below_m)
        self._country, self._zone = table.country, array("H", table.zone)
        self._name_end = array("I", table.name_end)

    def __len__(self) -> int:
        return len(self._reach)

    def __getitem__(self, index: int) -> tuple[str, str]:
        """Name and country code."""
        begin = self._name_end[index - 1] if index else 0
        return self._names[begin : self._name_end[index]].decode(), self._countries[self._country[index]]

    def nearest(self, lat: float, lon: float, time_zone: str) -> Town | None:
        """The town whose edge is nearest, or None if all are too far away.

        Distances are straight through the earth, which makes less than a metre.
        """
        zone = self._zones.get(time_zone, -1)
        position = cartesian_m(lat, lon)
        xs, ys, zs = self._axes
        x, y, z = position
        best, chosen, chosen_m = FARTHEST_M, -1, 0.0
        trees = [(0, len(self), 0, 0.0)]  # first, beyond, axis, least distance to anything in it
        while trees:
            first, beyond, axis, away = trees.pop()
            middle = (first + beyond) // 2
            if first == beyond or away - self._reach_below[middle] >= best:
                continue
            distance = sqrt((xs[middle] - x) ** 2 + (ys[middle] - y) ** 2 + (zs[middle] - z) ** 2)
            beyond_edge = distance - self._reach[middle] + (OTHER_ZONE_M if self._zone[middle] != zone else 0.0)
            if beyond_edge < best:
                best, chosen, chosen_m = beyond_edge, middle, distance
            off = position[axis] - self._axes[axis][middle]
            halves = (first, middle), (middle + 1, beyond)
            near, far = halves if off < 0 else halves[::-1]
            trees.append((*far, (axis + 1) % 3, max(away, abs(off))))
            trees.append((*near, (axis + 1) % 3, away))
        return Town(*self[chosen], chosen_m) if chosen >= 0 else None


@cache
def towns() -> Towns:
    """The table that ships with the app, read at first use."""
    return Towns(msgspec.msgpack.decode(FILE.read_bytes(), type=Table))
