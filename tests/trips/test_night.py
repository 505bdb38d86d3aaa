"""Night by the clock on the wall, whatever is done to the clock."""

from datetime import UTC, datetime, timedelta
from math import isclose
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips.night import night_share
from shared.errors import Rejected

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half hours
    "Asia/Kathmandu",  # quarter hours
    "Australia/Lord_Howe",  # changes by half an hour
    "Africa/Casablanca",  # changes for Ramadan
    "America/Santiago",  # changes at midnight
    "Antarctica/Troll",  # changes by two hours
    "Pacific/Apia",  # left out a day in 2011
    "Pacific/Kiritimati",
]


def ms(text: str, zone: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "end", "share"),
    [
        ("2026-01-14T08:00", "2026-01-14T09:00", 0.0),
        ("2026-01-14T23:00", "2026-01-15T01:00", 1.0),
        ("2026-01-14T21:30", "2026-01-14T22:30", 0.5),
        ("2026-01-14T05:45", "2026-01-14T06:45", 0.25),
        ("2026-01-14T21:00", "2026-01-15T07:00", 0.8),
        ("2026-01-14T12:00", "2026-01-15T12:00", 8 / 24),
        ("2026-01-10T12:00", "2026-01-20T12:00", 8 / 24),
        ("2026-01-14T06:00", "2026-01-14T22:00", 0.0),
    ],
)
def test_night_is_from_ten_to_six(start: str, end: str, share: float) -> None:
    assert isclose(night_share(ms(start, "Europe/Berlin"), ms(end, "Europe/Berlin"), "Europe/Berlin"), share)


def test_the_same_moment_is_night_in_one_place_and_day_in_another() -> None:
    start = ms("2026-01-14T23:00", "Europe/Berlin")
    assert night_share(start, start + HOUR_MS, "Europe/Berlin") == 1
    assert night_share(start, start + HOUR_MS, "America/Los_Angeles") == 0


@pytest.mark.parametrize(
    ("start", "end", "zone", "night_h", "hours"),
    [
        ("2026-03-28T21:00", "2026-03-29T07:00", "Europe/Berlin", 7, 9),
        ("2026-10-24T21:00", "2026-10-25T07:00", "Europe/Berlin", 9, 11),
        ("2026-04-04T21:00", "2026-04-05T07:00", "Australia/Lord_Howe", 8.5, 10.5),
        # The 30th of December was left out: from the night's first two hours to its last six.
        ("2011-12-29T21:00", "2011-12-31T07:00", "Pacific/Apia", 8, 10),
    ],
)
def test_a_night_in_which_clocks_are_changed_is_shorter_or_longer(
    start: str, end: str, zone: str, night_h: float, hours: float
) -> None:
    start_ms, end_ms = ms(start, zone), ms(end, zone)
    assert end_ms - start_ms == hours * HOUR_MS
    assert isclose(night_share(start_ms, end_ms, zone), night_h / hours)


@settings(deadline=None, max_examples=150)
@given(
    st.integers(ms("2011-01-01", "UTC") // MINUTE_MS, ms("2037-01-01", "UTC") // MINUTE_MS),
    st.integers(1, 4 * 24 * 60),
    st.sampled_from(ZONES),
)
def test_looking_at_the_clock_every_minute_gives_the_same(start_min: int, minutes: int, zone: str) -> None:
    """To the digit, as all borders of nights and changes of clocks in these years are at full minutes."""
    start, wall = datetime.fromtimestamp(start_min * 60, UTC), ZoneInfo(zone)
    at_night = sum(not 6 <= (start + timedelta(minutes=minute)).astimezone(wall).hour < 22 for minute in range(minutes))
    assert night_share(start_min * MINUTE_MS, (start_min + minutes) * MINUTE_MS, zone) == at_night / minutes


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 2_000_000_000_000),
    st.integers(1, 40 * HOUR_MS),
    st.integers(1, 40 * HOUR_MS),
    st.sampled_from(ZONES),
)
def test_the_nights_of_two_drives_are_the_night_of_both(start_ms: int, first: int, second: int, zone: str) -> None:
    """No millisecond is counted twice or not at all."""
    halves = night_share(start_ms, start_ms + first, zone) * first
    halves += night_share(start_ms + first, start_ms + first + second, zone) * second
    whole = night_share(start_ms, start_ms + first + second, zone) * (first + second)
    assert 0 <= whole <= first + second + 1e-6
    assert isclose(halves, whole, abs_tol=1e-3)


def test_an_empty_drive_has_no_night() -> None:
    midnight = ms("2026-01-14T00:00", "UTC")
    assert night_share(midnight, midnight, "UTC") == 0
    assert night_share(midnight, midnight - 1, "UTC") == 0


def test_a_year_takes_no_time() -> None:
    start = ms("2026-01-01T12:00", "Europe/Berlin")
    assert isclose(night_share(start, start + 365 * 24 * HOUR_MS, "Europe/Berlin"), 1 / 3, rel_tol=1e-9)


@pytest.mark.parametrize("name", ["", "Europe/Atlantis", "../etc/passwd", "Europe", "\0"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(Rejected, match="unknown-time-zone"):
        night_share(0, HOUR_MS, name)
