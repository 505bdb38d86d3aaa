"""Vehicles whose place changes while their wheels stand still, and others of which it only seems so."""

import random

import pytest

from tests.trips.minutes import KM_LAT, MINUTE_MS, at, carried, found, going, records, rows, standing, trips


def test_a_ferry_with_the_ignition_on_is_a_way_of_its_own() -> None:
    """Five minutes, a message, are the resolution of such a way."""
    crossing = carried(30, 90, kmh=20.0, north_km=5.0, speed_kmh=0.0)
    told = records(
        going(0, 10, kmh=30.0),
        standing(10.5, 29.5, north_km=5.0),
        crossing,
        standing(90.5, 100, north_km=25.0),
        going(100.5, 110, north_km=25.0),
    )
    assert [one.kind for one in told] == ["driven", "carried", "driven"]
    assert (told[0].start_ms, told[0].end_ms) == (at(0), at(10))
    assert told[1].start_ms == pytest.approx(at(30), abs=5 * MINUTE_MS)
    assert told[1].end_ms == pytest.approx(at(90), abs=5 * MINUTE_MS)
    assert told[1].moved_m == pytest.approx(20_000, rel=0.05)
    assert (told[2].start_ms, told[2].end_ms) == (at(100.5), at(110))


def test_a_ferry_in_gear_p_is_one_too() -> None:
    crossing = carried(30, 90, kmh=20.0, north_km=5.0, speed_kmh=0.0, gear="P")
    told = found(going(0, 10, kmh=30.0, gear="D"), standing(10.5, 29.5, north_km=5.0, gear="P"), crossing)
    assert [kind for kind, _, _ in told] == ["driven", "carried"]
    assert told[0][1:] == (0, 10.5)
    assert told[1][1:] == (pytest.approx(30, abs=5), pytest.approx(90, abs=5))


def test_what_a_ferry_covers_is_not_in_the_trip_after_it() -> None:
    drive_off = going(91, 100, north_km=25.0, odo_km=110.0)
    told = records(going(0, 10, kmh=30.0), carried(11, 90, kmh=20.0, north_km=5.0, speed_kmh=0.0), drive_off)
    assert [one.kind for one in told] == ["driven", "carried", "driven"]
    (stretch,) = told[2].measures.route.stretches
    assert stretch.lat == pytest.approx(50 + 25 * KM_LAT)
    assert stretch.t == told[2].start_ms


def test_towed_away_while_switched_off_it_was_carried() -> None:
    off = rows(10.5, 60, ignition=False, lat=50.0 + 5 * KM_LAT, lon=8.0)
    tow = carried(61, 100, kmh=60.0, north_km=5.0, every_s=60, ignition=False)
    told = found(going(0, 10, kmh=30.0), off, tow, size=1)
    assert [kind for kind, _, _ in told] == ["driven", "carried"]
    assert told[0][1:] == (0, 10.5)
    assert told[1][1:] == (pytest.approx(61, abs=2), 100)
    assert records(going(0, 10, kmh=30.0), off, tow, size=1)[1].moved_m == pytest.approx(39_000, rel=0.02)


def test_a_train_in_silence_that_the_odometer_knows_nothing_of_carried_it() -> None:
    before, after = going(0, 5, odo_km=100.0), going(185, 190, north_km=203.0, odo_km=100.0)
    assert found(before, after) == [("driven", 0, 5), ("carried", 5, 185), ("driven", 185, 190)]
    train = records(before, after)[1]
    assert train.inferred
    assert train.moved_m == pytest.approx(200_000, rel=1e-3)


def test_who_drives_onto_the_train_in_silence_was_carried_as_well() -> None:
    told = found(going(0, 5, odo_km=100.0), going(185, 190, north_km=203.0, odo_km=100.2))
    assert [kind for kind, _, _ in told] == ["driven", "carried", "driven"]


def test_a_drive_in_silence_is_not_being_carried() -> None:
    assert trips(going(0, 5, odo_km=100.0), going(185, 190, north_km=203.0, odo_km=302.0)) == [(0, 5), (185, 190)]
    assert trips(going(0, 5), going(185, 190, north_km=203.0)) == [(0, 5), (185, 190)]


@pytest.mark.parametrize("size", [1, 6, 30])
def test_a_receiver_that_wanders_is_not_carried(size: int) -> None:
    """Between high houses, up to 50 m from where it is."""
    chance = random.Random(size)
    parked = [
        row | {"lat": 50.0 + chance.uniform(-0.05, 0.05) * KM_LAT, "lon": 8.0 + chance.uniform(-0.05, 0.05) * KM_LAT}
        for row in standing(6, 200)
    ]
    assert trips(going(-5, 0, kmh=0.0), going(0, 5, north_km=-3.0), parked, size=size) == [(-5, 200)]


@pytest.mark.parametrize("far_km", [2.0, 30.0, 300.0, 5000.0])
def test_a_receiver_that_is_thrown_far_away_is_not_carried(far_km: float) -> None:
    """For ten seconds, again and again."""
    parked = standing(6, 200, north_km=3.0)
    for row in parked[29::90]:
        row["lat"] -= far_km * KM_LAT
    assert trips(going(0, 5), parked) == [(0, 200)]


@pytest.mark.parametrize("minutes", [10, 60])
def test_a_receiver_that_stays_far_away_for_a_while_is_not_carried(minutes: int) -> None:
    parked = standing(6, 30, north_km=3.0), standing(30.5, 30 + minutes, north_km=-4997.0)
    assert trips(going(0, 5), *parked, standing(31 + minutes, 120, north_km=3.0)) == [(0, 120)]


def test_a_short_push_is_not_being_carried() -> None:
    assert trips(going(0, 5), standing(6, 20, north_km=3.0), standing(21, 60, north_km=3.2)) == [(0, 60)]


def test_a_bad_first_fix_after_a_silence_did_not_carry_it() -> None:
    before, after = going(0, 5, odo_km=100.0), going(8, 13, north_km=3.0, odo_km=100.0)
    after[0] |= {"lat": 0.0, "lon": 0.0}
    assert trips(before, after) == [(0, 5), (8, 13)]


def test_who_switches_off_when_the_ferry_has_left_was_not_driving_and_carried_at_once() -> None:
    at_sea = carried(11, 12.2, kmh=20.0, north_km=5.0, speed_kmh=0.0)
    off = carried(12.5, 90, kmh=20.0, north_km=5.5, every_s=60, ignition=False)
    drive, ferry = records(going(0, 10, kmh=30.0), at_sea, off, size=6)
    assert (drive.kind, ferry.kind) == ("driven", "carried")
    assert ferry.start_ms >= drive.end_ms


def test_who_stops_after_each_of_some_silences_on_the_way_was_not_carried() -> None:
    """Three stops at traffic lights are all that is heard of the way."""
    stops = [standing(5 * i, 5 * i + 0.5, north_km=3.0 * i) for i in range(1, 6)]
    assert trips(going(0, 2), *stops) == [(0, 25.5)]
