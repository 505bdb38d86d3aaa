"""A drive cycle, driven: the samples that a car would have measured on the way."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from localcloud.clock import to_epoch_ms
from localcloud.fleet.cycles import Cycle
from localcloud.fleet.powertrain import Powertrain
from localcloud.fleet.road import Road
from localcloud.fleet.telemetry import Sample


@dataclass(frozen=True, slots=True)
class Departure:
    """Where and when a drive begins."""

    at: datetime  # aware
    lat: float
    lon: float
    odometer_km: float = 0.0
    road_seed: int = 0
    outside_c: float = 15.0


def drive_cycle(cycle: Cycle, departure: Departure, powertrain: Powertrain) -> list[Sample]:
    """One sample a second, stamped with the drive's own time; at the last one the vehicle is switched off.

    The powertrain keeps its state: another drive with it goes on where this one ends.
    """
    road = Road(departure.lat, departure.lon, departure.road_seed)
    odometer_km = departure.odometer_km
    samples = []
    for second, (distance_km, speed_kmh) in enumerate(zip((0.0, *cycle.distances_km), cycle.speeds_kmh, strict=True)):
        before_kmh = cycle.speeds_kmh[second - 1] if second else speed_kmh
        mean_ms, acceleration_ms2 = (before_kmh + speed_kmh) / 7.2, (speed_kmh - before_kmh) / 3.6
        reading = powertrain.drive(mean_ms, acceleration_ms2, 1.0)
        road.advance(distance_km)
        odometer_km += distance_km
        is_last = second == cycle.duration_s
        samples.append(
            Sample(
                t=to_epoch_ms(departure.at + timedelta(seconds=second)),
                lat=round(road.lat, 7),
                lon=round(road.lon, 7),
                alt_m=round(road.altitude_m, 1),
                speed_kmh=round(speed_kmh, 2),
                odo_km=round(odometer_km, 4),
                soc_pct=reading.soc_pct,
                power_kw=reading.power_kw,
                fuel_l_h=reading.fuel_l_h,
                fuel_pct=reading.fuel_pct,
                temp_c=departure.outside_c,
                lateral_ms2=round(road.lateral_ms2(speed_kmh), 2),
                gear="P" if is_last else "D",
                ignition=not is_last,
                charging=reading.charging,
            )
        )
    return samples
