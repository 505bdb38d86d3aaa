"""Where a trip began, went and ended, as far as it may be told."""

from collections.abc import Sequence

import msgspec

from functions.trips import route
from functions.trips.geodesy import encoded, to_e5
from functions.trips.night import night_share
from functions.trips.places import place_at, time_zone_at
from functions.trips.privacy import fuzzed, trimmed
from functions.trips.route import Stretch


class Spot(msgspec.Struct, frozen=True):
    """A position as it is told: within `fuzz_m` of the true one. Town and time zone are those of the true one."""

    lat: float
    lon: float
    place: str | None
    time_zone: str


class Whereabouts(msgspec.Struct, frozen=True):
    """Both ends and the line between them, in the encoded polyline format; with fuzzy ends it leaves them out."""

    start: Spot
    end: Spot
    night_share: float
    polyline: str


def spot(lat: float, lon: float, fuzz_m: float) -> Spot:
    """A place as it is told; 0 is exact."""
    place = place_at(lat, lon)
    told = fuzzed(lat, lon, fuzz_m) if fuzz_m else (lat, lon)
    return Spot(*told, None if place is None else place.label, time_zone_at(lat, lon))


def whereabouts(stretches: Sequence[Stretch], start_ms: int, end_ms: int, fuzz_m: float) -> Whereabouts | None:
    """None without a position."""
    if not stretches:
        return None
    start = spot(stretches[0].lat, stretches[0].lon, fuzz_m)
    end = spot(stretches[-1].last_lat, stretches[-1].last_lon, fuzz_m)
    night = round(night_share(start_ms, end_ms, start.time_zone), 4)
    return Whereabouts(start, end, night, _line(stretches, fuzz_m))


def _line(stretches: Sequence[Stretch], fuzz_m: float) -> str:
    if not fuzz_m:
        return route.line(stretches)
    points = [(lat / 1e5, lon / 1e5) for lat, lon in route.points(stretches)]
    return encoded([(to_e5(lat), to_e5(lon)) for lat, lon in trimmed(points, fuzz_m)])
