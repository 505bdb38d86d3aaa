"""What an erasure takes, to the millisecond, and what it leaves."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.trips import erasure as rules
from functions.trips.erasure import SECOND_LOOK_MS, Erasure
from functions.trips.vehicle_trips import VehicleTrips
from shared.messaging.contracts import VehicleErased, decode

ERASURE = Erasure(vehicle_id="car", request_id="r", erased_ms=1000, horizon_ms=2000, removed={"trips": 2})


@pytest.mark.parametrize(
    ("arrived_ms", "measured_ms", "covered"),
    [
        (1000, None, True),
        (1001, None, False),
        (1000, 2001, True),
        (1001, 2000, True),
        (1001, 2001, False),
    ],
)
def test_a_message_is_of_before_by_its_arrival_or_by_its_samples(
    arrived_ms: int, measured_ms: int | None, covered: bool
) -> None:
    assert ERASURE.covers(arrived_ms, measured_ms) == covered
    if measured_ms is not None:
        assert ERASURE.takes({"arrived_ms": arrived_ms, "last_ms": measured_ms}) == covered


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ({"started_at_ms": 2000, "ended_at_ms": 9000}, True),
        ({"started_at_ms": 2001, "ended_at_ms": 9000}, False),
        ({"time_ms": 9000, "data": b'{"started_at_ms":2000}'}, True),
        ({"time_ms": 0, "data": b'{"started_at_ms":2001}'}, False),
        ({"time_ms": 1000, "data": b'{"monday":"2026-01-05"}'}, True),
        ({"time_ms": 1001, "data": b"[]"}, False),
    ],
    ids=["record", "later-record", "event-of-record", "event-of-later-record", "event", "later-event"],
)
def test_a_row_goes_by_the_start_of_what_it_tells_of_else_by_when_it_was_told(
    values: dict[str, Any], taken: bool
) -> None:
    assert ERASURE.takes(values) == taken


def test_the_latest_moment_of_a_row_is_the_latest_that_was_measured() -> None:
    assert rules.latest_ms({"started_at_ms": 1, "ended_at_ms": 5}) == 5
    assert rules.latest_ms({"started_at_ms": 1, "ended_at_ms": None}) == 1
    assert rules.latest_ms({"arrived_ms": 7, "last_ms": 3}) == 3
    assert rules.latest_ms({"time_ms": 10, "data": b'{"ended_at_ms":9}'}) == 9
    assert rules.latest_ms({"time_ms": 10}) == 0


@pytest.mark.parametrize("is_private", [True, False])
def test_a_state_begins_anew_with_nothing_but_whether_the_vehicle_is_private(is_private: bool) -> None:
    before = VehicleTrips(heard_ms=5, horizon_ms=7, alarm_ms=9, is_private=is_private)
    assert not rules.is_begun_anew(before, ERASURE)
    after = rules.begun_anew(before, ERASURE)
    assert after == VehicleTrips(horizon_ms=2000, is_private=is_private)
    assert rules.is_begun_anew(after, ERASURE)
    assert rules.is_blank(after)
    assert not rules.is_blank(VehicleTrips(horizon_ms=2000, heard_ms=1, is_private=is_private))


def test_that_it_is_done_is_told_in_the_same_words_each_time() -> None:
    told = rules.erased(ERASURE)
    assert told == rules.erased(ERASURE)
    assert (told.id, told.subject) == ("VehicleErased-trips-r", "car")
    assert decode(told, VehicleErased) == VehicleErased(
        vehicle_id="car", request_id="r", job="trips", erased_at_ms=1000, removed={"trips": 2}
    )


def test_the_longest_ids_fit_into_a_message_id() -> None:
    long = msgspec.structs.replace(ERASURE, request_id="r" * 64)
    for envelope in (rules.command("car", "r" * 64, 0), rules.finish(long, 0), rules.erased(long)):
        assert len(envelope.id) <= 128


def test_the_second_look_comes_after_whoever_was_at_work_at_the_first() -> None:
    timeout = json.loads((Path(__file__).parents[2] / "host.json").read_text())["functionTimeout"]
    hours, minutes, seconds = map(int, timeout.split(":"))
    assert ((hours * 60 + minutes) * 60 + seconds) * 1000 < SECOND_LOOK_MS
