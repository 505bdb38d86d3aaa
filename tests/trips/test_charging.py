"""One charge is one session, reported or inferred, however often a vehicle falls asleep while it charges."""

from typing import Any

import pytest

from functions.trips.records import Trip
from tests.trips.minutes import (
    KM_LAT,
    OFF,
    PARKED,
    STANDING,
    Values,
    at,
    carried,
    found,
    going,
    night,
    records,
    rows,
    trips,
    wake,
)

KINDS = [OFF, STANDING, PARKED, OFF | {"charging": False}, OFF | STANDING | {"lat": 50.0, "lon": 8.0}]


def charging(start: float, end: float, *, every_s: int = 60, soc_pct: float = 40.0, **values: Any) -> list[Values]:
    """With 0.1 % a minute."""
    return [
        row | {"soc_pct": soc_pct + (row["t"] - at(start)) / 600_000, "charging": True}
        for row in rows(start, end, every_s=every_s, **values)
    ]


def test_charging_ends_a_trip_at_once_and_is_a_session_of_its_own() -> None:
    stop = going(0, 5), charging(5.5, 30), going(31, 35, north_km=3.0)
    assert found(*stop) == [("driven", 0, 5), ("charging", 5.5, pytest.approx(30, abs=0.5)), ("driven", 31, 35)]
    session = records(*stop)[1]
    assert not session.inferred
    assert session.measures.soc_first_pct == 40.0
    assert session.measures.soc_last_pct == pytest.approx(42.4)


def test_a_session_may_have_silences_in_it() -> None:
    """A car that charges sleeps, and wakes up for a moment now and then."""
    night = charging(6, 486, every_s=1200, power_kw=-11.0)
    assert found(going(0, 5), night, size=1) == [("driven", 0, 5), ("charging", 6, 486)]
    session = records(night, size=1)[0]
    assert (session.measures.soc_first_pct, session.measures.soc_last_pct) == (40.0, 88.0)


def test_a_battery_that_is_emptier_after_a_silence_was_driven_in_between() -> None:
    there, here = charging(0, 30, soc_pct=70.0), charging(240, 270, soc_pct=30.0)
    assert found(there, here) == [("charging", 0, 30), ("charging", 240, 270)]


def test_who_drives_to_another_charger_in_silence_charges_twice() -> None:
    there = charging(0, 30, soc_pct=40.0, odo_km=100.0, lat=50.0, lon=8.0)
    here = charging(240, 270, soc_pct=70.0, odo_km=150.0, lat=50.3, lon=8.0)
    assert found(there, here) == [("charging", 0, 30), ("charging", 240, 270)]


def test_a_session_that_went_on_in_silence_ends_with_the_level_behind_it() -> None:
    session = records(charging(0, 30, soc_pct=40.0), going(240, 245, soc_pct=80.0))[0]
    assert session.end_ms == at(240)
    assert session.measures.soc_last_pct == 80.0


def test_who_charges_behind_a_tunnel_arrived_there() -> None:
    plugged_in = charging(10, 40, lat=50.0 + 6 * KM_LAT, lon=8.0, odo_km=106.0)
    told = found(going(0, 5, odo_km=103.0), plugged_in)
    assert told == [("driven", 0, 10), ("charging", 10, pytest.approx(40, abs=0.5))]


def test_switched_off_and_charging_is_a_session_too() -> None:
    off = [{"t": at(5.5), "ignition": False}]
    told = found(going(0, 5), off, charging(10, 40, ignition=False, every_s=600), rows(41, 50, ignition=False))
    assert told == [("driven", 0, 5.5), ("charging", 10, 40)]


def test_a_battery_that_is_fuller_after_a_silence_was_charged_in_it() -> None:
    night = going(0, 5, soc_pct=50.0), going(500, 505, north_km=3.0, soc_pct=80.0)
    assert found(*night) == [("driven", 0, 5), ("charging", 5, 500), ("driven", 500, 505)]
    session = records(*night)[1]
    assert session.inferred
    assert (session.measures.soc_first_pct, session.measures.soc_last_pct) == (50.0, 80.0)


def test_a_battery_that_only_warmed_up_was_not_charged() -> None:
    assert trips(going(0, 5, soc_pct=50.0), going(500, 505, soc_pct=51.9)) == [(0, 5), (500, 505)]


