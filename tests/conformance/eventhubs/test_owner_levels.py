"""Who may read a partition: owner levels, which the service calls epochs."""

import asyncio

from azure.eventhub.exceptions import EventHubError

from tests.conformance.documented import documented
from tests.conformance.eventhubs.clients import Reading
from tests.conformance.eventhubs.hub import SECOND_GROUP, Hub, with_hub

_EPOCH = "azure/event-hubs/event-hubs-event-processor-host"
_WITH_EPOCH, _MIXED = f"{_EPOCH}#with-epoch", f"{_EPOCH}#mixed-mode"


async def reading_events(hub: Hub, level: int | None, group: str = "$Default") -> Reading:
    """A reader that has its first event, and so its link."""
    reading = hub.read(group=group, owner_level=level)
    await reading.got(1)
    return reading


async def disconnected(reading: Reading) -> str:
    error = await reading.failed()
    assert isinstance(error, EventHubError)
    return str(error)


@documented(_WITH_EPOCH)
@with_hub()
async def test_a_higher_level_takes_the_partition_over(hub: Hub) -> None:
    """The reader before is disconnected and told by which level."""
    await hub.send("a", partition_id="0")
    before = await reading_events(hub, 1)
    await reading_events(hub, 2)
    assert "with higher epoch of '2' is created hence current receiver 'nil' with epoch '1'" in await disconnected(
        before
    )


@documented(_WITH_EPOCH)
@with_hub()
async def test_the_same_level_takes_the_partition_over_too(hub: Hub) -> None:
    """The last one wins: processors, which all have level 0, take partitions from each other so."""
    await hub.send("a", partition_id="0")
    before = await reading_events(hub, 0)
    await reading_events(hub, 0)
    assert "with higher epoch of '0' is created" in await disconnected(before)


@documented(_WITH_EPOCH)
@with_hub()
async def test_a_lower_level_is_refused(hub: Hub) -> None:
    """The reader that is there goes on."""
    await hub.send("a", partition_id="0")
    owner = await reading_events(hub, 2)
    refused = await disconnected(hub.read(owner_level=1))
    assert "with a higher epoch '2' already exists" in refused
    assert "with epoch 1 cannot be created" in refused
    await hub.send("b", partition_id="0")
    assert await owner.bodies(2) == ["a", "b"]


@documented(_MIXED)
@with_hub()
async def test_no_level_is_refused_beside_one(hub: Hub) -> None:
    """Readers with a level always take precedence."""
    await hub.send("a", partition_id="0")
    owner = await reading_events(hub, 0)
    refused = await disconnected(hub.read())
    assert "created with epoch of '0', and so non-epoch receiver is not allowed" in refused
    await hub.send("b", partition_id="0")
    assert await owner.bodies(2) == ["a", "b"]


@documented(_MIXED)
@with_hub()
async def test_a_level_disconnects_all_readers_without_one(hub: Hub) -> None:
    """However many there are."""
    await hub.send("a", partition_id="0")
    before = await asyncio.gather(*(reading_events(hub, None) for _ in range(3)))
    await reading_events(hub, 0)
    for reading in before:
        assert "with higher epoch of '0' is created" in await disconnected(reading)


@documented(_MIXED)
@with_hub()
async def test_no_level_is_needed_once_the_owner_is_gone(hub: Hub) -> None:
    """Here at once, if it closed its link."""
    await hub.send("a", partition_id="0")
    owner = await reading_events(hub, 5)
    await hub.stop(owner)
    await asyncio.sleep(1)
    assert await hub.read().bodies(1) == ["a"]


@documented(_WITH_EPOCH)
@with_hub()
async def test_levels_count_within_a_group_and_partition(hub: Hub) -> None:
    """Readers of another group or of another partition are not disturbed."""
    await hub.send("a", partition_id="0")
    await hub.send("x", partition_id="1")
    others = await reading_events(hub, 1, SECOND_GROUP), hub.read(partition="1")
    await others[1].got(1)
    await reading_events(hub, 9)
    await hub.send("b", partition_id="0")
    await hub.send("y", partition_id="1")
    assert await others[0].bodies(2) == ["a", "b"]
    assert await others[1].bodies(2) == ["x", "y"]
