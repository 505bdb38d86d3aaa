"""What is told about a record."""

from typing import Any

import pytest

from functions.trips.geodesy import decoded, distance_m
from functions.trips.parameters import Parameters
from functions.trips.summary import Summary, record_id, summarise
from tests.trips.minutes import HOME, KM_LAT, Values, at, going, of, records, rows, standing


def summary(*groups: list[Values], is_private: bool = False, **parameters: Any) -> Summary:
    """Of the one trip that these samples make."""
    (trip,) = records(*groups, **parameters)
    return of(trip, is_private=is_private, **parameters)


def counting(samples: list[Values], *, first_km: float = 100.0, factor: float = 1.0) -> list[Values]:
    """With an odometer that shows so much of the way at the speed of each sample."""
    return [
        row | {"odo_km": round(first_km + factor * row["speed_kmh"] * (row["t"] - samples[0]["t"]) / 3.6e6, 4)}
        for row in samples
    ]


def lacking(samples: list[Values], *names: str) -> list[Values]:
    return [{name: value for name, value in row.items() if name not in names} for row in samples]


DRIVE = counting(going(0, 20, kmh=60.0))  # 20 km


# --- distance


@pytest.mark.parametrize(
    ("missing", "source"),
    [((), "odometer"), (("odo_km",), "speed"), (("odo_km", "lat", "lon"), "speed"), (("odo_km", "speed_kmh"), "gps")],
    ids=str,
)
def test_the_distance_is_by_the_best_that_was_measured(missing: tuple[str, ...], source: str) -> None:
    told = summary(lacking(DRIVE, *missing))
    assert told.distance_source == source
    assert told.distance_km == pytest.approx(20.0, rel=1e-3)
    assert (told.distance_odometer_km is None) is ("odo_km" in missing)
    assert (told.distance_speed_km is None) is ("speed_kmh" in missing)
    assert (told.distance_gps_km is None) is ("lat" in missing)


def test_the_odometer_alone_is_believed() -> None:
    told = summary(lacking(DRIVE, "lat", "lon", "speed_kmh"))
    assert (told.distance_km, told.distance_source, told.disagreement_pct) == (20.0, "odometer", None)
    assert told.quality_reasons == ("slow-sampling", "no-speed", "no-position", "distance-unchecked")


def test_sources_differ_by_what_the_farthest_of_them_shows() -> None:
    told = summary(counting(going(0, 20, kmh=60.0), factor=1.05))
    assert (told.distance_km, told.distance_source) == (21.0, "odometer")
    assert told.distance_speed_km == 20.0
    assert told.distance_gps_km == pytest.approx(20.0, rel=1e-3)
    assert told.disagreement_pct == pytest.approx(4.8)


def test_an_odometer_that_all_others_contradict_is_not_believed() -> None:
    told = summary(counting(going(0, 20, kmh=60.0), factor=1.3))
    assert (told.distance_km, told.distance_source) == (20.0, "speed")
    assert told.distance_odometer_km == 26.0
    assert told.disagreement_pct == pytest.approx(30.0)
    assert "sources-contradict" in told.quality_reasons
    assert told.quality == "D"


def test_an_odometer_that_one_other_confirms_is_believed() -> None:
    """The speed of a car is integrated 2 to 7 % too low, and a receiver may be lost."""
    lost = [row | {"lat": 50.0 + (row["lat"] - 50.0) / 2} for row in DRIVE]
    told = summary(lost)
    assert (told.distance_km, told.distance_source) == (20.0, "odometer")
    assert told.disagreement_pct == pytest.approx(50.0, abs=0.1)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({0: None}, id="not at the first sample"),
        pytest.param({120: None}, id="not at the last sample"),
        pytest.param({60: 5.0}, id="runs backwards"),
        pytest.param({120: 90_000.0}, id="shows more than a car can do"),
    ],
)
def test_an_odometer_that_does_not_cover_the_trip_tells_no_distance(damage: dict[int, float | None]) -> None:
    told = summary([row | ({"odo_km": damage[i]} if i in damage else {}) for i, row in enumerate(DRIVE)])
    assert (told.distance_source, told.distance_odometer_km) == ("speed", None)
    assert told.distance_km == pytest.approx(20.0)


def test_readings_of_the_odometer_are_told_in_any_case() -> None:
    told = summary(DRIVE)
    assert (told.odo_start_km, told.odo_end_km) == (100.0, 120.0)


@pytest.mark.parametrize("missing", [(), ("odo_km",), ("odo_km", "speed_kmh")], ids=str)
def test_the_way_through_a_tunnel_is_in_the_distance(missing: tuple[str, ...]) -> None:
    """Ten minutes of nothing, straight on."""
    told = summary(*(lacking(part, *missing) for part in (DRIVE[:60], DRIVE[90:])))
    assert told.distance_km == pytest.approx(20.0, rel=1e-3)
    assert told.duration_s == 1200
    assert "silence" in told.quality_reasons


