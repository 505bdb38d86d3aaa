"""What commands and reports are refused, and what those that are not refused bring about."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from functions.ota import store
from shared import connections, settings
from shared.messaging import publisher, vehicle_link
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.storage import blobs
from tests.ota.campaigns import FIRMWARE, NOW
from tests.ota.stage import Running, Stage, event

COMMANDS, REPORTS = settings.OTA_COMMANDS, settings.OTA_EVENTS_HUB


# --- Commands


async def test_starting_a_campaign_again_changes_nothing(stage: Stage) -> None:
    cars = await stage.vehicles(2)
    await stage.start()
    await stage.work()
    before = [await stage.offer(car) for car in cars]
    await stage.start()
    await stage.work()
    assert [await stage.offer(car) for car in cars] == before
    assert len(await stage.events("UpdateAvailable")) == 2


async def test_another_campaign_cannot_take_the_id_of_one(stage: Stage) -> None:
    await stage.vehicles(1)
    await stage.start()
    await stage.work()
    await stage.start(version="3.0.0")
    await stage.work()
    (newest, *_) = await stage.parked(COMMANDS)
    assert (newest.code, stage.campaign_id in newest.detail) == ("campaign-exists", True)
    campaign = await store.campaign(stage.campaign_id)
    assert campaign is not None
    assert campaign.definition.version == "2.0.0"


async def test_a_campaign_needs_its_artifact(stage: Stage) -> None:
    artifact = stage.definition().artifact
    await stage.start(artifact=msgspec.structs.replace(artifact, blob="no/such.bin"))
    await stage.start(artifact=msgspec.structs.replace(artifact, size_bytes=len(FIRMWARE) + 1))
    await stage.work()
    assert {item.code for item in (await stage.parked(COMMANDS))[:2]} == {"no-artifact", "wrong-artifact"}
    assert await store.campaign(stage.campaign_id) is None


async def test_commands_that_make_no_sense_are_parked_with_their_reason(stage: Stage) -> None:
    nobody = {"campaign_id": "nobody-knows-it"}
    senseless: list[tuple[str, dict[str, Any], str]] = [
        ("LaunchRocket", {}, "unknown-type"),
        ("StartCampaign", nobody, "bad-data"),
        ("StartCampaign", msgspec.to_builtins(stage.definition(campaign_id="a/b")), "bad-campaign"),
        ("AssignVehicles", nobody | {"part": "0"}, "unknown-campaign"),
        ("AssignVehicles", nobody | {"part": "00"}, "bad-data"),
        ("OfferUpdates", nobody | {"shard": "0a0"}, "unknown-campaign"),
        ("ReportProgress", nobody | {"shard": "0a0", "targeted": 1, "succeeded": 1, "failed": 0}, "unknown-campaign"),
    ]
    sent = {
        Envelope(uuid4().hex, kind, "/test", NOW, json.dumps(data).encode()): code for kind, data, code in senseless
    }
    await publisher.send([Outgoing(COMMANDS, envelope) for envelope in sent])
    await stage.work()
    parked = {item.origin.position: item.code for item in await stage.parked(COMMANDS)}
    assert {envelope.id: parked.get(envelope.id) for envelope in sent} == {
        envelope.id: code for envelope, code in sent.items()
    }


# --- Reports


async def test_bad_reports_are_parked_with_their_reason_and_the_others_count(running: Running) -> None:
    stage, car, neighbour = running.stage, running.vehicle(), running.vehicle()
    bad = {
        "bad-report": event(car, b"{"),
        "no-caller": event(None, stage.body("failed")),
        "foreign-vehicle": event(neighbour, stage.body("failed", vehicle_id=car)),
        "unknown-campaign": event(car, stage.body("failed", campaign_id="nobody-knows-it")),
        "wrong-version": event(car, stage.body("failed", version="1.0.0")),
        "not-targeted": event("car-of-someone-else", stage.body("failed")),
    }
    good = event(car, stage.body("succeeded", vehicle_id=car))
    await stage.deliver([*bad.values(), good])
    assert [await stage.status(car), await stage.status(neighbour)] == ["succeeded", "offered"]
    positions = {f"1/{one.sequence_number}": code for code, one in bad.items()}
    parked = {item.origin.position: item for item in await stage.parked(REPORTS)}
    assert {position: parked[position].code for position in positions} == positions
    assert "1.0.0" in parked[f"1/{bad['wrong-version'].sequence_number}"].detail


async def test_an_expired_link_is_replaced_and_the_status_stays(running: Running) -> None:
    stage, car = running.stage, running.vehicle()
    offered = await stage.offer(car)
    assert offered is not None
    blob, long_ago = stage.definition().artifact.blob, datetime.now(UTC) - timedelta(days=1)
    expired = await blobs.download_url(settings.ARTIFACTS_CONTAINER, blob, now=long_ago, valid_s=60)
    await stage.put_offer(car, offered | {"url": expired})
    async with connections.http().get(expired) as response:
        assert response.status == 403
    await stage.report((car, "downloading"), (car, "link-expired"))
    renewed = await stage.offer(car)
    assert renewed is not None
    assert renewed | {"url": ""} == offered | {"url": ""}
    async with connections.http().get(renewed["url"]) as response:
        assert await response.read() == FIRMWARE
    assert await stage.status(car) == "downloading"


async def test_a_late_report_does_not_bring_the_offer_back(running: Running) -> None:
    stage, car = running.stage, running.vehicle()
    await stage.report((car, "succeeded"))
    await stage.report((car, "link-expired"), (car, "installing"), (car, "failed"))
    assert (await stage.status(car), await stage.offer(car)) == ("succeeded", None)


async def test_a_vehicle_that_still_sees_an_ended_offer_is_freed_from_it(running: Running) -> None:
    """An instance that died between its twin update and the next step may have left it there."""
    stage, car = running.stage, running.vehicle()
    stale = await stage.offer(car)
    await stage.report((car, "succeeded"))
    await stage.put_offer(car, stale)
    await stage.report((car, "succeeded"))
    assert await stage.offer(car) is None


async def test_the_end_of_one_campaign_leaves_the_offer_of_the_next(stage: Stage) -> None:
    (car,) = await stage.vehicles(1)
    await stage.start()
    await stage.work()
    following = f"next-{stage.campaign_id[:40]}"
    await stage.start(campaign_id=following)
    await stage.work()
    for _ in range(2):
        await stage.report((car, "succeeded"))
    offer = await stage.offer(car)
    assert offer is not None
    assert offer["campaign_id"] == following


async def test_a_link_of_an_earlier_campaign_is_not_renewed_over_the_offer_of_the_next(stage: Stage) -> None:
    (car,) = await stage.vehicles(1)
    await stage.start()
    await stage.work()
    following = f"next-{stage.campaign_id[:40]}"
    await stage.start(campaign_id=following)
    await stage.work()
    await stage.report((car, "link-expired"))
    offer = await stage.offer(car)
    assert offer is not None
    assert offer["campaign_id"] == following


async def test_an_offer_made_while_the_old_one_is_withdrawn_stays(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, car, read = running.stage, running.vehicle(), vehicle_link.desired
    following = {"campaign_id": "next", "version": "3.0.0"}

    async def overtaken(vehicle_id: str) -> vehicle_link.Desired:
        found = await read(vehicle_id)
        await stage.put_offer(vehicle_id, following)
        return found

    monkeypatch.setattr(vehicle_link, "desired", overtaken)
    await stage.report((car, "succeeded"))
    monkeypatch.undo()
    offer = await stage.offer(car)
    assert offer is not None
    assert (offer["campaign_id"], await stage.status(car)) == ("next", "succeeded")


async def test_a_reason_with_control_characters_is_stored_as_text(running: Running) -> None:
    stage, car = running.stage, running.vehicle()
    await stage.report((car, "failed"), reason="flash\x00 block\r\n7 ")
    (finished,) = [event for event in await stage.events("UpdateFinished") if event["vehicle_id"] == car]
    assert finished["reason"] == "flash  block 7"
