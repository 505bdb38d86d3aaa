"""The digest of a week, told once when the week is over where the vehicle is."""

import pytest

from functions.trips import totals_service
from functions.trips.rollup import Period
from tests.trips.rollups import (
    A_DAY_LATER,
    MONDAY,
    NEXT_MONDAY_NIGHT,
    WEDNESDAY_NIGHT,
    Owned,
    RollUps,
    alike,
    stored,
    trip,
    week,
)


async def test_the_digest_of_a_week_is_told_once_when_it_is_over(car: Owned, roll_ups: RollUps) -> None:
    await car.drove(*week())
    for night in ("2026-05-01T03:30:00", "2026-05-03T23:59:00", NEXT_MONDAY_NIGHT, A_DAY_LATER):
        await roll_ups.run(night)
        assert len(roll_ups.digests(car.vehicle_id)) == (night >= NEXT_MONDAY_NIGHT)
    (digest,) = roll_ups.digests(car.vehicle_id)
    assert (digest.monday, digest.trips, digest.distance_km, digest.driving_s) == (MONDAY, 3, 60.0, 5400.0)
    assert (digest.energy_kwh, digest.kwh_100km, digest.eco_score, digest.fuel_l) == (5.0, 12.5, 70.0, None)
    (event,) = (one for one in roll_ups.events.values() if one.subject == car.vehicle_id)
    assert event.id == f"WeeklyDigestReady-{car.vehicle_id}|2026-04-27"
    assert not {b"lat", b"lon", b"polyline", b"zone"} & set(event.data.replace(b'"', b" ").split())


async def test_a_week_ends_with_the_place_of_its_last_trip(car: Owned, roll_ups: RollUps) -> None:
    """Los Angeles is nine hours behind Berlin: there the week is over on Monday at 7 o'clock UTC."""
    await car.drove(trip("2026-04-27T06:00:00"), trip("2026-05-02T20:00:00", start_time_zone="America/Los_Angeles"))
    await roll_ups.run(NEXT_MONDAY_NIGHT)
    assert roll_ups.digests(car.vehicle_id) == []
    await roll_ups.run(A_DAY_LATER)
    assert [digest.trips for digest in roll_ups.digests(car.vehicle_id)] == [2]


async def test_what_comes_later_changes_the_totals_and_not_what_was_told(car: Owned, roll_ups: RollUps) -> None:
    await car.drove(*week())
    await roll_ups.run(NEXT_MONDAY_NIGHT)
    late = trip("2026-05-02T09:00:00")
    await car.drove(late)
    await roll_ups.run(A_DAY_LATER)
    assert (await stored(car))[Period(MONDAY, "week")].trips == 4
    assert [digest.trips for digest in roll_ups.digests(car.vehicle_id)] == [3]
    assert not [key for key in await car.rows() if key.startswith(("~digest", "~outbox"))]


async def test_a_week_whose_trips_come_days_late_is_told_and_one_of_long_ago_is_not(
    car: Owned, roll_ups: RollUps
) -> None:
    await car.drove(*week(), trip("2026-04-20T08:00:00"))
    await roll_ups.run("2026-05-07T03:30:00")
    assert [digest.monday for digest in roll_ups.digests(car.vehicle_id)] == [MONDAY]


async def test_a_week_in_which_nothing_was_driven_after_all_is_not_told(car: Owned, roll_ups: RollUps) -> None:
    await car.drove(*week())
    await roll_ups.run(WEDNESDAY_NIGHT)
    await car.withdrew(*week())
    await roll_ups.run(NEXT_MONDAY_NIGHT)
    assert roll_ups.digests(car.vehicle_id) == []
    assert await car.rows() == {}


async def test_many_digests_are_told_in_rounds(car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals_service, "DIGESTS_AT_ONCE", 2)
    neighbours = [car, *[Owned(name) for name in alike(car.vehicle_id, 4)]]
    for one in neighbours:
        await one.drove(*week())
    await roll_ups.run(NEXT_MONDAY_NIGHT)
    assert [len(roll_ups.digests(one.vehicle_id)) for one in neighbours] == [1] * 5
