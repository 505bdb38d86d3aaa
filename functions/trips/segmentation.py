"""Where trips begin and end: a fold over a vehicle's samples in time order.

- A vehicle that reports is switched on, unless it says `ignition: false`. The first sample of a switched-on vehicle
  starts a trip.
- `ignition: false` ends it, unless the ignition is back within `flicker_ms`.
- Silence ends it, at the last sample before. Not if the vehicle was on its way meanwhile (a tunnel, a dead spot): its
  odometer tells, without one its position, without that its speed before and after; believed up to `TUNNEL_MS`.
- Standing still does not end it, as traffic jams and ferries last, until `STANDSTILL_MS`: then it ended when the
  vehicle came to a stand, and the next one starts when the vehicle moves.

What happens at a sample depends on earlier samples only, and nothing from before a trip's first sample matters after
it. So trips can be folded anew from the start of any trip, with the same result as from the beginning.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from functions.trips.geodesy import MAX_SPEED_M_S, distance_m
from functions.trips.telemetry import Sample, Telemetry

TUNNEL_MS = 30 * 60_000
STANDSTILL_MS = 4 * 3_600_000
DISPLACEMENT_M = 200.0
DRIVING_KMH = 10.0
IDLE_BELOW_KMH = 1.0


class Limits(NamedTuple):
    """What ends a trip, in milliseconds: silence at one place, and an ignition that stays off."""

    silence_ms: int
    flicker_ms: int


class Span(NamedTuple):
    """From the first to the last moment of a trip, in epoch milliseconds, both inclusive."""

    start_ms: int
    end_ms: int


class Place(NamedTuple):
    """The order of samples: by time, then as they were sent. Greater than that of every sample folded before."""

    t: int
    boot: str
    seq: int


class Trip(msgspec.Struct, array_like=True):
    """The trip under way: what its continuation depends on."""

    start_ms: int
    end_ms: int  # its last sample so far
    still_since_ms: int
    off_ms: int | None = None
    speed_kmh: float | None = None  # the last known values
    odo_km: float | None = None
    lat: float | None = None
    lon: float | None = None
    still_lat: float | None = None  # where it came to a stand
    still_lon: float | None = None


class Fold(msgspec.Struct, array_like=True):
    """The state between two samples. Small, because it is stored with every batch."""

    last: Place | None = None
    trip: Trip | None = None
    parked: Trip | None = None  # one that ended by standing still: the next one needs movement


def in_order(messages: Iterable[Telemetry], after_ms: int | None = None) -> list[tuple[Place, Sample]]:
    """The messages' samples in the order in which they are folded; those up to `after_ms` are left out."""
    earliest = -1 if after_ms is None else after_ms
    placed = [
        (Place(sample.t, message.boot, message.seq), sample)
        for message in messages
        for sample in message.samples
        if sample.t > earliest
    ]
    placed.sort(key=lambda pair: pair[0])  # stable: what one message says of one moment stays in its order
    return placed


def advance(
    fold: Fold, samples: Sequence[tuple[Place, Sample]], limits: Limits, limit: int | None = None
) -> tuple[list[Span], int]:
    """Takes the samples, in order, into the fold.

    Returns the trips that they ended and how many samples were taken: all of them unless `limit` trips ended before.
    """
    spans = list[Span]()
    for index, (place, sample) in enumerate(samples):
        if fold.trip is not None and (end_ms := _end(fold.trip, sample, limits)) is not None:
            if len(spans) == limit:
                return spans, index
            spans.append(Span(fold.trip.start_ms, end_ms))
            stood_too_long = end_ms == fold.trip.still_since_ms < fold.trip.end_ms
            fold.parked = fold.trip if stood_too_long else None
            fold.trip = None
        if fold.trip is not None:
            _continue(fold.trip, sample)
        elif sample.ignition is False:
            fold.parked = None
        elif _may_start(fold, sample, limits.silence_ms):
            fold.trip, fold.parked = _start(sample), None
        fold.last = place
    return spans, len(samples)


def _may_start(fold: Fold, sample: Sample, silence_ms: int) -> bool:
    if fold.parked is None or fold.last is None:
        return True
    return _moves(fold.parked, sample) or sample.t - fold.last.t >= silence_ms


def _start(sample: Sample) -> Trip:
    trip = Trip(start_ms=sample.t, end_ms=sample.t, still_since_ms=sample.t)
    _continue(trip, sample)
    trip.still_lat, trip.still_lon = trip.lat, trip.lon
    return trip


def _continue(trip: Trip, sample: Sample) -> None:
    if sample.ignition is False:
        if trip.off_ms is None:
            trip.off_ms = trip.end_ms = sample.t
        return
    moves = _moves(trip, sample)
    trip.off_ms = None
    trip.end_ms = sample.t
    if sample.speed_kmh is not None:
        trip.speed_kmh = sample.speed_kmh
    if sample.odo_km is not None:
        trip.odo_km = sample.odo_km
    if sample.lat is not None and sample.lon is not None:
        trip.lat, trip.lon = sample.lat, sample.lon
    if moves:
        trip.still_since_ms, trip.still_lat, trip.still_lon = sample.t, trip.lat, trip.lon


def _moves(trip: Trip, sample: Sample) -> bool:
    """By its speed, or where that was not measured by its distance from where it came to a stand."""
    if sample.speed_kmh is not None:
        return sample.speed_kmh >= IDLE_BELOW_KMH
    away_m = _distance_m(trip.still_lat, trip.still_lon, sample)
    return away_m is not None and away_m >= DISPLACEMENT_M


def _end(trip: Trip, sample: Sample, limits: Limits) -> int | None:
    """When the trip ended, if the sample shows that it did."""
    if trip.off_ms is not None:
        return trip.off_ms if sample.t - trip.off_ms >= limits.flicker_ms else None
    silent_ms = sample.t - trip.end_ms
    if silent_ms >= limits.silence_ms:
        return None if _was_on_its_way(trip, sample, silent_ms) else trip.end_ms
    if sample.t - trip.still_since_ms >= STANDSTILL_MS and not _moves(trip, sample):
        return trip.still_since_ms
    return None


def _was_on_its_way(trip: Trip, sample: Sample, silent_ms: int) -> bool:
    if silent_ms > TUNNEL_MS:
        return False
    if trip.odo_km is not None and sample.odo_km is not None:
        return _is_plausible((sample.odo_km - trip.odo_km) * 1000, silent_ms)
    if (away_m := _distance_m(trip.lat, trip.lon, sample)) is not None:
        return _is_plausible(away_m, silent_ms)
    return min(trip.speed_kmh or 0.0, sample.speed_kmh or 0.0) >= DRIVING_KMH


def _is_plausible(displacement_m: float, silent_ms: int) -> bool:
    return DISPLACEMENT_M <= displacement_m <= MAX_SPEED_M_S * silent_ms / 1000


def _distance_m(lat: float | None, lon: float | None, sample: Sample) -> float | None:
    if lat is None or lon is None or sample.lat is None or sample.lon is None:
        return None
    return distance_m(lat, lon, sample.lat, sample.lon)
