"""Redelivery, death between any two writes, and two instances at once: the campaign ends the same, and once."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import pytest

from functions.ota import messages, service, store
from shared import settings
from shared.identity import vehicle
from shared.messaging import publisher, vehicle_link
from shared.storage.tables import MAX_TRANSACTION_ENTITIES, Table
from tests.ota.campaigns import NOW
from tests.ota.stage import Handle, Stage

Work = Callable[[], Awaitable[None]]
REPORTS = ("downloading", "installing", "succeeded")


class Killed(BaseException):
    """SIGKILL: nothing catches it, and the instance does nothing any more."""


@dataclass
class Life:
    """Ends an instance after a number of writes, to whatever service they go."""

    left: int | None = None
    writes: list[str] = field(default_factory=list)

    def write(self, name: str, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def mortal(*arguments: Any, **named: Any) -> Any:
            if self.left is not None:
                if self.left <= 0:
                    raise Killed
                self.left -= 1
            self.writes.append(name)
            return await original(*arguments, **named)

        return mortal

    async def at_every_write(self, work: Work) -> None:
        """Delivers the same message again and again; each time the instance lives one write longer."""
        for writes in count():
            self.left = writes
            try:
                await work()
            except Killed:
                continue
            finally:
                self.left = None
            return


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Life:
    life = Life()
    monkeypatch.setattr(Table, "commit", life.write("commit", Table.commit))
    monkeypatch.setattr(publisher, "send", life.write("send", publisher.send))
    monkeypatch.setattr(vehicle_link, "set_desired", life.write("twin", vehicle_link.set_desired))
    return life


async def twice(work: Work) -> None:
    for _ in range(2):
        await work()


async def by_two_instances(work: Work) -> None:
    await asyncio.gather(work(), work())


async def _whole_campaign(stage: Stage, handle: Handle, *, at_once: int = 16) -> None:
    """Two vehicles succeed, one fails, one is not known to the hub; checks all that must come of it."""
    cars = await stage.vehicles(3)
    (stray,) = await stage.vehicles(1, at_hub=False)
    await stage.start()
    await stage.work(handle, at_once=at_once)
    for step in REPORTS:
        await stage.report(*((car, step) for car in cars[:2]), handle=handle)
    await stage.report((cars[2], "failed"), reason="flash", handle=handle)
    await stage.work(handle, at_once=at_once)

    assert [await stage.status(car) for car in (*cars, stray)] == ["succeeded", "succeeded", "failed", "failed"]
    assert [await stage.offer(car) for car in cars] == [None] * 3
    available = await stage.events("UpdateAvailable")
    assert sorted(event["vehicle_id"] for event in available) == sorted(cars)
    finished = await stage.events("UpdateFinished")
    assert sorted(event["vehicle_id"] for event in finished) == sorted([*cars, stray])
    assert await stage.events("CampaignCompleted") == [
        {"campaign_id": stage.campaign_id, "targeted": 4, "succeeded": 2, "failed": 2}
    ]
    assert await stage.nothing_waits([*cars, stray])


async def test_every_message_may_come_twice(stage: Stage) -> None:
    await _whole_campaign(stage, twice)


async def test_two_instances_may_work_on_every_message_at_once(stage: Stage) -> None:
    await _whole_campaign(stage, by_two_instances)


async def test_an_instance_may_die_before_any_of_its_writes(stage: Stage, life: Life) -> None:
    """Between commit and sending, between twin and commit, between any two: the next delivery goes on."""
    await _whole_campaign(stage, life.at_every_write, at_once=1)
    assert {"commit", "send", "twin"} <= set(life.writes)


async def test_a_large_shard_is_planned_in_several_transactions_and_goes_on_where_it_stopped(
    stage: Stage, life: Life
) -> None:
    """None of its vehicles is known to the hub, so that each also ends and is counted in the shard's one row."""
    number = MAX_TRANSACTION_ENTITIES + 15
    cars = _ids(stage.brand, number, lambda shard: shard == vehicle.shard(f"{stage.brand}-0"))
    await stage.register(cars, at_hub=False)
    shard = store.Shard(stage.campaign_id, vehicle.shard(cars[0]))
    planned_at_death = set()

    async def dies_after_one_write(work: Work) -> None:
        life.left = 1
        try:
            await work()
        except Killed:
            planned_at_death.add(len(await store.assigned(shard)))
            life.left = None
            await work()
        finally:
            life.left = None

    await stage.start()
    await stage.work(dies_after_one_write, at_once=1)
    assert planned_at_death == {0, store.ASSIGNMENTS_PER_TRANSACTION, number}
    assert await stage.events("CampaignCompleted") == [
        {"campaign_id": stage.campaign_id, "targeted": number, "succeeded": 0, "failed": number}
    ]
    assert len(await stage.events("UpdateFinished")) == number


