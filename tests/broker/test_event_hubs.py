"""Event Hubs through the unmodified azure-eventhub SDK."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

WAIT_S = 15.0


class Reading:
    """What one consumer has seen so far."""

    def __init__(self, consumer: EventHubConsumerClient, **options: Any) -> None:
        self.events: list[EventData] = []
        self.contexts: list[PartitionContext] = []
        self.errors: list[Exception] = []
        self._changed = asyncio.Condition()
        self._consumer = consumer
        self._task = asyncio.create_task(consumer.receive(self._on_event, on_error=self._on_error, **options))

    async def got(self, count: int) -> list[EventData]:
        """Waits for so many events."""
        async with self._changed, asyncio.timeout(WAIT_S):
            await self._changed.wait_for(lambda: len(self.events) >= count)
        return self.events

    async def failed(self) -> Exception:
        """Waits for an error."""
        async with self._changed, asyncio.timeout(WAIT_S):
            await self._changed.wait_for(lambda: bool(self.errors))
        return self.errors[0]

    async def close(self) -> None:
        await self._consumer.close()
        self._task.cancel()  # else it sleeps for half a minute before it sees that it is closed
        await asyncio.wait([self._task])

    async def _on_event(self, context: PartitionContext, event: EventData | None) -> None:
        if event is not None:
            async with self._changed:
                self.events.append(event)
                self.contexts.append(context)
                self._changed.notify_all()

    async def _on_error(self, _context: PartitionContext | None, error: Exception) -> None:
        async with self._changed:
            self.errors.append(error)
            self._changed.notify_all()


class Hub:
    """An event hub of a test's own, with a producer."""

    def __init__(self, connection_string: str, name: str, readings: list[Reading]) -> None:
        """`readings` are closed by whoever owns them."""
        self.name = name
        self.producer = EventHubProducerClient.from_connection_string(
            connection_string, eventhub_name=name, retry_total=0
        )
        self._connection_string = connection_string
        self._readings = readings

    async def send(self, *events: EventData | str, **options: Any) -> None:
        """All of them in one batch."""
        batch = await self.producer.create_batch(**options)
        for event in events:
            batch.add(EventData(event) if isinstance(event, str) else event)
        await self.producer.send_batch(batch)

    def read(
        self, position: Any = "-1", group: str = "$Default", partition_id: str | None = "0", **options: Any
    ) -> Reading:
        consumer = EventHubConsumerClient.from_connection_string(
            self._connection_string, group, eventhub_name=self.name, retry_total=0
        )
        reading = Reading(consumer, partition_id=partition_id, starting_position=position, **options)
        self._readings.append(reading)
        return reading


@pytest.fixture(scope="module")
async def readings() -> AsyncIterator[list[Reading]]:
    """Closed together at the end, because each takes the SDK a second."""
    readings: list[Reading] = []
    yield readings
    await asyncio.gather(*(reading.close() for reading in readings))


@pytest.fixture
async def the_hub(connection_string: str, hub: str, readings: list[Reading]) -> AsyncIterator[Hub]:
    the_hub = Hub(connection_string, hub, readings)
    yield the_hub
    await the_hub.producer.close()


def bodies(events: list[EventData]) -> list[str]:
    return [event.body_as_str() for event in events]


async def test_an_event_arrives_as_it_was_sent(the_hub: Hub) -> None:
    """With the annotations that an IoT Hub adds, and numbers of its place and time."""
    event = EventData(b"Gr\xc3\xbc\xc3\x9fe")
    event.properties = {"type": "telemetry", "count": 3}
    event.content_type, event.message_id = "application/json", "m-1"
    event.raw_amqp_message.annotations = {
        "iothub-connection-device-id": "car-1",
        "iothub-enqueuedtime": "2026-01-01T00:00:00Z",
    }
    await the_hub.send(event, partition_id="0")
    reading = the_hub.read()
    received = (await reading.got(1))[0]
    assert received.body_as_str() == "Grüße"
    assert received.properties == {b"type": b"telemetry", b"count": 3}
    assert (received.content_type, received.message_id) == ("application/json", "m-1")
    assert received.system_properties[b"iothub-connection-device-id"] == b"car-1"
    assert received.system_properties[b"iothub-enqueuedtime"] == b"2026-01-01T00:00:00Z"
    assert received.partition_key is None
    assert received.enqueued_time is not None
    assert abs((datetime.now(UTC) - received.enqueued_time).total_seconds()) < 30


async def test_events_with_one_key_stay_together_in_order(the_hub: Hub) -> None:
    """Whether in a batch or alone; the key is delivered too."""
    await the_hub.send("a", "b", partition_key="car-1")
    await the_hub.producer.send_event(EventData("c"), partition_key="car-1")
    reading = the_hub.read(partition_id=None)
    events = await reading.got(3)
    assert bodies(events) == ["a", "b", "c"]
    assert len({context.partition_id for context in reading.contexts}) == 1
    assert {event.partition_key for event in events} == {b"car-1"}


async def test_events_without_key_go_to_the_partitions_in_turn(the_hub: Hub) -> None:
    for number in range(4):
        await the_hub.send(str(number))
    reading = the_hub.read(partition_id=None)
    await reading.got(4)
    assert sorted(context.partition_id for context in reading.contexts) == ["0", "0", "1", "1"]


