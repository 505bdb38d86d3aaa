"""How far a trip went: the odometer's word, unless what else was measured contradicts it."""

from collections.abc import Sequence
from typing import NamedTuple

from functions.trips import route
from functions.trips.measures import HOUR_MS, Measures
from functions.trips.quality import DistanceSource
from functions.trips.route import MAX_SPEED_M_S, Stretch

WHOLE_KM_FROM = 50.0


class Distance(NamedTuple):
    """The distance that is told, what else was measured, and how far the farthest of these is from it."""

    km: float
    source: DistanceSource
    disagreement_pct: float | None
    by_odometer_km: float | None
    by_speed_km: float | None
    by_route_km: float | None


def distance_of(measures: Measures, stretches: Sequence[Stretch], duration_ms: int) -> Distance | None:
    """By odometer if it can be believed, else by speed, else by positions; None if nothing was measured."""
    by_odometer = _by_odometer_km(measures, duration_ms)
    by_speed = measures.way / 2 / HOUR_MS + measures.across_m / 1000 if measures.has_speed else None
    by_route = route.length_m(stretches) / 1000 if stretches else None
    source: DistanceSource
    if by_odometer is not None and _is_believed(by_odometer, measures, by_speed, by_route):
        km, source = by_odometer, "odometer"
    elif by_speed is not None:
        km, source = by_speed, "speed"
    elif by_route is not None:
        km, source = by_route, "gps"
    else:
        return None
    known = [one for one in (by_odometer, by_speed, by_route) if one is not None]
    apart_km = max(abs(one - km) for one in known)
    disagreement_pct = 100 * apart_km / km if len(known) > 1 and km > 0 else None
    return Distance(km, source, disagreement_pct, by_odometer, by_speed, by_route)


def _is_believed(by_odometer: float, measures: Measures, by_speed: float | None, by_route: float | None) -> bool:
    """Unless all else contradicts it, or it counts in whole kilometres what is less than fifty of them."""
    if by_speed is None and by_route is None:
        return True
    if not measures.odo_is_fine and by_odometer < WHOLE_KM_FROM:
        return False
    # Where messages are missing, the line between positions is shorter than the road.
    return _agrees(by_odometer, by_speed, 0.1) or _agrees(by_odometer, by_route, 0.25)


def _agrees(odometer_km: float, other_km: float | None, excess: float) -> bool:
    if other_km is None:
        return False
    return -max(0.2, 0.1 * other_km) <= odometer_km - other_km <= max(0.2, excess * other_km)


def _by_odometer_km(measures: Measures, duration_ms: int) -> float | None:
    """Only if it covers the trip, never runs backwards and shows no more than a car can do."""
    first, last = measures.odo_first_km, measures.odo_last_km
    if first is None or last is None or not (measures.odo_covers and measures.odo_at_end) or measures.odo_falls:
        return None
    return last - first if last - first <= 0.2 + MAX_SPEED_M_S * duration_ms / 1_000_000 else None
