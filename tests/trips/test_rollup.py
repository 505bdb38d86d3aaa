"""Totals by local day, week and month: right by the clock of the place, and blind to how the rows came about."""

from datetime import UTC, date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips import rollup
from functions.trips.rollup import Period, Totals, Trip
from tests.trips.rollups import DAY_MS, HOUR_MS, at, trip

ZONES = ["Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12", "America/St_Johns", "Asia/Kathmandu", None, "Mars/Base"]
MONTH_MS = at("2026-03-01")

# Starts in two months around the change to summer time, a whole quarter of an hour each, so that some come twice.
trips = st.builds(
    trip,
    start=st.integers(0, 61 * 96).map(lambda quarter: MONTH_MS + quarter * 900_000),
    start_time_zone=st.sampled_from(ZONES),
    distance_km=st.floats(0.01, 900),
    duration_s=st.floats(1, 40_000),
    kind=st.sampled_from(["driven", "driven", "carried"]),
    energy_kwh=st.none() | st.floats(-5, 90),
    fuel_l=st.none() | st.floats(0, 60),
    eco_score=st.none() | st.floats(0, 100),
    night_share=st.none() | st.floats(0, 1),
    harsh_brakings=st.integers(0, 5),
)
# What becomes of the trip that starts then: the last one with a start holds, a withdrawn one is gone.
changes = st.lists(st.tuples(trips, st.booleans()), max_size=12)


def days(*found: Trip) -> dict[str, float]:
    """The distance of each day."""
    return {
        f"{period.first_day}": totals.distance_km
        for period, totals in rollup.by_period(found).items()
        if period.kind == "day"
    }


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2026-05-01"),
        ("UTC", "2026-04-30"),
        (None, "2026-04-30"),
        ("Mars/Base", "2026-04-30"),
        ("../../etc/passwd", "2026-04-30"),
        ("America/Los_Angeles", "2026-04-30"),
    ],
)
def test_a_trip_belongs_to_the_day_on_which_it_starts_where_it_starts(zone: str | None, day: str) -> None:
    assert days(trip("2026-04-30T22:10:00", start_time_zone=zone)) == {day: 20.0}


def test_a_trip_over_midnight_is_not_torn_apart() -> None:
    overnight = trip("2026-05-01T21:50:00", ended_at_ms=at("2026-05-02T03:00:00"), distance_km=400.0)
    assert days(overnight) == {"2026-05-01": 400.0}


def test_days_of_23_and_25_hours_have_their_trips() -> None:
    """Berlin: 2026-03-29 ends an hour early, 2026-10-25 an hour late."""
    spring = [trip(f"2026-03-{moment}") for moment in ("28T23:00:00", "29T21:59:00", "29T22:00:00")]
    assert days(*spring) == {"2026-03-29": 40.0, "2026-03-30": 20.0}
    autumn = [trip(f"2026-10-{moment}") for moment in ("24T22:00:00", "25T22:59:00", "25T23:00:00")]
    assert days(*autumn) == {"2026-10-25": 40.0, "2026-10-26": 20.0}


@pytest.mark.parametrize(
    ("day", "monday", "first_of_month"),
    [
        ("2026-01-01", "2025-12-29", "2026-01-01"),
        ("2025-12-29", "2025-12-29", "2025-12-01"),
        ("2026-05-03", "2026-04-27", "2026-05-01"),
        ("2024-02-29", "2024-02-26", "2024-02-01"),
    ],
)
def test_a_day_belongs_to_its_iso_week_and_its_month(day: str, monday: str, first_of_month: str) -> None:
    found = {period.kind: str(period.first_day) for period in rollup.periods_of(date.fromisoformat(day))}
    assert found == {"day": day, "week": monday, "month": first_of_month}


@given(st.dates(date(1971, 1, 1), date(2200, 1, 1)))
def test_every_period_holds_its_day_and_ends_where_the_next_begins(day: date) -> None:
    for period in rollup.periods_of(day):
        assert period.first_day <= day < period.next_first_day
        assert Period(period.next_first_day, period.kind) in rollup.periods_of(period.next_first_day)


@pytest.mark.parametrize(
    ("zone", "end"),
    [
        ("Europe/Berlin", "2026-03-29T22:00:00"),  # an hour earlier than the week before: summer time
        ("America/Los_Angeles", "2026-03-30T07:00:00"),
        ("Pacific/Kiritimati", "2026-03-29T10:00:00"),
        ("UTC", "2026-03-30T00:00:00"),
    ],
)
def test_a_week_ends_by_the_clock_of_the_place(zone: str, end: str) -> None:
    assert rollup.week_end_ms(date(2026, 3, 23), ZoneInfo(zone)) == at(end)


