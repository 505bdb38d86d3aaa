"""What a trip was like. The same samples give the same summary to the digit."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from functions.trips import charging, driving
from functions.trips.distance import distance_of
from functions.trips.driving import Shares
from functions.trips.energy import Taken, consumption
from functions.trips.measures import HOUR_MS, Measures
from functions.trips.parameters import Parameters
from functions.trips.quality import TELEPORT, DistanceSource, Evidence, Grade, grade
from functions.trips.records import Trip
from functions.trips.route import Stretch
from functions.trips.whereabouts import spot, whereabouts

MIN_CHARGING_MS = 60_000  # less is a plug that was tried
MIN_CHARGED_PCT = 0.5
COVERED = 0.9  # of the duration, by a rate that its integral can be told of


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One trip. Field names are the properties of its row, which readers rely on; unknown values are None."""

    trip_id: str
    vehicle_id: str
    kind: Literal["driven", "carried"]
    started_at_ms: int
    ended_at_ms: int
    distance_km: float
    distance_source: DistanceSource
    distance_odometer_km: float | None = None
    distance_speed_km: float | None = None
    distance_gps_km: float | None = None
    disagreement_pct: float | None = None  # of the distance told and the one farthest from it
    odo_start_km: float | None = None
    odo_end_km: float | None = None
    duration_s: float
    moving_s: float
    idle_s: float
    avg_speed_kmh: float | None = None
    max_speed_kmh: float | None = None
    soc_start_pct: float | None = None
    soc_end_pct: float | None = None
    energy_kwh: float | None = None
    recuperated_kwh: float | None = None
    kwh_100km: float | None = None
    fuel_l: float | None = None
    l_100km: float | None = None
    fuel_start_pct: float | None = None
    fuel_end_pct: float | None = None
    co2_kg: float | None = None
    harsh_brakings: int = 0
    harsh_accelerations: int = 0
    harsh_cornerings: int = 0
    urban_share: float | None = None
    rural_share: float | None = None
    motorway_share: float | None = None
    eco_score: int | None = None
    start_lat: float | None = None
    start_lon: float | None = None
    end_lat: float | None = None
    end_lon: float | None = None
    start_place: str | None = None
    end_place: str | None = None
    start_time_zone: str | None = None
    end_time_zone: str | None = None
    night_share: float | None = None
    temp_c: float | None = None
    samples: int
    dropped: dict[str, int]
    polyline: str = ""
    quality: Grade | None = None
    quality_reasons: tuple[str, ...] = ()


class ChargingSession(msgspec.Struct, frozen=True, kw_only=True):
    """One charging session; `inferred` if no sample reported it, but the battery was fuller after silences."""

    session_id: str
    vehicle_id: str
    started_at_ms: int
    ended_at_ms: int
    soc_start_pct: float | None = None
    soc_end_pct: float | None = None
    energy_kwh: float | None = None
    evidence: Literal["reported", "inferred"]
    lat: float | None = None
    lon: float | None = None
    place: str | None = None
    time_zone: str | None = None
    odo_km: float | None = None


def record_id(vehicle_id: str, start_ms: int) -> str:
    """The same whenever the same record is found again."""
    return f"{vehicle_id}-{start_ms}"


def summarise(
    vehicle_id: str, trip: Trip, parameters: Parameters, *, is_private: bool = False
) -> Summary | ChargingSession | None:
    """What is told about a record that has ended, or None if there is nothing to tell: nobody went anywhere.

    `is_private`: that positions are missing is how it should be.
    """
    match trip.kind:
        case "charging":
            return _charging_session(vehicle_id, trip, parameters)
        case "carried":
            return _carriage(vehicle_id, trip, parameters)
        case "driven":
            return _drive(vehicle_id, trip, parameters, is_private=is_private)


