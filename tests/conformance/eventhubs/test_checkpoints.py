"""Consumers that share the partitions of an event hub and remember how far they are, in a blob container on Azurite."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from azure.storage.blob.aio import ContainerClient

from tests.conformance.documented import documented
from tests.conformance.eventhubs.clients import CONTAINER, Reading
from tests.conformance.eventhubs.hub import SECOND_GROUP, Hub, with_hub

_BALANCE = "azure/event-hubs/event-processor-balance-partition-load"
_STORE = "python/api/overview/azure/eventhub-checkpointstoreblob-aio-readme#key-concepts"
_STRATEGY = "python/api/azure-eventhub/azure.eventhub.loadbalancingstrategy"
_EXPIRY_S = 4.0


def sharing(hub: Hub, group: str = "$Default", strategy: str = "greedy", interval_s: float = 0.5) -> Reading:
    """Reads those partitions that it gets hold of."""
    client = {
        "checkpoint_store": hub.checkpoint_store(),
        "load_balancing_interval": interval_s,
        "partition_ownership_expiration_interval": max(_EXPIRY_S, 2 * interval_s),
        "load_balancing_strategy": strategy,
    }
    return hub.read(group=group, partition=None, client=client)


async def kept(hub: Hub, kind: str, group: str = "$default") -> dict[str, dict[str, str]]:
    """What the store has of each partition: blobs named by namespace, hub, group, kind and partition."""
    async with ContainerClient.from_connection_string(hub.storage, CONTAINER) as container:
        prefix = f"{hub.namespace}/{hub.name.lower()}/{group}/{kind}/"
        blobs = [blob async for blob in container.list_blobs(name_starts_with=prefix, include=["metadata"])]
        return {blob.name.removeprefix(prefix): dict(blob.metadata or {}) for blob in blobs}


async def owners(hub: Hub) -> dict[str, str]:
    return {partition: data["ownerid"] for partition, data in (await kept(hub, "ownership")).items()}


async def shared_evenly(hub: Hub, consumers: int) -> None:
    """Waits until so many consumers own equally many partitions."""
    await until_owned(hub, lambda owned: sorted(map(owned.count, set(owned))) == [4 // consumers] * consumers)


async def until_owned(hub: Hub, condition: Callable[[list[str]], bool]) -> None:
    """Waits for the owners of the partitions that have one."""
    for _ in range(200):
        if condition([owner for owner in (await owners(hub)).values() if owner]):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError


async def send_everywhere(hub: Hub, body: str) -> None:
    partitions = await hub.producer.get_partition_ids()
    await asyncio.gather(*(hub.send(body, partition_id=partition) for partition in partitions))


async def checkpoint_all(hub: Hub, reading: Reading) -> None:
    for context, event in zip(reading.contexts, reading.events, strict=True):
        await hub.flavour.checkpoint(context, event)


@documented(f"{_BALANCE}#checkpoint")
@with_hub()
async def test_a_consumer_continues_at_its_checkpoint(hub: Hub) -> None:
    """In every partition behind the last event that it marked, not behind the last that it got."""
    await hub.send("a", "b", "c", partition_id="0")
    await hub.send("x", partition_id="1")
    first = sharing(hub)
    await first.got(4)
    events = {event.body_as_str(): place for place, event in enumerate(first.events)}
    for body in ("b", "x"):
        await hub.flavour.checkpoint(first.contexts[events[body]], first.events[events[body]])
    await hub.stop(first)
    await hub.send("y", partition_id="1")
    assert sorted(await sharing(hub).bodies(2)) == ["c", "y"]


@documented(_STORE)
@with_hub()
async def test_a_checkpoint_is_the_offset_and_number_of_an_event(hub: Hub) -> None:
    """Kept as metadata of a blob per partition, beside one that says who owns it."""
    await hub.send("a", "b", partition_id="1")
    reading = sharing(hub)
    last = (await reading.got(2))[1]
    await hub.flavour.checkpoint(reading.contexts[1])
    assert await kept(hub, "checkpoint") == {"1": {"offset": last.offset, "sequencenumber": str(last.sequence_number)}}
    assert set(await owners(hub)) == {"0", "1"}


@documented(f"{_BALANCE}#checkpoint")
@with_hub()
async def test_every_group_has_checkpoints_of_its_own(hub: Hub) -> None:
    """One group's progress is nothing to another."""
    await hub.send("a", partition_id="0")
    first = sharing(hub)
    await first.got(1)
    await checkpoint_all(hub, first)
    assert await sharing(hub, SECOND_GROUP).bodies(1) == ["a"]
    assert await kept(hub, "checkpoint", SECOND_GROUP) == {}


@documented(f"{_BALANCE}#partition-ownership")
@with_hub(partitions=4)
async def test_consumers_share_the_partitions_evenly(hub: Hub) -> None:
    """A second one takes its half, and every event is read by the owner of its partition."""
    first = sharing(hub)
    await shared_evenly(hub, 1)
    second = sharing(hub)
    await shared_evenly(hub, 2)
    await asyncio.sleep(2)  # until both have their links
    before = len(first.events) + len(second.events)
    assert before == 0
    await send_everywhere(hub, "a")
    await first.got(2)
    await second.got(2)
    places = [[context.partition_id for context in reading.contexts] for reading in (first, second)]
    assert sorted(places[0] + places[1]) == ["0", "1", "2", "3"]


@documented(_STRATEGY)
@with_hub(partitions=4)
async def test_a_greedy_consumer_claims_all_that_is_free_at_once(hub: Hub) -> None:
    """In its first round, however long the next one is away."""
    sharing(hub, interval_s=60)
    await shared_evenly(hub, 1)


@documented(_STRATEGY)
@with_hub(partitions=4)
async def test_a_balanced_consumer_claims_one_partition_a_round(hub: Hub) -> None:
    """Until it has its share."""
    sharing(hub, strategy="balanced", interval_s=1)
    seen: list[int] = []

    def all_owned(owned: list[str]) -> bool:
        seen.append(len(owned))
        return len(owned) == 4

    await until_owned(hub, all_owned)
    assert {1, 2, 3} & set(seen)


@documented(f"{_BALANCE}#partition-ownership")
@with_hub(partitions=4)
async def test_a_consumer_that_leaves_gives_its_partitions_back(hub: Hub) -> None:
    """Another one gets them without waiting for anything to expire."""
    await send_everywhere(hub, "a")
    first = sharing(hub, interval_s=60)  # a renewal would be in the way of giving back, here as in Azure
    await first.got(4)
    await hub.stop(first)
    await until_owned(hub, lambda owned: not owned)
    assert len(await sharing(hub).got(4)) == 4


@documented(f"{_BALANCE}#partition-ownership")
@with_hub(partitions=2)
async def test_the_partitions_of_a_killed_consumer_are_taken_over(hub: Hub) -> None:
    """Once its ownership has expired, from its last checkpoints on."""
    await send_everywhere(hub, "a")
    doomed = await start_doomed(hub)
    for _ in range(2):
        assert (await doomed.stdout.readline()).split()[1] == b"a"
    doomed.kill()
    await doomed.wait()
    await send_everywhere(hub, "b")
    heir = sharing(hub)
    assert await heir.bodies(2) == ["b", "b"]
    assert {context.partition_id for context in heir.contexts} == {"0", "1"}


async def start_doomed(hub: Hub) -> Any:
    arguments = (hub.connection, hub.name, hub.storage, str(_EXPIRY_S))
    module = "tests.conformance.eventhubs.doomed_consumer"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
