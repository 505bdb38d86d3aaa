"""How events come into an event hub."""

import asyncio

import pytest
from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.exceptions import ConnectError, EventHubError

from localcloud.broker.events.partition_key import partition_index
from tests.conformance.documented import documented
from tests.conformance.eventhubs.hub import Hub, with_hub

_FEATURES = "azure/event-hubs/event-hubs-features"
_PRODUCER = "python/api/azure-eventhub/azure.eventhub.eventhubproducerclient"
_RESOLVER = (
    "https://github.com/Azure/azure-sdk-for-net/blob/main/sdk/eventhub/Azure.Messaging.EventHubs/src/Core/"
    "PartitionResolver.cs"
)
_MAX_BYTES = 1 << 20


@documented(f"{_FEATURES}#mapping-of-events-to-partitions")
@with_hub(partitions=4)
async def test_events_with_one_key_are_together_in_the_order_of_sending(hub: Hub) -> None:
    """Whether they come in a batch or alone."""
    await hub.send("a", "b", partition_key="car-1")
    await hub.producer.send_event(EventData("c"), partition_key="car-1")
    await hub.producer.send_batch([EventData("d"), EventData("e")], partition_key="car-1")
    reading = hub.read(partition=None)
    assert await reading.bodies(5) == ["a", "b", "c", "d", "e"]
    assert len({context.partition_id for context in reading.contexts}) == 1


@documented(_RESOLVER)
@with_hub(partitions=7)
async def test_a_key_maps_to_the_partition_of_the_services_hash(hub: Hub) -> None:
    """Also for keys with letters beyond ASCII."""
    keys = [*(f"car-{number}" for number in range(30)), "straße", "鍵"]
    await asyncio.gather(*(hub.send(key, partition_key=key) for key in keys))
    reading = hub.read(partition=None)
    events = await reading.got(len(keys))
    places = {
        event.body_as_str(): context.partition_id for event, context in zip(events, reading.contexts, strict=True)
    }
    assert places == {key: str(partition_index(key, 7)) for key in keys}


@documented(f"{_FEATURES}#mapping-of-events-to-partitions")
@with_hub(partitions=4)
async def test_events_without_key_go_to_the_partitions_in_turn(hub: Hub) -> None:
    """One after the other, so that all get equally many."""
    for number in range(8):
        await hub.send(str(number))
    reading = hub.read(partition=None)
    await reading.got(8)
    assert sorted(context.partition_id for context in reading.contexts) == sorted("0123" * 2)


@documented("azure/event-hubs/event-hubs-availability-and-consistency#consistency")
@with_hub(partitions=4)
async def test_events_can_be_sent_to_a_partition(hub: Hub) -> None:
    """And are found there only."""
    await hub.send("a", "b", partition_id="2")
    await hub.producer.send_event(EventData("c"), partition_id="2")
    reading = hub.read(partition=None)
    assert await reading.bodies(3) == ["a", "b", "c"]
    assert {context.partition_id for context in reading.contexts} == {"2"}


@documented("azure/event-hubs/event-hubs-programming-guide#batch-event-send-operations")
@with_hub(partitions=4)
async def test_a_batch_goes_to_one_partition_as_a_whole(hub: Hub) -> None:
    """Its events have numbers without a gap, though another producer sends at the same time."""
    numbers = [str(number) for number in range(50)]
    await asyncio.gather(hub.send(*numbers, partition_id="1"), hub.send(*numbers, partition_id="1"))
    events = await hub.read(partition="1").got(100)
    assert [event.body_as_str() for event in events] == numbers * 2
    first = events[0].sequence_number or 0
    assert [event.sequence_number for event in events] == list(range(first, first + 100))


@documented(f"{_PRODUCER}#azure-eventhub-eventhubproducerclient-create-batch")
@with_hub()
async def test_every_event_of_a_batch_is_delivered_with_the_key_of_the_batch(hub: Hub) -> None:
    """Consumers see by which key it was mapped."""
    await hub.send("a", "b", partition_key="car-1")
    events = await hub.read(partition=None).got(2)
    assert [event.partition_key for event in events] == [b"car-1", b"car-1"]


@documented(f"{_PRODUCER}#azure-eventhub-eventhubproducerclient-send-batch")
@with_hub(partitions=2)
async def test_a_key_that_is_no_text_maps_to_no_partition(hub: Hub) -> None:
    """The service ignores it: the events go to all partitions in turn."""
    for number in range(4):
        await hub.send(str(number), partition_key=17)
    reading = hub.read(partition=None)
    await reading.got(4)
    assert sorted(context.partition_id for context in reading.contexts) == ["0", "0", "1", "1"]


@documented("azure/event-hubs/event-hubs-quotas#basic-vs-standard-vs-premium-vs-dedicated-tiers")
@with_hub()
async def test_a_publication_has_room_for_a_megabyte(hub: Hub) -> None:
    """The producer asks the service for the size; a batch filled up to it arrives."""
    batch = await hub.producer.create_batch(partition_id="0")
    assert batch.max_size_in_bytes == _MAX_BYTES
    while batch.size_in_bytes < _MAX_BYTES - 20_000:
        batch.add(EventData(bytes(10_000)))
    with pytest.raises(ValueError, match="reached its size limit"):
        batch.add(EventData(bytes(20_000)))
    await hub.producer.send_batch(batch)
    assert len(await hub.read().got(len(batch))) == len(batch) > 100


@documented("azure/event-hubs/event-hubs-quotas#basic-vs-standard-vs-premium-vs-dedicated-tiers")
@with_hub()
async def test_a_publication_beyond_a_megabyte_is_rejected(hub: Hub) -> None:
    """By the service too, if the producer believes in another limit. It can go on with smaller ones."""
    with pytest.raises(ValueError, match="exceeds"):
        await hub.producer.send_batch([EventData(bytes(_MAX_BYTES))])
    unchecked = EventDataBatch(max_size_in_bytes=4 * _MAX_BYTES, partition_id="0")
    unchecked.add(EventData(bytes(_MAX_BYTES)))
    with pytest.raises(EventHubError):
        await hub.producer.send_batch(unchecked)
    await hub.send("small", partition_id="0")
    assert await hub.read().bodies(1) == ["small"]


@documented("azure/event-hubs/exceptions-dotnet#exception-information")
@with_hub(partitions=3)
async def test_nothing_can_be_sent_to_a_partition_that_does_not_exist(hub: Hub) -> None:
    """The producer asks for those that do."""
    with pytest.raises(ConnectError, match="Invalid partition 3 for the event hub"):
        await hub.send("a", partition_id="3")


@documented("azure/event-hubs/exceptions-dotnet#exception-information")
@with_hub()
async def test_an_event_hub_that_does_not_exist_is_not_found(hub: Hub) -> None:
    """Already when the producer asks for its partitions."""
    producer = hub.new_producer("nowhere")
    with pytest.raises(ConnectError, match="Status code: 404"):
        await producer.send_event(EventData("a"))
