"""What is told about records that are no drives: of being carried, and of charging."""

from typing import Any

import pytest
from msgspec.structs import replace

from functions.trips.geodesy import decoded, distance_m
from functions.trips.parameters import Parameters
from functions.trips.records import Trip
from functions.trips.summary import ChargingSession, summarise
from tests.trips.minutes import HOME, KM_LAT, Values, at, carried, going, of, records, rows


def session(trip: Trip, **parameters: Any) -> ChargingSession:
    told = summarise("car", trip, Parameters(**parameters))
    assert isinstance(told, ChargingSession)
    return told


def test_a_ferry_is_told_with_its_ends_and_its_way() -> None:
    ferry = records(going(0, 10, kmh=30.0), carried(11, 90, kmh=20.0, north_km=5.0, speed_kmh=0.0))[1]
    told = of(ferry)
    assert (told.kind, told.distance_source, told.eco_score, told.quality) == ("carried", "gps", None, None)
    assert told.distance_km == pytest.approx(26.3, abs=1.7)
    assert told.distance_km == told.distance_gps_km
    assert (told.idle_s, told.moving_s) == (0.0, told.duration_s)
    assert told.avg_speed_kmh == pytest.approx(20.0, rel=0.05)
    assert told.start_lat == pytest.approx(50 + 5 * KM_LAT, abs=2 * KM_LAT)
    assert told.polyline


def test_a_train_in_silence_is_told_likewise() -> None:
    train = records(going(0, 5, odo_km=100.0), going(185, 190, north_km=203.0, odo_km=100.0))[1]
    told = of(train)
    assert (told.kind, told.samples) == ("carried", 2)
    assert told.distance_km == pytest.approx(200.0, rel=1e-3)
    assert told.duration_s == 180 * 60
    assert len(decoded(told.polyline)) == 2


def charging(minutes: float, *, every_s: int = 60, **values: Any) -> list[Values]:
    return [
        row | {"charging": True, "soc_pct": 40.0 + index / 10, "odo_km": 100.0}
        for index, row in enumerate(rows(0, minutes, every_s=every_s, **values))
    ]


def test_a_charging_session_is_told_with_energy_and_place() -> None:
    (trip,) = records(charging(60, power_kw=-11.0, lat=HOME[0], lon=HOME[1]))
    told = session(trip)
    assert (told.session_id, told.vehicle_id, told.evidence) == (f"car-{at(0)}", "car", "reported")
    assert (told.soc_start_pct, told.soc_end_pct, told.energy_kwh) == (40.0, 46.0, 11.0)
    assert (told.lat, told.lon, told.place, told.time_zone, told.odo_km) == (
        *HOME,
        "Wolfsburg, DE",
        "Europe/Berlin",
        100.0,
    )
    assert (told.started_at_ms, told.ended_at_ms) == (at(0), at(60))


def test_without_power_its_energy_is_by_the_level() -> None:
    (trip,) = records(charging(60))
    assert session(trip, battery_kwh=50.0).energy_kwh == 3.0
    assert session(trip).energy_kwh is None
    assert (session(trip).lat, session(trip).place) == (None, None)


def test_power_that_was_not_measured_throughout_gives_way_to_the_level() -> None:
    """As of a car that sleeps while it charges."""
    (trip,) = records(charging(480, every_s=1200, power_kw=-11.0), size=1)
    assert session(trip, battery_kwh=50.0).energy_kwh == 1.2
    assert session(trip).energy_kwh is None


def test_what_was_charged_without_any_measurement_is_unknown() -> None:
    (trip,) = records(rows(0, 60, charging=True))
    assert session(trip, battery_kwh=50.0).energy_kwh is None


def test_a_plug_that_was_only_tried_is_no_session() -> None:
    (trip,) = records(charging(0.5, every_s=10))
    assert summarise("car", trip, Parameters()) is None
    assert session(replace(trip, end_ms=at(1))).ended_at_ms == at(1)


def test_where_it_was_charged_is_fuzzy_as_well() -> None:
    (trip,) = records(charging(60, lat=HOME[0], lon=HOME[1]))
    told = session(trip, fuzz_m=300.0)
    assert told.lat is not None
    assert told.lon is not None
    assert 0 < distance_m(told.lat, told.lon, *HOME) <= 300
    assert told.place == "Wolfsburg, DE"


def test_a_charging_session_in_silence_is_inferred() -> None:
    trip = records(going(0, 5, soc_pct=50.0), going(500, 505, north_km=3.0, soc_pct=80.0))[1]
    told = session(trip, battery_kwh=50.0)
    assert (told.evidence, told.soc_start_pct, told.soc_end_pct, told.energy_kwh) == ("inferred", 50.0, 80.0, 15.0)
    assert told.lat == pytest.approx(50 + 3 * KM_LAT)