async def test_ends_in_one_shard_are_all_counted_when_reported_to_two_instances(stage: Stage) -> None:
    cars = _ids(stage.brand, 8, lambda shard: shard == vehicle.shard(f"{stage.brand}-0"))
    await stage.register(cars)
    await stage.start()
    await stage.work()
    await asyncio.gather(
        stage.report(*((car, "succeeded") for car in cars[::2])), stage.report(*((car, "failed") for car in cars[1::2]))
    )
    await stage.work()
    assert await stage.events("CampaignCompleted") == [
        {"campaign_id": stage.campaign_id, "targeted": 8, "succeeded": 4, "failed": 4}
    ]


async def test_a_slow_second_run_of_planning_adds_nothing_to_what_was_closed_meanwhile(stage: Stage) -> None:
    """It would find vehicles that were registered meanwhile, to which nobody would make an offer any more."""
    (car,) = await stage.vehicles(1)
    await stage.start()
    await stage.work()
    shard, part = vehicle.shard(car), vehicle.shard(car)[0]
    late = [
        *_ids(f"{stage.brand}-a", 1, lambda found: found == shard),
        *_ids(f"{stage.brand}-b", 1, lambda found: found != shard and found[0] == part),
    ]
    await stage.register(late)
    campaign = await store.campaign(stage.campaign_id)
    assert campaign is not None
    command = messages.AssignVehicles(campaign_id=stage.campaign_id, part=part)
    assert await service._plan_part(campaign, command, NOW) == (shard,)
    await stage.start()
    await stage.work()
    await stage.report((car, "succeeded"))
    await stage.work()
    assert [await stage.offer(car) for car in late] == [None, None]
    assert [event["targeted"] for event in await stage.events("CampaignCompleted")] == [1]


def _ids(prefix: str, number: int, in_shard: Callable[[str], bool]) -> list[str]:
    """Vehicle ids whose shard is such a one."""
    names = (f"{prefix}-{index}" for index in count())
    return list(islice((name for name in names if in_shard(vehicle.shard(name))), number))


async def test_offers_go_on_when_the_hub_is_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does not answer, commands are put off, and no vehicle counts as failed."""
    cars = await stage.vehicles(2)
    address = os.environ[settings.IOT_HUB_CONNECTION]
    unreachable = address.replace(str(stage.cloud.layout.hub_rest_port), str(_closed_port()))
    monkeypatch.setenv(settings.IOT_HUB_CONNECTION, unreachable)
    seen, commands = list[str | None](), 1 + 16 + 6  # the start, its parts, and some tries to offer

    async def outage(work: Work) -> None:
        seen.append(await stage.status(cars[0]))
        if len(seen) == commands:
            monkeypatch.setenv(settings.IOT_HUB_CONNECTION, address)
        await work()

    await stage.start()
    await stage.work(outage)
    assert seen[commands - 1] == "planned"
    assert [await stage.status(car) for car in cars] == ["offered", "offered"]
    assert len(await stage.events("UpdateAvailable")) == 2


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port: int = opened.getsockname()[1]
    return port
