"""Where on earth a position is: its town and its time zone, without asking anyone.

Both come from tables that are loaded at the first look-up (docs/adr/0010).
"""

from math import copysign
from typing import NamedTuple

from functions.trips.positions import check_position
from functions.trips.towns import towns

# The simplified borders of neighbours leave slivers of a few metres between them that belong to neither.
_BESIDE_A_SLIVER_DEG = 0.002


class Place(NamedTuple):
    """A town (as GeoNames spells it), its country (ISO 3166-1 alpha-2), and how far from its centre the position is."""

    town: str
    country: str
    distance_km: float

    @property
    def label(self) -> str:
        """As people write it: "Wolfsburg, DE"."""
        return f"{self.town}, {self.country}"


def place_at(lat: float, lon: float) -> Place | None:
    """The town that a position is in or near; None more than 50 km beyond the edge of all, as in deserts and at sea.

    Towns have 1,000 inhabitants or more, so a label points at no house. Of towns near a border, one in the position's
    own time zone is preferred, as it is mostly the one in its own country. Raises `Rejected` for what is no position.
    """
    town = towns().nearest(lat, lon, time_zone_at(lat, lon))
    return town and Place(town.name, town.country, town.distance_m / 1000)


def time_zone_at(lat: float, lon: float) -> str:
    """The IANA name of the time zone at a position; at sea the nautical one, such as Etc/GMT+2.

    Right but for some 100 m along borders, to which the boundaries are simplified (© OpenStreetMap, ODbL; tzfpy's
    README, "Accuracy"). Raises `Rejected` for what is no position.
    """
    from tzfpy import get_tz

    check_position(lat, lon)
    return get_tz(lon, lat) or get_tz(lon, lat - copysign(_BESIDE_A_SLIVER_DEG, lat))