def test_who_went_nowhere_made_no_trip() -> None:
    (trip,) = records(standing(0, 30))
    assert summarise("car", trip, Parameters()) is None
    (trip,) = records(rows(0, 30, soc_pct=50.0))
    assert summarise("car", trip, Parameters()) is None


def test_how_short_a_trip_may_be_is_a_parameter() -> None:
    (trip,) = records(going(0, 1, kmh=6.0))
    assert of(trip).distance_km == pytest.approx(0.1)
    assert summarise("car", trip, Parameters(min_distance_km=0.2)) is None


# --- time and speed


def test_idle_and_moving_time_make_up_the_duration() -> None:
    told = summary(going(0, 10), standing(10.5, 15, north_km=6.0), going(15.5, 20, north_km=6.0))
    assert told.duration_s == 1200
    assert told.idle_s == pytest.approx(300, abs=30)
    assert told.moving_s + told.idle_s == told.duration_s
    assert told.max_speed_kmh == 36.0
    assert told.avg_speed_kmh == pytest.approx(36.0 * 0.75, rel=0.02)


def test_standing_still_before_p_is_idle_time_of_a_parked_trip() -> None:
    told = summary(going(0, 5, gear="D"), standing(5.5, 10, gear="D"), standing(10.5, 20, gear="P"))
    assert told.duration_s == 630
    assert told.idle_s == pytest.approx(300, abs=30)


def test_a_tunnel_before_a_long_stop_is_in_duration_and_distance() -> None:
    """It came to a stand in P behind it, of which only the first sample is of the trip."""
    told = summary(
        going(0, 5, kmh=60.0, gear="D"), standing(5.5, 6, north_km=5.0), standing(10, 30, north_km=9.0, gear="P")
    )
    assert told.distance_km == pytest.approx(9.0, abs=0.3)
    assert told.duration_s == 600


def test_a_trip_is_named_by_its_vehicle_and_its_start() -> None:
    told = summary(DRIVE)
    assert (told.trip_id, told.vehicle_id, told.kind) == (f"car-{at(0)}", "car", "driven")
    assert told.trip_id == record_id("car", told.started_at_ms)
    assert told.ended_at_ms == at(20)


# --- energy


def test_energy_is_by_power_if_that_was_measured_and_else_by_the_level() -> None:
    samples = [row | {"power_kw": 12.0, "soc_pct": 80.0 - index / 20} for index, row in enumerate(DRIVE)]
    told = summary(samples, battery_kwh=50.0)
    assert (told.energy_kwh, told.recuperated_kwh, told.kwh_100km) == (4.0, 0.0, 20.0)
    assert (told.soc_start_pct, told.soc_end_pct) == (80.0, 74.0)
    assert summary(lacking(samples, "power_kw"), battery_kwh=50.0).energy_kwh == 3.0
    assert summary(lacking(samples, "power_kw")).energy_kwh is None


def test_what_recuperation_gave_back_is_taken_off() -> None:
    told = summary([row | {"power_kw": 12.0 if index < 60 else -6.0} for index, row in enumerate(DRIVE)])
    assert told.recuperated_kwh == pytest.approx(1.0, rel=0.02)
    assert told.energy_kwh == pytest.approx(1.0, rel=0.05)


def test_fuel_is_by_its_rate_if_that_was_measured_and_else_by_the_level() -> None:
    samples = [row | {"fuel_l_h": 4.5, "fuel_pct": 60.0 - index / 20} for index, row in enumerate(DRIVE)]
    told = summary(samples, tank_l=50.0, fuel="petrol")
    assert (told.fuel_l, told.l_100km, told.co2_kg) == (1.5, 7.5, 3.495)
    assert (told.fuel_start_pct, told.fuel_end_pct) == (60.0, 54.0)
    assert summary(lacking(samples, "fuel_l_h"), tank_l=50.0, fuel="diesel").fuel_l == 3.0


def test_refuelling_on_the_way_leaves_the_level_without_meaning() -> None:
    samples = [row | {"fuel_pct": 30.0 if index < 60 else 90.0 - index / 4} for index, row in enumerate(DRIVE)]
    told = summary(samples, tank_l=50.0)
    assert (told.fuel_start_pct, told.fuel_end_pct, told.fuel_l) == (30.0, 60.0, None)


def test_the_eco_score_and_its_threshold_are_there() -> None:
    assert summary(DRIVE).eco_score == 100
    assert summary(DRIVE, rated_from_km=20.5).eco_score is None
    assert summary(lacking(DRIVE, "speed_kmh")).eco_score is None


def test_harsh_braking_costs_points() -> None:
    pattern = [60.0] * 27 + [45.0, 30.0, 15.0]
    told = summary([{"t": at(0) + 1000 * second, "speed_kmh": pattern[second % 30]} for second in range(121)])
    assert (told.harsh_brakings, told.harsh_accelerations, told.harsh_cornerings) == (4, 4, 0)
    assert told.eco_score == 60


# --- where


def drive_from(place: tuple[float, float], **values: Any) -> list[Values]:
    """Ten kilometres to the north."""
    return [row | {"lat": row["lat"] - 50.0 + place[0], "lon": place[1]} | values for row in going(0, 10, kmh=60.0)]


