"""Event Hubs through the unmodified azure-eventhub SDK.

The SDK takes a second to open a reader and another to close it, mostly asleep: they are opened and closed together.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

WAIT_S = 15.0
MANY = 1000


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


class Hubs:
    """Producers and readers of the hubs of the test's broker."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string
        self._producers: dict[str, EventHubProducerClient] = {}
        self._readings: list[Reading] = []

    def producer(self, hub: str) -> EventHubProducerClient:
        if hub not in self._producers:
            self._producers[hub] = EventHubProducerClient.from_connection_string(
                self._connection_string, eventhub_name=hub, retry_total=0
            )
        return self._producers[hub]

    async def send(self, hub: str, *events: EventData | str, **options: Any) -> None:
        """All of them in one batch."""
        batch = await self.producer(hub).create_batch(**options)
        for event in events:
            batch.add(EventData(event) if isinstance(event, str) else event)
        await self.producer(hub).send_batch(batch)

    def read(
        self, hub: str, position: Any = "-1", group: str = "$Default", partition: str | None = "0", **options: Any
    ) -> Reading:
        consumer = EventHubConsumerClient.from_connection_string(
            self._connection_string, group, eventhub_name=hub, retry_total=0
        )
        reading = Reading(consumer, partition_id=partition, starting_position=position, **options)
        self._readings.append(reading)
        return reading

    async def close(self) -> None:
        await asyncio.gather(
            *(reading.close() for reading in self._readings),
            *(producer.close() for producer in self._producers.values()),
        )


@pytest.fixture(scope="module")
async def hubs(connection_string: str) -> AsyncIterator[Hubs]:
    hubs = Hubs(connection_string)
    yield hubs
    await hubs.close()


@dataclass(frozen=True)
class Sent:
    """What is in the hubs, and readers that began at its start."""

    first_time: datetime  # after "b" and before "c"
    before: dict[str, Any]  # the properties of partition 0 when it was empty
    refused: Sequence[BaseException | None]  # sending to a partition and to a hub that do not exist
    told: Reading
    many: Reading
    keyed: Reading
    even: Reading
    at_end: Reading
    thieves_victim: Reading


def telling_event() -> EventData:
    event = EventData("Grüße")
    event.properties = {"type": "telemetry", "count": 3}
    event.content_type, event.message_id = "application/json", "m-1"
    event.raw_amqp_message.annotations = {
        "iothub-connection-device-id": "car-1",
        "iothub-enqueuedtime": "2026-01-01T00:00:00Z",
    }
    return event


@pytest.fixture(scope="module")
async def sent(hubs: Hubs) -> Sent:
    async def fill_readable() -> tuple[datetime, dict[str, Any]]:
        before = await hubs.producer("readable").get_partition_properties("0")
        await hubs.send("readable", telling_event(), "a", "b", partition_id="0")
        await asyncio.sleep(0.01)
        between = datetime.now(UTC)
        await asyncio.sleep(0.01)
        await hubs.send("readable", "c", partition_id="0")
        for start in range(0, MANY, 250):
            numbers = map(str, range(start, start + 250))
            await hubs.send("readable", *numbers, partition_id="1")
        return between, before

    async def fill_keyed() -> None:
        await hubs.send("keyed", "a", "b", partition_key="car-1")
        await hubs.producer("keyed").send_event(EventData("c"), partition_key="car-1")

    async def fill_even() -> None:
        for number in range(4):
            await hubs.send("even", str(number))

    async def fail() -> Sequence[BaseException | None]:
        return await asyncio.gather(
            hubs.send("even", "x", partition_id="7"), hubs.send("nowhere", "x"), return_exceptions=True
        )

    (between, before), refused, *_ = await asyncio.gather(
        fill_readable(), fail(), fill_keyed(), fill_even(), hubs.send("contested", "a", partition_id="0")
    )
    return Sent(
        between,
        before,
        refused,
        told=hubs.read("readable", track_last_enqueued_event_properties=True),
        many=hubs.read("readable", partition="1", prefetch=100),
        keyed=hubs.read("keyed", partition=None),
        even=hubs.read("even", partition=None),
        at_end=hubs.read("contested", "@latest", partition="1"),
        thieves_victim=hubs.read("contested", owner_level=1),
    )


def bodies(events: list[EventData]) -> list[str]:
    return [event.body_as_str() for event in events]


