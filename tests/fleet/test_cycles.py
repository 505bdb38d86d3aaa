"""The drive cycles against what is published of them, and what driving them looks like."""

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from localcloud.fleet.cycle_drives import Departure, drive_cycle
from localcloud.fleet.cycles import CycleName, load_cycle
from localcloud.fleet.powertrain import Combustion, Electric, Powertrain, wheel_power_w
from localcloud.fleet.telemetry import Sample

DEPARTURE = Departure(datetime(2026, 3, 1, 7, 30, tzinfo=UTC), 52.27, 10.52, odometer_km=1234.5)


def great_circle_km(a: Sample, b: Sample) -> float:
    assert a.lat is not None
    assert a.lon is not None
    assert b.lat is not None
    assert b.lon is not None
    phi_a, phi_b = math.radians(a.lat), math.radians(b.lat)
    half = math.sin((phi_b - phi_a) / 2) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(half))


@pytest.mark.parametrize(
    ("name", "duration_s", "distance_km", "top_kmh"),
    [
        (CycleName.WLTC_CLASS_3B, 1800, 23.27, 131.3),
        (CycleName.UDDS, 1369, 11.99, 91.25),
        (CycleName.HWFET, 765, 16.51, 96.4),
    ],
)
def test_a_cycle_has_the_published_totals(name: CycleName, duration_s: int, distance_km: float, top_kmh: float) -> None:
    cycle = load_cycle(name)
    assert cycle.duration_s == duration_s
    assert cycle.distance_km == pytest.approx(distance_km, rel=0.005)
    assert max(cycle.speeds_kmh) == pytest.approx(top_kmh, abs=0.05)
    assert cycle.speeds_kmh[0] == cycle.speeds_kmh[-1] == 0


@pytest.mark.parametrize(
    ("name", "below_kmh", "share"),
    [(CycleName.WLTC_CLASS_3B, 1.0, 0.134), (CycleName.UDDS, 0.1, 0.189), (CycleName.HWFET, 0.1, 0.0078)],
)
def test_a_cycle_stands_still_as_long_as_published(name: CycleName, below_kmh: float, share: float) -> None:
    cycle = load_cycle(name)
    still = sum(speed < below_kmh for speed in cycle.speeds_kmh)
    assert still / cycle.duration_s == pytest.approx(share, abs=0.002)


def test_the_wltc_has_the_check_sum_of_the_regulation() -> None:
    """UN GTR No. 15 gives the sum of all speeds, against errors in copying."""
    assert sum(load_cycle(CycleName.WLTC_CLASS_3B).speeds_kmh) == pytest.approx(83758.6, abs=1e-6)


def test_no_car_would_have_to_accelerate_more_than_the_regulations_ask() -> None:
    """A digit lost in copying would show as a leap: the UDDS has the steepest ramp, 3.3 mph in a second."""
    for name in CycleName:
        speeds = load_cycle(name).speeds_kmh
        assert max(abs(b - a) for a, b in itertools.pairwise(speeds)) < 7.0


@pytest.mark.parametrize("name", CycleName)
@pytest.mark.parametrize("powertrain", [Electric(), Combustion()], ids=["electric", "combustion"])
def test_odometer_and_positions_agree_with_the_cycle(name: CycleName, powertrain: Powertrain) -> None:
    cycle = load_cycle(name)
    samples = drive_cycle(cycle, DEPARTURE, powertrain)
    assert samples[0].odo_km == 1234.5
    assert samples[-1].odo_km == pytest.approx(1234.5 + cycle.distance_km, abs=1e-3)
    way_km = sum(great_circle_km(a, b) for a, b in itertools.pairwise(samples))
    assert way_km == pytest.approx(cycle.distance_km, rel=1e-3)


def test_a_drive_is_stamped_every_second_and_ends_switched_off() -> None:
    samples = drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric())
    assert [sample.t - samples[0].t for sample in samples] == [1000 * second for second in range(766)]
    assert samples[0].t == 1_772_350_200_000
    assert [sample.ignition for sample in samples] == [True] * 765 + [False]
    assert samples[-1].gear == "P"


