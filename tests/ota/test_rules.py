"""The rules of a campaign that need no storage: its definition, its progress, and what vehicles may report."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.ota import messages, reports, rollout
from functions.ota.campaign import check_definition, check_stored_artifact
from functions.ota.rollout import PARTS, ShardProgress, Totals
from functions.ota.vehicle_update import Signal
from shared.errors import Rejected
from shared.identity.vehicle import Vehicle
from shared.messaging.contracts import Artifact, StartCampaign
from tests.ota.campaigns import NOW, definition

REPORT = {"v": 1, "campaign_id": "spring", "version": "2.0.0", "status": "failed", "at": 1000, "reason": "flash: 7"}


# --- Definition


def test_a_sound_campaign_is_accepted() -> None:
    check_definition(definition())
    check_definition(definition(campaign_id="a" * 64, title="Größere Reichweite – für Ihr Fahrzeug", version="v" * 64))


@pytest.mark.parametrize(
    "campaign_id", ["", "a|b", "a/b", "a\\b", "a#b", "a?b", "a b", "~outbox", "-a", "a\n", "ü", "a" * 65]
)
def test_a_campaign_id_is_safe_as_a_table_key(campaign_id: str) -> None:
    with pytest.raises(Rejected) as rejected:
        check_definition(definition(campaign_id=campaign_id))
    assert rejected.value.code == "bad-campaign"


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": ""},
        {"version": "2" * 65},
        {"version": "2.0\x00"},
        {"title": "  "},
        {"title": "t" * 201},
        {"title": "two\nlines"},
        {"brand": ""},
        {"model": "m" * 101},
    ],
)
def test_texts_are_bounded_and_say_something(wrong: dict[str, str]) -> None:
    with pytest.raises(Rejected) as rejected:
        check_definition(definition(**wrong))
    assert rejected.value.detail.startswith(next(iter(wrong)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": "0" * 63},
        {"sha256": "g" * 64},
        {"sha256": "0" * 64 + "\n"},
        {"size_bytes": 0},
        {"size_bytes": -1},
        {"blob": ""},
        {"blob": "../parked/secret"},
        {"blob": "a/../../b"},
        {"blob": "/a"},
        {"blob": "a//b"},
        {"blob": "a?b"},
        {"blob": "a" * 513},
    ],
)
def test_an_artifact_is_named_measured_and_hashed(wrong: dict[str, Any]) -> None:
    artifact = msgspec.structs.replace(definition().artifact, **wrong)
    with pytest.raises(Rejected) as rejected:
        check_definition(definition(artifact=artifact))
    assert rejected.value.code == "bad-artifact"


def test_the_artifact_must_lie_in_the_container_in_its_size() -> None:
    artifact = Artifact(blob="app.bin", sha256="0" * 64, size_bytes=10)
    check_stored_artifact(artifact, 10)
    for stored_bytes, code in ((None, "no-artifact"), (9, "wrong-artifact")):
        with pytest.raises(Rejected) as rejected:
            check_stored_artifact(artifact, stored_bytes)
        assert rejected.value.code == code


# --- Reports


def test_a_report_is_read() -> None:
    report = reports.decode(json.dumps(REPORT | {"more": [1]}).encode())
    assert (report.campaign_id, report.version, report.status) == ("spring", "2.0.0", Signal.FAILED)
    assert (report.at, report.reason_text, report.vehicle_id) == (1000, "flash: 7", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"v": 2}, "$.v"),
        ({"v": True}, "$.v"),
        ({"campaign_id": "a/b"}, "$.campaign_id"),
        ({"campaign_id": "a" * 65}, "$.campaign_id"),
        ({"campaign_id": None}, "$.campaign_id"),
        ({"version": 2}, "$.version"),
        ({"status": "offered"}, "$.status"),
        ({"status": "planned"}, "$.status"),
        ({"status": "exploded"}, "$.status"),
        ({"at": -1}, "$.at"),
        ({"at": 10**30}, "$.at"),
        ({"at": "noon"}, "$.at"),
        ({"reason": 7}, "$.reason"),
    ],
)
def test_a_wrong_report_is_rejected_by_the_field_at_fault(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejected) as rejected:
        reports.decode(json.dumps(REPORT | change).encode())
    assert rejected.value.code == "bad-report"
    assert said in rejected.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'{"v": 1}',
        b"NaN",
        json.dumps(REPORT).encode().replace(b"1000", b"NaN"),
        json.dumps(REPORT).encode().replace(b"flash", b"\xff\xfe"),
        b"[" * 10_000_000,
        b'{"x":' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}",
    ],
    ids=["empty", "text", "list", "null", "fields", "nan", "nan-field", "utf-8", "open-nesting", "nesting"],
)
def test_what_is_no_report_is_rejected(body: bytes) -> None:
    with pytest.raises(Rejected):
        reports.decode(body)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_read_or_rejected(body: bytes) -> None:
    with pytest.raises(Rejected):
        reports.decode(body)


@given(st.text())
def test_a_reason_is_one_bounded_line(reason: str) -> None:
    text = reports.decode(json.dumps(REPORT | {"reason": reason}).encode()).reason_text
    assert text is None or (0 < len(text) <= 500 and text.strip() == text)
    assert text is None or not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in text)


# --- Progress


def test_a_shard_is_finished_when_it_is_planned_and_all_have_ended() -> None:
    progress = ShardProgress().with_vehicles(2, last=False)
    progress = progress.with_end(succeeded=True).with_end(succeeded=False)
    assert not progress.finished
    progress = progress.with_vehicles(1, last=True)
    assert not progress.finished
    progress = progress.with_end(succeeded=True)
    assert progress.finished
    assert progress.totals == Totals(3, 2, 1)


@given(
    vehicle_ids=st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=30),
    assigned=st.sets(st.text("abc", min_size=1, max_size=3), max_size=10),
    size=st.integers(1, 12),
)
def test_batches_hold_each_missing_vehicle_once_and_end_with_the_last(
    vehicle_ids: list[str], assigned: set[str], size: int
) -> None:
    made = list(rollout.batches(vehicle_ids, assigned, size))
    assert [vehicle_id for batch, _ in made for vehicle_id in batch] == [v for v in vehicle_ids if v not in assigned]
    assert all(len(batch) <= size for batch, _ in made)
    assert [last for _, last in made] == [False] * (len(made) - 1) + [True]


async def test_vehicles_are_grouped_by_shard() -> None:
    fleet = sorted((Vehicle(f"car-{number}", "b", "m", "DE") for number in range(2000)), key=lambda found: found.shard)

    async def stream() -> AsyncIterator[Vehicle]:
        for found in fleet:
            yield found

    groups = [group async for group in rollout.by_shard(stream())]
    assert [vehicle_id for _, ids in groups for vehicle_id in ids] == [found.vehicle_id for found in fleet]
    shards = [shard for shard, _ in groups]
    assert shards == sorted({found.shard for found in fleet})


def _plan(**shards: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {part: shards.get(f"_{part}", ()) for part in PARTS}


def test_a_campaign_without_vehicles_completes_with_zeros() -> None:
    assert rollout.completed(_plan(), {}) == Totals(0, 0, 0)


def test_a_campaign_waits_for_every_part() -> None:
    plan = _plan(_a=("a00",))
    for part in PARTS:
        unfinished = {digit: shards for digit, shards in plan.items() if digit != part}
        assert rollout.completed(unfinished, {"a00": Totals(1, 1, 0)}) is None


def test_a_campaign_waits_for_every_planned_shard_and_sums_up_these() -> None:
    plan = _plan(_a=("a00", "aff"), _0=("000",))
    finished = {"a00": Totals(3, 2, 1), "000": Totals(1, 0, 1)}
    assert rollout.completed(plan, finished) is None
    # A shard that was planned too late for the closed plan does not count.
    finished |= {"aff": Totals(5, 5, 0), "abc": Totals(9, 9, 0)}
    assert rollout.completed(plan, finished) == Totals(9, 7, 2)


# --- Messages


def test_the_same_fact_has_the_same_id_and_another_fact_another() -> None:
    campaign = definition()

    def ids(start: StartCampaign, vehicle_id: str) -> list[str]:
        return [
            messages.update_available(start, vehicle_id, NOW).id,
            messages.assign_vehicles(start.campaign_id, "0", NOW).id,
            messages.offer_updates(start.campaign_id, "00a", NOW).id,
            messages.campaign_completed(start.campaign_id, Totals(1, 1, 0), NOW).id,
        ]

    assert ids(campaign, "car") == ids(campaign, "car")
    assert not set(ids(campaign, "car")) & set(ids(definition(campaign_id="other"), "car"))
    assert ids(campaign, "car")[0] != ids(campaign, "car-2")[0]


def test_message_ids_fit_service_bus() -> None:
    """128 characters: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas."""
    longest = definition(campaign_id="c" * 64)
    assert len(messages.update_available(longest, "v" * 64, NOW).id) <= 128