async def test_a_reader_begins_where_it_is_told(the_hub: Hub) -> None:
    """At an offset, a sequence number or a time, with or without the event there; or at the end."""
    await the_hub.send("a", "b", "c", partition_id="0")
    reading = the_hub.read()
    first, second, third = await reading.got(3)
    assert (second.sequence_number or 0) - (first.sequence_number or 0) == 1
    await asyncio.sleep(0.01)
    later = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await the_hub.send("d", partition_id="0")
    behind_offset = the_hub.read(second.offset)
    from_offset = the_hub.read(second.offset, starting_position_inclusive=True)
    behind_number = the_hub.read(second.sequence_number)
    from_number = the_hub.read(second.sequence_number, "second", starting_position_inclusive=True)
    from_time = the_hub.read(later, "second")
    latest = the_hub.read("@latest", "second")
    assert bodies(await behind_offset.got(2)) == ["c", "d"]
    assert bodies(await from_offset.got(3)) == ["b", "c", "d"]
    assert bodies(await behind_number.got(2)) == ["c", "d"]
    assert bodies(await from_number.got(3)) == ["b", "c", "d"]
    assert bodies(await from_time.got(1)) == ["d"]
    await asyncio.sleep(0.5)  # nothing tells when a reader at the end is there
    await the_hub.send("e", partition_id="0")
    assert bodies(await latest.got(1)) == ["e"]
    assert bodies(await behind_offset.got(3)) == ["c", "d", "e"]


async def test_consumer_groups_read_independently(the_hub: Hub) -> None:
    """Only declared ones can; `$Default` always is."""
    await the_hub.send("a", partition_id="0")
    one, two, undeclared = (the_hub.read(group=group) for group in ("$default", "SECOND", "third"))
    assert bodies(await one.got(1)) == bodies(await two.got(1)) == ["a"]
    assert isinstance(await undeclared.failed(), EventHubError)


async def test_a_higher_epoch_takes_over(the_hub: Hub) -> None:
    """The reader before is told so, and cannot come back with a lower one."""
    await the_hub.send("a", partition_id="0")
    first = the_hub.read(owner_level=1)
    await first.got(1)
    second = the_hub.read(owner_level=2)
    await second.got(1)
    assert "epoch 2" in str(await first.failed())
    late, without = the_hub.read(owner_level=1), the_hub.read()
    assert isinstance(await late.failed(), EventHubError)
    assert isinstance(await without.failed(), EventHubError)
    assert late.events == without.events == []


async def test_many_events_pass_in_order(the_hub: Hub) -> None:
    for start in range(0, 1000, 250):
        await the_hub.send(*(str(number) for number in range(start, start + 250)), partition_id="1")
    reading = the_hub.read(partition_id="1", prefetch=100)
    events = await reading.got(1000)
    assert bodies(events) == [str(number) for number in range(1000)]


async def test_properties_tell_of_the_hub_and_its_partitions(the_hub: Hub) -> None:
    """An empty partition says so; a filled one tells its last event."""
    producer = the_hub.producer
    hub = await producer.get_eventhub_properties()
    assert (hub["eventhub_name"], hub["partition_ids"]) == (the_hub.name, ["0", "1"])
    empty = await producer.get_partition_properties("0")
    assert empty["is_empty"]
    assert (empty["last_enqueued_sequence_number"], empty["last_enqueued_offset"]) == (-1, "-1")
    await the_hub.send("a", "b", partition_id="0")
    filled = await producer.get_partition_properties("0")
    reading = the_hub.read()
    first, last = await reading.got(2)
    assert not filled["is_empty"]
    assert filled["beginning_sequence_number"] == first.sequence_number
    assert filled["last_enqueued_sequence_number"] == last.sequence_number
    assert filled["last_enqueued_offset"] == last.offset
    assert filled["last_enqueued_time_utc"] == last.enqueued_time
    with pytest.raises(EventHubError):
        await producer.get_partition_properties("7")


async def test_a_reader_can_follow_how_far_behind_it_is(the_hub: Hub) -> None:
    """Each event may come with the numbers of the partition's last one."""
    await the_hub.send("a", "b", partition_id="0")
    reading = the_hub.read(track_last_enqueued_event_properties=True)
    _, last = await reading.got(2)
    known = reading.contexts[0].last_enqueued_event_properties
    assert known is not None
    assert (known["sequence_number"], known["offset"]) == (last.sequence_number, last.offset)
    assert known["enqueued_time"] == last.enqueued_time
    assert known["retrieval_time"] is not None


async def test_nothing_is_sent_to_a_partition_or_hub_that_does_not_exist(the_hub: Hub, connection_string: str) -> None:
    nowhere = EventHubProducerClient.from_connection_string(connection_string, eventhub_name="nowhere", retry_total=0)
    results = await asyncio.gather(
        the_hub.send("x", partition_id="7"), nowhere.send_batch([EventData("x")]), return_exceptions=True
    )
    await nowhere.close()
    assert all(isinstance(result, EventHubError) for result in results)