def test_what_is_won_downhill_on_the_way_is_no_charging() -> None:
    """Through a tunnel in the Alps; and with more than that it must have been a charger at its end."""
    before = going(0, 5, soc_pct=50.0, odo_km=100.0)
    assert found(before, going(15, 20, north_km=10.0, soc_pct=53.0, odo_km=107.0)) == [("driven", 0, 20)]
    assert found(before, going(15, 20, north_km=10.0, soc_pct=55.0, odo_km=107.0)) == [
        ("driven", 0, 5),
        ("charging", 5, 15),
        ("driven", 15, 20),
    ]


def test_charging_in_silence_ends_a_trip_that_had_been_switched_off() -> None:
    off = [{"t": at(6), "ignition": False}]
    told = found(going(0, 5, soc_pct=50.0), off, going(500, 505, north_km=3.0, soc_pct=80.0))
    assert told == [("driven", 0, 6), ("charging", 6, 500), ("driven", 500, 505)]


# --- one charge, many wake-ups


def sessions(*groups: list[Values], **how: Any) -> list[Trip]:
    return [one for one in records(*groups, **how) if one.kind == "charging"]


def told(*groups: list[Values], **how: Any) -> list[tuple[Any, Any, float | None, float | None]]:
    """Start and end (in minutes) and the levels of each session."""
    return [
        (
            pytest.approx((one.start_ms - at(0)) / 60_000, abs=0.4),
            pytest.approx((one.end_ms - at(0)) / 60_000, abs=0.4),
            one.measures.soc_first_pct,
            one.measures.soc_last_pct,
        )
        for one in sessions(*groups, **how)
    ]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("samples", [1, 3])
def test_a_car_that_wakes_up_every_hour_while_it_charges_has_one_session(kind: Values, samples: int) -> None:
    assert told(*night([50, 57, 64, 71, 71, 71], kind, samples=samples)) == [(0, 180, 50, 71)]


def test_it_goes_on_with_every_further_gain_and_small_ones_count_too() -> None:
    assert told(*night([50, 57, 57.1, 57.2, 57.2])) == [(0, 180, 50, 57.2)]


def test_small_gains_add_up_to_a_charge() -> None:
    """A large battery at a household socket, or a car that is awake every ten minutes."""
    assert told(*night([50, 51, 52, 53, 53], every=10)) == [(0, 30, 50, 53)]
    assert told(*night([50, 51, 51.9, 51.9])) == []


def test_a_gain_after_a_silence_without_one_begins_anew() -> None:
    assert told(*night([50, 57, 57, 64, 64])) == [(0, 60, 50, 57), (120, 180, 57, 64)]


def test_a_battery_that_got_emptier_was_not_charged_meanwhile() -> None:
    assert told(*night([50, 57, 55, 64, 64])) == [(0, 60, 50, 57), (120, 180, 55, 64)]


def test_what_a_waking_car_does_not_say_does_not_end_it() -> None:
    assert told(*night([50, 57, None, 71, None, 71])) == [(0, 180, 50, 71)]


@pytest.mark.parametrize("kind", [OFF, STANDING], ids=str)
def test_who_was_moved_is_charged_elsewhere(kind: Values) -> None:
    here, there = night([50, 57, 64], kind, odo_km=100.0), wake(180, 71, kind, odo_km=110.0)
    assert told(*here, there, wake(240, 75, kind, odo_km=110.0)) == [(0, 120, 50, 64), (120, 240, 64, 75)]
    assert told(*here, wake(180, 65, kind, odo_km=110.0)) == [(0, 120, 50, 64)]


def test_who_is_towed_away_is_not_charged_any_more() -> None:
    tow = [row | OFF | {"soc_pct": 57} for row in carried(61, 80, kmh=60.0, every_s=60)]
    home = night([50, 57], lat=50.0, lon=8.0)
    assert [kind for kind, _, _ in found(*home, tow, size=1)] == ["charging", "carried"]
    garage = wake(150, 64, lat=tow[-1]["lat"], lon=8.0)
    assert told(*home, tow, garage, size=1) == [(0, 60, 50, 57), (80, 150, 57, 64)]
    towed_in_silence = wake(120, 60, odo_km=100.0, lat=50.0 + 30 * KM_LAT, lon=8.0)
    home = night([50, 57], odo_km=100.0, lat=50.0, lon=8.0)
    assert [kind for kind, _, _ in found(*home, towed_in_silence)] == ["charging", "charging"]
    assert told(*home, towed_in_silence)[0] == (0, 60, 50, 57)


