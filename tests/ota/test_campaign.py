"""Campaigns from their start to their end, against the real SDKs and services."""

import hashlib
import random

from functions.ota import store
from functions.ota.rollout import Totals
from shared import connections
from tests.ota.campaigns import FIRMWARE
from tests.ota.stage import Running, Stage

STEPS = ("downloading", "downloaded", "installing")


async def test_a_campaign_reaches_every_vehicle_and_ends_once_with_the_right_numbers(stage: Stage) -> None:
    """Reports arrive twice and in any order; one vehicle is not known to the hub, another is of another model."""
    cars = await stage.vehicles(6)
    (stray,) = await stage.vehicles(1, at_hub=False)
    (other,) = await stage.vehicles(1, model="Two")
    await stage.start()
    await stage.work()

    assert [await stage.status(car) for car in (*cars, stray, other)] == ["offered"] * 6 + ["failed", None]
    assert await stage.offer(other) is None
    assert await stage.events("CampaignCompleted") == []

    ends = dict(zip(cars, ["succeeded"] * 4 + ["failed", "rejected"], strict=True))
    said = [(car, status) for car in cars for status in (*STEPS, ends[car])] * 2
    random.Random(1).shuffle(said)
    for start in range(0, len(said), 16):
        await stage.report(*said[start : start + 16], reason="no space")
    await stage.work()

    assert [await stage.status(car) for car in cars] == list(ends.values())
    assert [await stage.offer(car) for car in cars] == [None] * 6
    assert await stage.events("CampaignCompleted") == [
        {"campaign_id": stage.campaign_id, "targeted": 7, "succeeded": 4, "failed": 3}
    ]
    available = await stage.events("UpdateAvailable")
    assert sorted(event["vehicle_id"] for event in available) == sorted(cars)
    assert {(event["version"], event["title"]) for event in available} == {("2.0.0", "Better range")}
    finished = {event["vehicle_id"]: event for event in await stage.events("UpdateFinished")}
    assert {car: event["succeeded"] for car, event in finished.items()} == {
        **{car: end == "succeeded" for car, end in ends.items()},
        stray: False,
    }
    assert (finished[stray]["reason"], finished[cars[5]]["reason"]) == ("unknown-device", "no space")
    campaign = await store.campaign(stage.campaign_id)
    assert campaign is not None
    assert campaign.totals == Totals(7, 4, 3)
    assert await stage.nothing_waits([*cars, stray])


async def test_an_offer_leads_to_the_artifact(running: Running) -> None:
    stage, car = running.stage, running.vehicle()
    offer = await stage.offer(car)
    assert offer is not None
    assert offer | {"url": ""} == {
        "campaign_id": stage.campaign_id,
        "version": "2.0.0",
        "title": "Better range",
        "url": "",
        "sha256": hashlib.sha256(FIRMWARE).hexdigest(),
        "size_bytes": len(FIRMWARE),
    }
    async with connections.http().get(offer["url"]) as response:
        assert hashlib.sha256(await response.read()).hexdigest() == offer["sha256"]


async def test_a_campaign_without_vehicles_ends_with_zeros(stage: Stage) -> None:
    await stage.start()
    await stage.work()
    assert await stage.events("CampaignCompleted") == [
        {"campaign_id": stage.campaign_id, "targeted": 0, "succeeded": 0, "failed": 0}
    ]