def test_a_battery_pays_for_the_distance_and_keeps_its_charge_between_drives() -> None:
    battery = Electric(soc_pct=80.0)
    cycle = load_cycle(CycleName.WLTC_CLASS_3B)
    first = drive_cycle(cycle, DEPARTURE, battery)
    second = drive_cycle(cycle, DEPARTURE, battery)
    assert first[0].soc_pct == pytest.approx(80.0, abs=0.01)
    assert second[0].soc_pct == pytest.approx(first[-1].soc_pct, abs=0.01)
    used_kwh = (80.0 - battery.soc_pct) / 100 * battery.capacity_kwh
    assert 10 < used_kwh / (2 * cycle.distance_km) * 100 < 20  # kWh for 100 km
    assert all(sample.fuel_l_h is sample.fuel_pct is None for sample in first)
    assert {sample.charging for sample in first} == {False}


def test_the_power_of_a_battery_is_what_its_charge_loses() -> None:
    """Negative where braking fills it."""
    battery = Electric(soc_pct=80.0)
    samples = drive_cycle(load_cycle(CycleName.UDDS), DEPARTURE, battery)
    powers_kw = [sample.power_kw or 0 for sample in samples]
    used_kwh = (80.0 - battery.soc_pct) / 100 * battery.capacity_kwh
    assert sum(powers_kw) / 3600 == pytest.approx(used_kwh, rel=1e-3)
    assert min(powers_kw) < 0 < max(powers_kw)


def test_an_engine_idles_at_standstill_and_burns_a_plausible_amount() -> None:
    cycle = load_cycle(CycleName.WLTC_CLASS_3B)
    samples = drive_cycle(cycle, DEPARTURE, Combustion())
    assert samples[0].fuel_l_h == pytest.approx(0.7)
    litres = sum(sample.fuel_l_h or 0 for sample in samples) / 3600
    assert 4 < litres / cycle.distance_km * 100 < 8  # litres for 100 km
    assert all(sample.soc_pct is sample.power_kw is sample.charging is None for sample in samples)


def test_a_tank_loses_what_the_engine_burns_and_keeps_its_level_between_drives() -> None:
    car = Combustion(fuel_pct=60.0)
    cycle = load_cycle(CycleName.HWFET)
    first, second = drive_cycle(cycle, DEPARTURE, car), drive_cycle(cycle, DEPARTURE, car)
    litres = sum(sample.fuel_l_h or 0 for sample in (*first, *second)) / 3600
    assert first[0].fuel_pct == 60.0
    assert (60.0 - car.fuel_pct) / 100 * car.tank_l == pytest.approx(litres, rel=1e-3)
    assert second[-1].fuel_pct == pytest.approx(car.fuel_pct, abs=0.05)


def test_it_is_as_warm_outside_as_at_departure() -> None:
    samples = drive_cycle(load_cycle(CycleName.HWFET), replace(DEPARTURE, outside_c=-7.5), Electric())
    assert {sample.temp_c for sample in samples} == {-7.5}


def test_braking_gives_power_back() -> None:
    assert wheel_power_w(20.0, 0.0) > 0 > wheel_power_w(20.0, -1.0)
    battery = Electric(soc_pct=50.0)
    battery.drive(20.0, -2.0, 10.0)
    assert battery.soc_pct > 50.0


def test_a_road_follows_from_its_seed() -> None:
    cycle = load_cycle(CycleName.HWFET)
    here, again = drive_cycle(cycle, DEPARTURE, Electric()), drive_cycle(cycle, DEPARTURE, Electric())
    elsewhere = drive_cycle(cycle, Departure(DEPARTURE.at, DEPARTURE.lat, DEPARTURE.lon, road_seed=2), Electric())
    assert here == again
    assert here[0].lat == elsewhere[0].lat
    assert here[-1].lat != elsewhere[-1].lat
