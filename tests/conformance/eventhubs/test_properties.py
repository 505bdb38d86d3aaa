"""What an event hub says of itself and of its partitions."""

import asyncio
from datetime import UTC, datetime

import pytest
from azure.eventhub.exceptions import EventHubError

from tests.conformance.documented import documented
from tests.conformance.eventhubs.clients import WAIT_S
from tests.conformance.eventhubs.hub import Hub, with_hub

_PRODUCER = "python/api/azure-eventhub/azure.eventhub.eventhubproducerclient"
_OF_HUB = f"{_PRODUCER}#azure-eventhub-eventhubproducerclient-get-eventhub-properties"
_OF_PARTITION = f"{_PRODUCER}#azure-eventhub-eventhubproducerclient-get-partition-properties"
_RETENTION_S = 4.0


@documented(_OF_HUB)
@with_hub(partitions=3)
async def test_an_event_hub_says_its_name_age_and_partitions(hub: Hub) -> None:
    """Partitions are numbered from 0."""
    properties = await hub.producer.get_eventhub_properties()
    assert properties["eventhub_name"] == hub.name
    assert properties["partition_ids"] == ["0", "1", "2"]
    assert 0 <= (datetime.now(UTC) - properties["created_at"]).total_seconds() < 600


@documented(_OF_PARTITION)
@with_hub()
async def test_an_empty_partition_says_so(hub: Hub) -> None:
    """It has no last event."""
    properties = await hub.producer.get_partition_properties("0")
    assert (properties["eventhub_name"], properties["id"]) == (hub.name, "0")
    assert properties["is_empty"]
    assert (properties["last_enqueued_sequence_number"], properties["last_enqueued_offset"]) == (-1, "-1")


@documented(_OF_PARTITION)
@with_hub()
async def test_a_partition_says_which_are_its_first_and_last_events(hub: Hub) -> None:
    """By number, offset and time, whatever happens in other partitions."""
    await hub.send("a", "b", "c", partition_id="0")
    first, _, last = await hub.read().got(3)
    await hub.send("x", partition_id="1")
    properties = await hub.producer.get_partition_properties("0")
    assert not properties["is_empty"]
    assert properties["beginning_sequence_number"] == first.sequence_number
    assert properties["last_enqueued_sequence_number"] == last.sequence_number
    assert properties["last_enqueued_offset"] == last.offset
    assert properties["last_enqueued_time_utc"] == last.enqueued_time


@documented("azure/event-hubs/event-hubs-features#event-retention")
@with_hub(RetentionTimeInHours=_RETENTION_S / 3600)
async def test_a_partition_whose_events_are_gone_is_empty_and_counts_on(hub: Hub) -> None:
    """The last event's number stays known."""
    filled = {"is_empty": True}
    async with asyncio.timeout(WAIT_S):
        while filled["is_empty"]:
            await hub.send("a", partition_id="0")
            filled = await hub.producer.get_partition_properties("0")
    await asyncio.sleep(_RETENTION_S * 1.1)
    emptied = await hub.producer.get_partition_properties("0")
    assert (filled["is_empty"], emptied["is_empty"]) == (False, True)
    assert emptied["last_enqueued_sequence_number"] == filled["last_enqueued_sequence_number"]


@documented("azure/event-hubs/exceptions-dotnet#exception-information")
@with_hub()
async def test_a_partition_that_does_not_exist_has_no_properties(hub: Hub) -> None:
    """The request is answered with an error, and the next one is fine."""
    with pytest.raises(EventHubError, match="Status code: 400"):
        await hub.producer.get_partition_properties("2")
    assert (await hub.producer.get_partition_properties("1"))["id"] == "1"


@documented("python/api/azure-eventhub/azure.eventhub.partitioncontext#attributes")
@with_hub()
async def test_a_reader_can_follow_how_far_behind_it_is(hub: Hub) -> None:
    """Each event comes with the numbers of the partition's last one, if the reader asks for them."""
    await hub.send("a", "b", partition_id="0")
    reading = hub.read(track_last_enqueued_event_properties=True)
    *_, last = await reading.got(2)
    known = reading.contexts[0].last_enqueued_event_properties
    assert (known["sequence_number"], known["offset"]) == (last.sequence_number, last.offset)
    assert known["enqueued_time"] == last.enqueued_time
    assert abs((datetime.now(UTC) - known["retrieval_time"]).total_seconds()) < 60


@documented("python/api/azure-eventhub/azure.eventhub.partitioncontext#attributes")
@with_hub()
async def test_a_reader_that_does_not_ask_is_not_told_of_the_last_event(hub: Hub) -> None:
    """It would be more to send."""
    await hub.send("a", partition_id="0")
    reading = hub.read()
    event = (await reading.got(1))[0]
    assert not event.raw_amqp_message.delivery_annotations