def _drive(vehicle_id: str, trip: Trip, parameters: Parameters, *, is_private: bool) -> Summary | None:
    measures = trip.total()
    if not trip.has_moved:
        return None
    duration_ms = trip.end_ms - trip.start_ms
    stretches = measures.route.credible()
    distance = distance_of(measures, stretches, duration_ms)
    if distance is None or distance.km < parameters.min_distance_km:
        return None
    dropped = _dropped(measures, stretches)
    used = consumption(_taken(measures, distance.km, duration_ms), parameters)
    shares = driving.shares(measures.urban, measures.rural, measures.motorway)
    quality = grade(
        Evidence(
            samples=measures.samples,
            duration_s=duration_ms / 1000,
            distance_km=distance.km,
            distance_source=distance.source,
            disagreement_pct=distance.disagreement_pct,
            dropped=dropped,
            longest_silence_s=measures.longest_silence_ms / 1000,
            silent_s=measures.silent_ms / 1000,
            missing_messages=measures.missing,
            has_speed=measures.has_speed,
            has_position=bool(stretches) or is_private,
        )
    )
    return Summary(
        trip_id=record_id(vehicle_id, trip.start_ms),
        vehicle_id=vehicle_id,
        kind="driven",
        started_at_ms=trip.start_ms,
        ended_at_ms=trip.end_ms,
        distance_km=round(distance.km, 3),
        distance_source=distance.source,
        distance_odometer_km=_rounded(distance.by_odometer_km, 3),
        distance_speed_km=_rounded(distance.by_speed_km, 3),
        distance_gps_km=_rounded(distance.by_route_km, 3),
        disagreement_pct=_rounded(distance.disagreement_pct, 1),
        odo_start_km=measures.odo_first_km,
        odo_end_km=measures.odo_last_km,
        duration_s=duration_ms / 1000,
        moving_s=max(0, duration_ms - measures.idle_ms) / 1000,
        idle_s=measures.idle_ms / 1000,
        avg_speed_kmh=round(distance.km * HOUR_MS / duration_ms, 1) if duration_ms else None,
        max_speed_kmh=measures.max_kmh,
        soc_start_pct=measures.soc_first_pct,
        soc_end_pct=measures.soc_last_pct,
        fuel_start_pct=measures.fuel_first_pct,
        fuel_end_pct=measures.fuel_last_pct,
        **used._asdict(),
        harsh_brakings=measures.brakings,
        harsh_accelerations=measures.accelerations,
        harsh_cornerings=measures.cornerings,
        urban_share=shares and shares.urban,
        rural_share=shares and shares.rural,
        motorway_share=shares and shares.motorway,
        eco_score=_eco_score(measures, shares, distance.km, duration_ms, parameters),
        temp_c=round(measures.temp_sum / measures.temp_count, 1) if measures.temp_count else None,
        samples=measures.samples,
        dropped=dropped,
        quality=quality.grade,
        quality_reasons=quality.reasons,
        **_where(stretches, trip, parameters),
    )


def _dropped(measures: Measures, stretches: Sequence[Stretch]) -> dict[str, int]:
    """By reason; positions that the route leaves out as `teleport`."""
    jumps = sum(one.fixes for one in measures.route.stretches) - sum(one.fixes for one in stretches)
    counts = Counter(measures.dropped) + Counter({TELEPORT: jumps + measures.route.given_up})
    return dict(sorted(counts.items()))


def _taken(measures: Measures, distance_km: float, duration_ms: int) -> Taken:
    """An integral counts if it covers the trip; levels at both ends do in any case."""
    has_power = measures.has_power and measures.power_ms >= COVERED * duration_ms
    has_fuel = measures.has_fuel and measures.fuel_ms >= COVERED * duration_ms
    return Taken(
        distance_km=distance_km,
        drawn_kwh=measures.drawn / 2 / HOUR_MS if has_power else None,
        recuperated_kwh=measures.recuperated / 2 / HOUR_MS if has_power else None,
        soc_start_pct=measures.soc_first_pct,
        soc_end_pct=measures.soc_last_pct,
        fuel_l=measures.fuel / 2 / HOUR_MS if has_fuel else None,
        fuel_start_pct=measures.fuel_first_pct,
        fuel_end_pct=measures.fuel_last_pct,
        refuelled=measures.is_refuelled,
    )


