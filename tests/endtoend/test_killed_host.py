"""The host is killed in the middle of a replay and starts again: nothing is lost, nothing is doubled."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusClient

from localcloud import replay
from localcloud.services import LocalCloud
from tests.endtoend.conftest import WITNESS

PAIR = ("twizy-t3-04-22-2021-1.csv", "twizy-t3-04-22-2021-2.csv")
VEHICLE = "killed-car"


async def witnessed(cloud: LocalCloud) -> Counter[str]:
    """How often each message id was published about the vehicle's trips."""
    ids = Counter[str]()
    async with (
        ServiceBusClient.from_connection_string(cloud.layout.amqp_connection) as client,
        client.get_subscription_receiver("domain-events", WITNESS, receive_mode="receiveanddelete") as receiver,
    ):
        while messages := await receiver.receive_messages(100, max_wait_time=1):
            ids.update(str(message.message_id) for message in messages)
    return ids


async def kill_and_start(cloud: LocalCloud, after_s: list[float]) -> None:
    for pause_s in after_s:
        await asyncio.sleep(pause_s)
        await cloud.children["host"].kill()
        await cloud.start_host()


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The trips of a replay that nobody disturbed, once it has run."""
    return {}


@pytest.mark.parametrize(
    "after_s",
    [[], [0.05], [0.4], [0.8], [1.2], [1.6], [0.3, 0.3, 0.3]],
    ids=lambda after_s: "-".join(f"{pause_s}s" for pause_s in after_s) or "undisturbed",
)
async def test_a_killed_host_goes_on_where_it_was(
    cloud: LocalCloud, drives: Path, undisturbed: dict[str, Any], after_s: list[float]
) -> None:
    recordings = replay.read_in_order([drives / name for name in PAIR])
    killer = asyncio.create_task(kill_and_start(cloud, after_s))
    replayed = await replay.run(cloud.layout, recordings, VEHICLE, disorder=5)
    await killer
    result = replayed.as_json()
    assert result["parked"] == 0
    assert len(result["trips"]) == 2
    assert result == undisturbed.setdefault("result", result)
    published = await witnessed(cloud)
    assert set(published) == {f"{trip['trip_id']}-1" for trip in result["trips"]}
    assert set(published) == undisturbed.setdefault("ids", set(published))