@pytest.mark.parametrize("kind", [OFF, STANDING, PARKED], ids=str)
def test_who_drives_off_ends_it_where_it_stood_and_the_trip_begins_with_the_first_sample(kind: Values) -> None:
    standing = wake(180, 71, STANDING)
    drive = going(180.5, 190, soc_pct=71)
    records_ = found(*night([50, 57, 64], kind), standing, drive)
    assert [one for one in records_ if one[0] == "charging"] == [("charging", pytest.approx(0, abs=0.4), 180)]
    assert records_[-1] == ("driven", 180, 190)


def test_who_is_switched_on_is_not_charged_any_more() -> None:
    """What is won later was won at another time."""
    on = wake(180, 71, STANDING, ignition=True)
    assert told(*night([50, 57, 64]), on, wake(240, 78), wake(300, 78)) == [(0, 180, 50, 71), (180, 240, 71, 78)]


def test_who_stays_awake_is_not_charged_any_more() -> None:
    awake = rows(120, 160, soc_pct=64, **OFF)
    assert told(*night([50, 57]), awake, wake(220, 64.5), wake(280, 64.5)) == [(0, 120, 50, 64)]
    awake = rows(120, 145, soc_pct=64, **OFF)
    assert told(*night([50, 57]), awake, wake(220, 64.5), wake(280, 64.5)) == [(0, 220, 50, 64.5)]


def test_a_gain_three_days_after_the_last_one_is_of_another_charge() -> None:
    hour = 60
    days = [wake(0, 50), wake(hour, 57), wake(72 * hour, 64), wake(145 * hour, 71)]
    assert told(*days) == [(0, 72 * hour, 50, 64), (72 * hour, 145 * hour, 64, 71)]


# --- and what is reported of it


def test_a_report_in_the_middle_makes_it_a_reported_one() -> None:
    reported = wake(120, 64, charging=True)
    (session,) = sessions(*night([50, 57]), reported, wake(180, 71), wake(240, 71))
    assert not session.inferred
    assert told(*night([50, 57]), reported, wake(180, 71), wake(240, 71)) == [(0, 180, 50, 71)]


def test_a_report_behind_the_first_silence_belongs_to_what_was_charged_in_it() -> None:
    assert told(wake(0, 50), wake(60, 57, charging=True), wake(120, 57)) == [(0, 60, 50, 57)]
    assert told(wake(0, 50), wake(60, 51, charging=True), wake(120, 57)) == [(60, 120, 51, 57)], (
        "that was no charge yet"
    )


def test_who_reports_only_that_it_was_plugged_in_is_charged_until_the_level_rises_no_more() -> None:
    plugged_in = wake(0, 50, charging=True)
    (session,) = sessions(plugged_in, *night([57, 57, 64, 71, 71])[1:])
    assert (session.inferred, session.start_ms, session.end_ms) == (False, at(0), at(180))
    nothing_known = [{"t": at(0), "charging": True} | OFF]
    (session,) = sessions(wake(-5, 50), nothing_known, *night([57, 57, 64, 64])[1:])
    assert (session.inferred, session.measures.soc_first_pct, session.measures.soc_last_pct) == (False, 50, 64)


def test_who_says_that_it_is_not_charged_any_more_has_ended_it() -> None:
    plugged_off = [{"t": at(10), "soc_pct": 52, "charging": False} | OFF]
    assert told(charging(0, 9, soc_pct=50), plugged_off, wake(70, 59), wake(130, 59)) == [
        (0, 9, 50, 50.9),
        (10, 70, 52, 59),
    ]
    asleep = [{"t": at(10), "soc_pct": 52} | OFF]
    assert told(charging(0, 9, soc_pct=50), asleep, wake(70, 59), wake(130, 59)) == [(0, 70, 50, 59)]


def test_a_plug_that_was_tried_for_a_moment_leaves_its_beginning_to_what_follows() -> None:
    """Two records of one beginning would have one name."""
    tried = [{"t": at(0), "soc_pct": 50, "charging": True, "odo_km": 100.0} | OFF]
    assert told(tried, wake(60, 70, odo_km=120.0)) == [(0, 60, 50, 70)]