def _eco_score(
    measures: Measures, shares: Shares | None, distance_km: float, duration_ms: int, parameters: Parameters
) -> int | None:
    motorway_ms = measures.motorway_ms
    score = driving.eco_score(
        distance_km=distance_km,
        duration_s=duration_ms / 1000,
        idle_s=measures.idle_ms / 1000,
        harsh_events=measures.brakings + measures.accelerations + measures.cornerings,
        motorway_share=shares and shares.motorway,
        motorway_kmh=measures.motorway / 2 / motorway_ms if motorway_ms else None,
        rated_from_km=parameters.rated_from_km,
    )
    return score and score.score


def _where(stretches: Sequence[Stretch], trip: Trip, parameters: Parameters) -> dict[str, Any]:
    where = whereabouts(stretches, trip.start_ms, trip.end_ms, parameters.fuzz_m)
    if where is None:
        return {}
    return {
        "start_lat": where.start.lat,
        "start_lon": where.start.lon,
        "end_lat": where.end.lat,
        "end_lon": where.end.lon,
        "start_place": where.start.place,
        "end_place": where.end.place,
        "start_time_zone": where.start.time_zone,
        "end_time_zone": where.end.time_zone,
        "night_share": where.night_share,
        "polyline": where.polyline,
    }


def _carriage(vehicle_id: str, trip: Trip, parameters: Parameters) -> Summary | None:
    stretches = trip.measures.route.stretches
    if not stretches:
        return None
    duration_ms = trip.end_ms - trip.start_ms
    return Summary(
        trip_id=record_id(vehicle_id, trip.start_ms),
        vehicle_id=vehicle_id,
        kind="carried",
        started_at_ms=trip.start_ms,
        ended_at_ms=trip.end_ms,
        distance_km=round(trip.moved_m / 1000, 3),
        distance_source="gps",
        distance_gps_km=round(trip.moved_m / 1000, 3),
        duration_s=duration_ms / 1000,
        moving_s=duration_ms / 1000,
        idle_s=0.0,
        avg_speed_kmh=round(trip.moved_m * 3600 / duration_ms, 1) if duration_ms else None,
        samples=sum(one.fixes for one in stretches),
        dropped={},
        **_where(stretches, trip, parameters),
    )


def _charging_session(vehicle_id: str, trip: Trip, parameters: Parameters) -> ChargingSession | None:
    measures, gain_pct, duration_ms = trip.total(), charging.gain_pct(trip), trip.end_ms - trip.start_ms
    if duration_ms < MIN_CHARGING_MS and (gain_pct or 0.0) < MIN_CHARGED_PCT:
        return None
    stretches = measures.route.credible()
    where = spot(stretches[-1].last_lat, stretches[-1].last_lon, parameters.fuzz_m) if stretches else None
    energy_kwh = None
    if measures.has_power and measures.power_ms >= COVERED * duration_ms:
        energy_kwh = measures.recuperated / 2 / HOUR_MS
    elif gain_pct is not None and parameters.battery_kwh is not None:
        energy_kwh = gain_pct / 100 * parameters.battery_kwh
    return ChargingSession(
        session_id=record_id(vehicle_id, trip.start_ms),
        vehicle_id=vehicle_id,
        started_at_ms=trip.start_ms,
        ended_at_ms=trip.end_ms,
        soc_start_pct=measures.soc_first_pct,
        soc_end_pct=measures.soc_last_pct,
        energy_kwh=_rounded(energy_kwh, 3),
        evidence="inferred" if trip.inferred else "reported",
        lat=where.lat if where else None,
        lon=where.lon if where else None,
        place=where.place if where else None,
        time_zone=where.time_zone if where else None,
        odo_km=measures.odo_last_km,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
