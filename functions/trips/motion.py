"""At which samples a vehicle moves: by its speed, where nobody measured it by its position, else by its odometer."""

from functions.trips.carriage import Rest
from functions.trips.geodesy import distance_m
from functions.trips.measures import IDLE_BELOW_KMH
from functions.trips.records import Fold
from functions.trips.samples import Run


def moving(run: Run, first: int, beyond: int, fold: Fold, moved_m: float) -> tuple[int, int] | None:
    """The first and last of these samples at which the vehicle moves, if it does."""
    if run.speed_kmh:
        speeds = run.speed_kmh[first:beyond]
        if run.whole and min(speeds) >= IDLE_BELOW_KMH:
            return first, beyond - 1
        indices = [index for index, kmh in enumerate(speeds, first) if kmh is not None and kmh >= IDLE_BELOW_KMH]
        return (indices[0], indices[-1]) if indices else None
    if run.lat:
        return _displaced(run, first, beyond, fold, moved_m)
    if run.odo_km:
        return _counting(run, first, beyond, fold.seen.odo_km)
    return None


def again(run: Run, start: int, last: int, standstill_ms: int) -> int | None:
    """The first sample of movement after having stood for as long as ends a trip."""
    before = start
    for index in range(start, last + 1 if run.speed_kmh else start):
        kmh: float | None = run.speed_kmh[index]
        if kmh is not None and kmh >= IDLE_BELOW_KMH:
            if index - before > 1 and run.t[index - 1] - run.t[before] >= standstill_ms:
                return index
            before = index
    return None


def _displaced(run: Run, first: int, beyond: int, fold: Fold, moved_m: float) -> tuple[int, int] | None:
    """Moving is to be far from where the vehicle came to rest, which is known anew then."""
    start, last, rest = None, first, fold.rest
    for index in range(first, beyond):
        lat: float | None = run.lat[index]
        lon = run.lon[index]
        if lat is None:
            continue
        if rest is None:
            rest = Rest.at(lat, lon, run.t[index])
        elif distance_m(rest.lat, rest.lon, lat, lon) >= moved_m:
            rest = Rest.at(lat, lon, run.t[index])
            start, last = (index if start is None else start), index
    fold.rest = rest
    return None if start is None else (start, last)


def _counting(run: Run, first: int, beyond: int, before_km: float | None) -> tuple[int, int] | None:
    indices = list[int]()
    for index in range(first, beyond):
        value: float | None = run.odo_km[index]
        if value is not None:
            if before_km is not None and value > before_km:
                indices.append(index)
            before_km = value
    return (indices[0], indices[-1]) if indices else None