def test_what_was_carried_is_no_driving() -> None:
    assert rollup.by_period([trip("2026-05-01T08:00:00", kind="carried")]) == {}


def test_figures_are_sums_and_means_of_the_trips_that_have_them() -> None:
    driven = rollup.totals(
        [
            trip(0, distance_km=10.0, duration_s=600.0, energy_kwh=-0.5, eco_score=90.0, night_share=1.0, co2_kg=1.5),
            trip(1, distance_km=30.0, duration_s=1800.0, energy_kwh=6.5, eco_score=70.0, night_share=0.0),
            trip(2, distance_km=60.0, duration_s=600.0, fuel_l=3.0, harsh_brakings=2, harsh_cornerings=1),
        ]
    )
    assert (driven.trips, driven.distance_km, driven.driving_s, driven.idle_s) == (3, 100.0, 3000.0, 360.0)
    assert (driven.energy_kwh, driven.kwh_100km) == (6.0, 15.0), "of the 40 km that energy is known of"
    assert (driven.fuel_l, driven.l_100km, driven.co2_kg, driven.recuperated_kwh) == (3.0, 5.0, 1.5, None)
    assert (driven.eco_score, driven.night_share, driven.harsh_events) == (75.0, 0.25, 3)


def test_what_nobody_measured_is_unknown_and_not_zero() -> None:
    driven = rollup.totals([trip(0)])
    assert (driven.kwh_100km, driven.l_100km, driven.eco_score, driven.night_share, driven.co2_kg) == (None,) * 5


@given(st.lists(trips, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_cannot_be_seen(found: list[Trip], chance: Any) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert rollup.by_period(shuffled) == rollup.by_period(found)


@given(trips)
def test_the_days_that_a_trip_may_touch_include_its_own_in_any_zone(one: Trip) -> None:
    touched = rollup.days_touched(one.started_at_ms)
    assert one.local_day in touched
    first, before = rollup.bounds_ms([one.local_day])
    assert first <= one.started_at_ms < before
    assert len(touched) <= 3


@given(st.lists(changes, max_size=5))
def test_any_history_of_revisions_ends_as_if_the_rows_had_always_been_so(history: list[Any]) -> None:
    """Each batch of changes touches some days; what is stored afterwards is what the present rows say."""
    rows, stored = dict[int, Trip](), dict[Period, Totals]()
    for batch in history:
        for one, withdrawn in batch:
            rows.pop(one.started_at_ms, None)
            if not withdrawn:
                rows[one.started_at_ms] = one
        touched = set[date]().union(*(rollup.days_touched(one.started_at_ms) for one, _ in batch))
        if touched:
            apply(stored, touched, list(rows.values()))
        assert stored == rollup.by_period(rows.values())


def apply(stored: dict[Period, Totals], touched: set[date], rows: list[Trip]) -> None:
    """As the service does: only what lies within the bounds is read."""
    from_ms, before_ms = rollup.bounds_ms(touched)
    first, before = rollup.stored_range(touched)
    read = {period: totals for period, totals in stored.items() if first <= period.first_day < before}
    in_bounds = [one for one in rows if from_ms <= one.started_at_ms < before_ms]
    for period, totals in rollup.changed(read, touched, in_bounds).items():
        if totals is None:
            del stored[period]
        else:
            stored[period] = totals


def test_a_month_stays_right_when_the_trips_of_its_first_days_are_gone() -> None:
    early, late = trip("2026-05-02T08:00:00"), trip("2026-05-20T08:00:00", distance_km=5.0)
    stored = rollup.by_period([early])
    changed = rollup.changed(stored, rollup.days_touched(late.started_at_ms), [late])
    month = changed[Period(date(2026, 5, 1), "month")]
    assert month is not None
    assert (month.trips, month.distance_km) == (2, 25.0)


@given(st.floats(0, 100), st.integers(1, 400))
def test_a_mean_over_days_is_the_mean_over_trips(score: float, count: int) -> None:
    found = [trip(MONTH_MS + number * HOUR_MS * 5, eco_score=score, distance_km=7.3) for number in range(count)]
    for driven in rollup.by_period(found).values():
        assert driven.eco_score == pytest.approx(score, abs=0.06)


def test_the_zone_of_no_name_is_utc() -> None:
    assert rollup.time_zone(None) is UTC
    assert DAY_MS == 24 * HOUR_MS