def test_start_and_end_are_told_with_town_and_time_zone() -> None:
    told = summary(drive_from(HOME))
    assert (told.start_lat, told.start_lon) == HOME
    assert told.start_place == "Wolfsburg, DE"
    assert told.end_lat == pytest.approx(HOME[0] + 10 * KM_LAT)
    assert told.end_place is not None
    assert told.end_place.endswith(", DE")
    assert (told.start_time_zone, told.end_time_zone) == ("Europe/Berlin", "Europe/Berlin")
    assert decoded(told.polyline) == [(5_242_270, 1_078_650), (5_251_263, 1_078_650)]


def test_who_crosses_a_border_of_time_arrives_in_another_zone() -> None:
    """From Badajoz to Elvas."""
    told = summary([row | {"lon": -6.95 - index / 240} for index, row in enumerate(drive_from((38.84, 0.0)))])
    assert (told.start_place, told.start_time_zone) == ("Badajoz, ES", "Europe/Madrid")
    assert (told.end_place, told.end_time_zone) == ("Elvas, PT", "Europe/Lisbon")


def test_the_share_of_the_night_is_by_the_clocks_at_the_start() -> None:
    """The morning of these tests is 17:06 in Berlin and 0:06 in Tokyo."""
    assert summary(drive_from(HOME)).night_share == 0.0
    assert summary(drive_from((35.68, 139.69))).night_share == 1.0


def test_fuzzy_ends_are_near_the_true_ones_and_not_in_the_line() -> None:
    exact, told = summary(drive_from(HOME)), summary(drive_from(HOME), fuzz_m=300.0)
    assert (told.start_lat, told.start_lon) != HOME
    for lat, lon, true_lat, true_lon in (
        (told.start_lat, told.start_lon, exact.start_lat, exact.start_lon),
        (told.end_lat, told.end_lon, exact.end_lat, exact.end_lon),
    ):
        assert lat is not None
        assert lon is not None
        assert true_lat is not None
        assert true_lon is not None
        assert distance_m(lat, lon, true_lat, true_lon) <= 300
        for point_lat, point_lon in decoded(told.polyline):
            assert distance_m(point_lat / 1e5, point_lon / 1e5, true_lat, true_lon) > 300
    assert told.distance_km == exact.distance_km
    assert (told.start_place, told.start_time_zone, told.end_place) == (
        exact.start_place,
        exact.start_time_zone,
        exact.end_place,
    )


def test_fuzzy_ends_are_the_same_for_all_trips_from_one_house() -> None:
    there = summary(drive_from(HOME), fuzz_m=300.0)
    again = summary(drive_from((HOME[0] + 1e-6, HOME[1] - 1e-6), soc_pct=50.0), fuzz_m=300.0)
    assert (there.start_lat, there.start_lon) == (again.start_lat, again.start_lon)


def test_of_a_route_that_stays_in_the_neighbourhood_no_line_is_told() -> None:
    told = summary(drive_from(HOME), fuzz_m=6000.0)
    assert told.polyline == ""
    assert told.distance_km == pytest.approx(10.0, rel=1e-3)


def test_without_positions_nothing_is_said_of_places() -> None:
    told = summary(lacking(DRIVE, "lat", "lon"))
    assert told.start_lat is told.end_lon is told.night_share is None
    assert told.start_place is told.end_time_zone is None
    assert told.polyline == ""
    assert "no-position" in told.quality_reasons


def test_that_a_private_vehicle_has_no_positions_is_no_fault() -> None:
    told = summary(lacking(DRIVE, "lat", "lon"), is_private=True)
    assert told.start_lat is told.end_lat is None
    assert told.start_place is told.start_time_zone is None
    assert (told.distance_km, told.distance_source) == (20.0, "odometer")
    assert told.quality_reasons == ("slow-sampling",)


# --- quality


def test_good_data_are_of_the_best_quality() -> None:
    dense = counting([row | {"t": at(0) + 1000 * index} for index, row in enumerate(going(0, 50, kmh=6.0))])
    told = summary([row | {"speed_kmh": 60.0, "odo_km": 100 + i / 60} for i, row in enumerate(dense)])
    assert (told.quality, told.quality_reasons, told.dropped) == ("A", (), {})
    assert told.samples == len(dense)
    assert told.distance_km == 5.0


def test_positions_and_samples_that_were_left_out_are_counted_by_reason() -> None:
    bad = [dict(row) for row in DRIVE]
    bad[40] |= {"lat": 0.0, "lon": 0.0}
    bad[50] |= {"soc_pct": 101.0}
    bad[51] |= {"soc_pct": 101.0}
    told = summary(bad)
    assert told.dropped == {"soc": 2, "teleport": 1}
    assert told.quality_reasons == ("samples-dropped", "teleports", "slow-sampling")
    assert told.samples == len(bad) - 2
    assert told.distance_gps_km == pytest.approx(20.0, rel=1e-3)
