"""What is too old to be kept, and how the fleet is divided among those who remove it."""

import dataclasses
import string
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips import retention
from functions.trips.retention import BEHIND_LAST, FIRST, RemoveOld, halves, next_id
from shared.clock import DAY_MS, to_epoch_ms
from shared.errors import Rejected
from shared.messaging.contracts import decode

ALNUM = string.ascii_letters + string.digits
vehicle_ids = st.builds(lambda first, rest: first + rest, st.sampled_from(ALNUM), st.text(ALNUM + "._-", max_size=63))


def visited(ids: list[str], at_once: int) -> tuple[list[str], int]:
    """The vehicles in the order in which they were visited, and the longest chain of messages that one waited for."""
    found, depth = list[str](), 0
    waiting = [(FIRST, BEHIND_LAST, 1)]
    while waiting:
        first, before, depth_here = waiting.pop()
        depth = max(depth, depth_here)
        for _ in range(at_once):
            vehicle_id = min((name for name in ids if first <= name < before), default=None)
            if vehicle_id is None:
                break
            found.append(vehicle_id)
            first = next_id(vehicle_id)
        else:
            waiting += [(*span, depth_here + 1) for span in halves(first, before)]
    return found, depth


@given(st.sets(vehicle_ids, max_size=40), st.integers(1, 3))
def test_every_vehicle_is_visited_once_whatever_their_ids(ids: set[str], at_once: int) -> None:
    found, _ = visited(sorted(ids), at_once)
    assert sorted(found) == sorted(ids)


def test_work_is_shared_even_if_all_ids_begin_alike() -> None:
    ids = [f"car-{number:06x}" for number in range(0, 1 << 24, 1 << 14)]  # 1024 of them
    _, depth = visited(ids, 8)
    assert depth < 45, "one after the other it would take 128"


@given(vehicle_ids, vehicle_ids)
def test_halves_are_the_whole_and_nothing_else(one: str, other: str) -> None:
    first, before = sorted([one, other])
    parts = halves(first, before)
    assert (parts[0][0], parts[-1][1]) == (first, before)
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert len(parts) == 1 or first < parts[0][1] < before


@given(vehicle_ids, vehicle_ids)
def test_the_next_id_lies_between_a_vehicle_and_the_one_behind_it(one: str, other: str) -> None:
    assert one < next_id(one)
    assert (other < next_id(one)) == (other <= one)


@given(vehicle_ids, vehicle_ids)
def test_a_command_takes_all_ranges_that_come_about(one: str, other: str) -> None:
    first, before = sorted([next_id(one), next_id(other)])
    for part in halves(first, before):
        command = RemoveOld(table="Trips", at_ms=5, first=part[0], before=part[1])
        envelope = retention.envelope(command, 7)
        assert decode(envelope, RemoveOld) == command
        assert len(envelope.id) <= 128


@pytest.mark.parametrize("fields", ['"first":"a/b"', '"before":""', '"table":"a b"', f'"first":"{"a" * 66}"'])
def test_a_command_that_names_no_range_is_refused(fields: str) -> None:
    envelope = retention.envelope(RemoveOld(table="Trips", at_ms=5), 7)
    data = b'{"table":"Trips","at_ms":5,' + fields.encode() + b"}"
    with pytest.raises(Rejected) as caught:
        decode(dataclasses.replace(envelope, data=data), RemoveOld)
    assert caught.value.code == "bad-data"


def test_a_record_is_too_old_when_it_began_before_so_many_days() -> None:
    assert retention.cutoff_ms(100 * DAY_MS + 5, 90) == 10 * DAY_MS + 5


def test_a_record_without_its_positions_is_what_it_was_otherwise() -> None:
    totals: dict[str, Any] = {"trip_id": "t", "distance_km": 5.0, "start_time_zone": "Europe/Berlin"}
    places = {"start_lat": 1.0, "start_lon": 2.0, "end_lat": 3.0, "end_lon": 4.0, "start_place": "A", "end_place": "B"}
    assert retention.without_positions({**totals, **places, "polyline": "_p~iF"}) == {**totals, "polyline": ""}
    assert retention.without_positions({**totals, "lat": 1.0, "lon": 2.0, "place": "A"}) == totals


@pytest.mark.parametrize(
    ("rollup_key", "is_over"),
    [
        ("car|2026-04-30|day", True),
        ("car|2026-05-01|day", False),
        ("car|2026-04-20|week", True),
        ("car|2026-04-27|week", False),
        ("car|2026-04-20|digest", True),
        ("car|2026-04-27|digest", False),
        ("car|2026-04-01|month", True),
        ("car|2026-05-01|month", False),
    ],
)
def test_a_rollup_is_over_when_its_last_day_is(rollup_key: str, is_over: bool) -> None:
    assert retention.is_over(rollup_key, date(2026, 5, 1)) == is_over


def test_a_day_is_over_when_it_is_over_everywhere() -> None:
    """Where clocks are 12 hours behind UTC, the 30th of April ends when the first of May is half over."""
    midnight_ms = to_epoch_ms(datetime(2026, 5, 1, tzinfo=UTC))
    assert retention.last_day_over(midnight_ms + DAY_MS - 1) == date(2026, 4, 30)
    assert retention.last_day_over(midnight_ms + DAY_MS) == date(2026, 5, 1)