async def test_an_event_arrives_as_it_was_sent(sent: Sent) -> None:
    """With the annotations that an IoT Hub adds, and numbers of its place and time."""
    event = (await sent.told.got(1))[0]
    assert event.body_as_str() == "Grüße"
    assert event.properties == {b"type": b"telemetry", b"count": 3}
    assert (event.content_type, event.message_id) == ("application/json", "m-1")
    assert event.system_properties[b"iothub-connection-device-id"] == b"car-1"
    assert event.system_properties[b"iothub-enqueuedtime"] == b"2026-01-01T00:00:00Z"
    assert event.partition_key is None
    assert event.enqueued_time is not None
    assert abs((sent.first_time - event.enqueued_time).total_seconds()) < 60


async def test_events_with_one_key_stay_together_in_order(sent: Sent) -> None:
    """Whether in a batch or alone; the key is delivered too."""
    events = await sent.keyed.got(3)
    assert bodies(events) == ["a", "b", "c"]
    assert len({context.partition_id for context in sent.keyed.contexts}) == 1
    assert {event.partition_key for event in events} == {b"car-1"}


async def test_events_without_key_go_to_the_partitions_in_turn(sent: Sent) -> None:
    await sent.even.got(4)
    assert sorted(context.partition_id for context in sent.even.contexts) == ["0", "0", "1", "1"]


async def test_many_events_pass_in_order(sent: Sent) -> None:
    events = await sent.many.got(MANY)
    assert bodies(events) == [str(number) for number in range(MANY)]
    first = events[0].sequence_number or 0
    assert [event.sequence_number for event in events] == list(range(first, first + MANY))


async def test_a_reader_begins_where_it_is_told(hubs: Hubs, sent: Sent) -> None:
    """At an offset, a sequence number or a time, with or without the event there, in any consumer group."""
    anchor = (await sent.told.got(4))[1]
    readings = {
        "behind the offset": hubs.read("readable", anchor.offset),
        "from the offset": hubs.read("readable", anchor.offset, starting_position_inclusive=True),
        "behind the number": hubs.read("readable", anchor.sequence_number),
        "from the number": hubs.read("readable", anchor.sequence_number, "second", starting_position_inclusive=True),
        "from the time": hubs.read("readable", sent.first_time, "SECOND"),
    }
    expected = {
        "behind the offset": ["b", "c"],
        "from the offset": ["a", "b", "c"],
        "behind the number": ["b", "c"],
        "from the number": ["a", "b", "c"],
        "from the time": ["c"],
    }
    for name, reading in readings.items():
        assert bodies(await reading.got(len(expected[name]))) == expected[name], name


async def test_a_reader_at_the_end_sees_only_what_comes(hubs: Hubs, sent: Sent) -> None:
    await sent.thieves_victim.got(1)  # opened after the reader at the end, so that one is there too
    await hubs.send("contested", "new", partition_id="1")
    assert bodies(await sent.at_end.got(1)) == ["new"]


async def test_a_higher_epoch_takes_over(hubs: Hubs, sent: Sent) -> None:
    """The reader before is told so."""
    await sent.thieves_victim.got(1)
    thief = hubs.read("contested", owner_level=2)
    assert bodies(await thief.got(1)) == ["a"]
    error = await sent.thieves_victim.failed()
    assert isinstance(error, EventHubError)
    assert "epoch of '2'" in str(error)


async def test_properties_tell_of_the_hub_and_its_partitions(hubs: Hubs, sent: Sent) -> None:
    """An empty partition says so; a filled one tells its last event."""
    producer = hubs.producer("readable")
    missing = asyncio.create_task(producer.get_partition_properties("7"))
    hub, filled = await asyncio.gather(producer.get_eventhub_properties(), producer.get_partition_properties("0"))
    assert (hub["eventhub_name"], hub["partition_ids"]) == ("readable", ["0", "1"])
    assert sent.before["is_empty"]
    assert (sent.before["last_enqueued_sequence_number"], sent.before["last_enqueued_offset"]) == (-1, "-1")
    first, *_, last = await sent.told.got(4)
    assert not filled["is_empty"]
    assert filled["beginning_sequence_number"] == first.sequence_number
    assert filled["last_enqueued_sequence_number"] == last.sequence_number
    assert filled["last_enqueued_offset"] == last.offset
    assert filled["last_enqueued_time_utc"] == last.enqueued_time
    with pytest.raises(EventHubError):
        await missing


async def test_a_reader_can_follow_how_far_behind_it_is(sent: Sent) -> None:
    """Each event may come with the numbers of the partition's last one."""
    *_, last = await sent.told.got(4)
    known = sent.told.contexts[0].last_enqueued_event_properties
    assert known is not None
    assert (known["sequence_number"], known["offset"]) == (last.sequence_number, last.offset)
    assert known["enqueued_time"] == last.enqueued_time
    assert known["retrieval_time"] is not None


async def test_nothing_is_sent_to_a_partition_or_hub_that_does_not_exist(sent: Sent) -> None:
    assert all(isinstance(result, EventHubError) for result in sent.refused)
