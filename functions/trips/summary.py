"""What a trip was like, from all of its samples. The same samples give the same summary to the digit.

Speed is integrated by the trapezoid rule between the samples that have one, so a sample without is bridged. Over a
silence (a tunnel) nothing was measured: there the straight line between the fixes counts, and nothing is idle.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from functions.trips import geodesy
from functions.trips.geodesy import MAX_SPEED_M_S, Fix
from functions.trips.segmentation import IDLE_BELOW_KMH, Span, in_order
from functions.trips.telemetry import Sample, Telemetry

MIN_DISTANCE_KM = 0.01  # less is a vehicle that was switched on and off again
_HOUR_MS = 3_600_000

DistanceSource = Literal["odometer", "speed", "gps"]


class Summary(msgspec.Struct, frozen=True):
    """One trip. Field names are the properties of its row, which readers rely on; unknown values are None."""

    trip_id: str
    vehicle_id: str
    started_at_ms: int
    ended_at_ms: int
    distance_km: float
    distance_source: DistanceSource
    duration_s: float
    idle_s: float
    max_speed_kmh: float | None
    soc_start_pct: float | None
    soc_end_pct: float | None
    fuel_l: float | None
    start_lat: float | None
    start_lon: float | None
    end_lat: float | None
    end_lon: float | None
    samples: int
    dropped: dict[str, int]
    polyline: str


def trip_id(vehicle_id: str, start_ms: int) -> str:
    """The same whenever the same trip is found again."""
    return f"{vehicle_id}-{start_ms}"


def summarise(vehicle_id: str, span: Span, messages: Sequence[Telemetry], silence_ms: int) -> Summary | None:
    """The trip of this span, or None if the vehicle did not go anywhere. `messages` may hold more than the trip."""
    samples = [s for _, s in in_order(messages, after_ms=span.start_ms - 1) if s.t <= span.end_ms]
    positions = [(s.t, s.lat, s.lon) for s in samples if s.lat is not None and s.lon is not None]
    reported = geodesy.merge_repeated(positions)
    route = geodesy.without_jumps(reported)
    distance = _distance(samples, route, silence_ms)
    if distance is None or distance[0] < MIN_DISTANCE_KM:
        return None
    charge = [s.soc_pct for s in samples if s.soc_pct is not None]
    return Summary(
        trip_id=trip_id(vehicle_id, span.start_ms),
        vehicle_id=vehicle_id,
        started_at_ms=span.start_ms,
        ended_at_ms=span.end_ms,
        distance_km=round(distance[0], 3),
        distance_source=distance[1],
        duration_s=(span.end_ms - span.start_ms) / 1000,
        idle_s=_idle_ms(samples, silence_ms) / 1000,
        max_speed_kmh=max((s.speed_kmh for s in samples if s.speed_kmh is not None), default=None),
        soc_start_pct=charge[0] if charge else None,
        soc_end_pct=charge[-1] if charge else None,
        fuel_l=_fuel_l(samples, silence_ms),
        start_lat=route[0].lat if route else None,
        start_lon=route[0].lon if route else None,
        end_lat=route[-1].lat if route else None,
        end_lon=route[-1].lon if route else None,
        samples=len(samples),
        dropped=_dropped(messages, span, _sampled(reported) - _sampled(route)),
        polyline=geodesy.polyline(route) if route else "",
    )


def _distance(samples: Sequence[Sample], route: Sequence[Fix], silence_ms: int) -> tuple[float, DistanceSource] | None:
    """In km. The odometer's difference, unless what else was measured contradicts it; else speed; else positions."""
    by_speed = _by_speed_km(samples, route, silence_ms)
    by_route = geodesy.length_m(route) / 1000 if len(route) > 1 else None
    others = [km for km in (by_speed, by_route) if km is not None]
    by_odometer = _by_odometer_km(samples)
    if by_odometer is not None and (not others or any(_agrees(by_odometer, km) for km in others)):
        return by_odometer, "odometer"
    if by_speed is not None:
        return by_speed, "speed"
    return None if by_route is None else (by_route, "gps")


def _agrees(odometer_km: float, other_km: float) -> bool:
    return abs(odometer_km - other_km) <= max(0.2, 0.1 * other_km)


def _by_odometer_km(samples: Sequence[Sample]) -> float | None:
    """Only if it covers the trip, never runs backwards and shows no more than a car can do."""
    first, last = samples[0].odo_km, samples[-1].odo_km
    if first is None or last is None:
        return None
    readings = [s.odo_km for s in samples if s.odo_km is not None]
    most_km = 0.2 + MAX_SPEED_M_S * (samples[-1].t - samples[0].t) / 1_000_000
    runs_forward = all(a <= b for a, b in pairwise(readings))
    return last - first if runs_forward and last - first <= most_km else None


def _by_speed_km(samples: Sequence[Sample], route: Sequence[Fix], silence_ms: int) -> float | None:
    measured = [(s.t, s.speed_kmh) for s in samples if s.speed_kmh is not None]
    if len(measured) < 2:
        return None
    driven_km = _integral(measured, silence_ms)
    across_m = sum(_straight_m(route, a, b) for (a, _), (b, _) in _silences(measured, silence_ms))
    return driven_km + across_m / 1000


def _integral(measured: Sequence[tuple[int, float]], silence_ms: int) -> float:
    """Of a rate per hour, by the trapezoid rule, without the silences."""
    doubled = sum((b - a) * (x + y) for (a, x), (b, y) in pairwise(measured) if b - a < silence_ms)
    return doubled / 2 / _HOUR_MS


def _silences(
    measured: Sequence[tuple[int, float]], silence_ms: int
) -> Iterator[tuple[tuple[int, float], tuple[int, float]]]:
    return ((a, b) for a, b in pairwise(measured) if b[0] - a[0] >= silence_ms)


def _straight_m(route: Sequence[Fix], start_ms: int, end_ms: int) -> float:
    before = bisect_right(route, start_ms, key=_first_reported)
    after = bisect_left(route, end_ms, key=_first_reported)
    return geodesy.length_m([route[before - 1], route[after]]) if before > 0 and after < len(route) else 0.0


def _first_reported(fix: Fix) -> int:
    return fix.t


def _idle_ms(samples: Sequence[Sample], silence_ms: int) -> int:
    """A moment below walking pace lasts until the next measurement of speed."""
    measured = [(s.t, s.speed_kmh) for s in samples if s.speed_kmh is not None]
    return sum(b - a for (a, x), (b, _) in pairwise(measured) if x < IDLE_BELOW_KMH and b - a < silence_ms)


def _fuel_l(samples: Sequence[Sample], silence_ms: int) -> float | None:
    measured = [(s.t, s.fuel_l_h) for s in samples if s.fuel_l_h is not None]
    return round(_integral(measured, silence_ms), 4) if len(measured) > 1 else None


def _dropped(messages: Sequence[Telemetry], span: Span, jumps: int) -> dict[str, int]:
    """Samples that were dropped from the trip's messages, by reason; positions left out of the route as `teleport`.

    A message on the border belongs to the trip that its first usable sample is in.
    """
    counted = Counter[str]()
    for message in messages:
        if span.start_ms <= message.samples[0].t <= span.end_ms:
            counted.update(message.dropped)
    if jumps:
        counted["teleport"] += jumps
    return dict(sorted(counted.items()))


def _sampled(fixes: Sequence[Fix]) -> int:
    return sum(fix.samples for fix in fixes)
