"""What an event carries from producer to consumer.

Through one flavour of the SDK: both encode and decode with the same code.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from azure.eventhub import EventData, amqp
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from tests.conformance.documented import documented
from tests.conformance.eventhubs.clients import Asyncio
from tests.conformance.eventhubs.hub import Hub, with_hub

_WITH_HUB = with_hub(partitions=2, flavours=(Asyncio.name,))
AMQP: Any = amqp  # parts of it have no type information

_EVENT = "python/api/azure-eventhub/azure.eventhub.eventdata"
_MESSAGE = "python/api/azure-eventhub/azure.eventhub.amqp.amqpannotatedmessage"
_PROTOCOL = "azure/service-bus-messaging/service-bus-amqp-protocol-guide"


async def passed(hub: Hub, *events: Any) -> list[EventData]:
    """The events as they arrive."""
    await hub.send(*events, partition_id="0")
    return await hub.read().got(len(events))


def body(event: EventData) -> Any:
    """As it was decoded; the SDK does not say more of its type."""
    return event.body


@documented(f"{_EVENT}#variables")
@_WITH_HUB
async def test_a_body_is_delivered_byte_for_byte(hub: Hub) -> None:
    """Text or binary, small, empty or larger than a frame."""
    large = bytes(range(256)) * 3600
    events = await passed(hub, "Grüße", EventData(b"\x00\xff"), EventData(b""))
    await hub.send(EventData(large), partition_id="0")
    assert [b"".join(body(event)) for event in events] == ["Grüße".encode(), b"\x00\xff", b""]
    assert b"".join(body((await hub.read().got(4))[3])) == large


@documented("azure/event-hubs/add-custom-data-event#net")
@_WITH_HUB
async def test_application_properties_keep_their_types(hub: Hub) -> None:
    """All that AMQP has for them."""
    event = EventData("a")
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    identifier = UUID("3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    event.properties = {
        "text": "é",
        "number": 3,
        "float": 1.5,
        "flag": True,
        "bytes": b"\x00",
        "id": identifier,
        "time": moment,
        "nothing": None,
    }
    properties = (await passed(hub, event))[0].properties
    assert properties == {
        b"text": "é".encode(),
        b"number": 3,
        b"float": 1.5,
        b"flag": True,
        b"bytes": b"\x00",
        b"id": identifier,
        b"time": int(moment.timestamp() * 1000),
        b"nothing": None,
    }


@documented(f"{_EVENT}#variables")
@_WITH_HUB
async def test_an_event_says_what_its_content_is_and_to_what_it_belongs(hub: Hub) -> None:
    """Content type, message id and correlation id."""
    event = EventData("a")
    event.content_type, event.message_id, event.correlation_id = "application/json", "m-1", "c-1"
    received = (await passed(hub, event))[0]
    assert (received.content_type, received.message_id, received.correlation_id) == ("application/json", "m-1", "c-1")


@documented("azure/event-hubs/event-hubs-features#read-events")
@_WITH_HUB
async def test_the_service_stamps_offset_number_and_time(hub: Hub) -> None:
    """As system properties, which the client also has by name. The offset is a text, the time is that of acceptance."""
    before = datetime.now(UTC)
    first, second = await passed(hub, "a", "b")
    for event in (first, second):
        assert set(event.system_properties) == {b"x-opt-sequence-number", b"x-opt-offset", b"x-opt-enqueued-time"}
        assert event.system_properties[b"x-opt-sequence-number"] == event.sequence_number
        assert event.enqueued_time is not None
        assert abs((event.enqueued_time - before).total_seconds()) < 60
    assert (second.sequence_number or 0) == (first.sequence_number or 0) + 1
    assert int(second.offset or "") > int(first.offset or "")


@documented("azure/iot-hub/iot-hub-devguide-messages-read-builtin")
@_WITH_HUB
async def test_annotations_of_the_sender_arrive_among_the_system_properties(hub: Hub) -> None:
    """So IoT Hub says which device a message is from."""
    event = EventData("a")
    event.raw_amqp_message.annotations = {"iothub-connection-device-id": "car-1", "x-mine": 7}
    received = (await passed(hub, event))[0]
    assert received.system_properties[b"iothub-connection-device-id"] == b"car-1"
    assert received.system_properties[b"x-mine"] == 7


@documented("azure/event-hubs/event-hubs-features#read-events")
@_WITH_HUB
async def test_what_the_service_stamps_cannot_be_forged(hub: Hub) -> None:
    """An event that brings such annotations gets new ones."""
    event = EventData("a")
    event.raw_amqp_message.annotations = {
        "x-opt-sequence-number": 4711,
        "x-opt-offset": "4711",
        "x-opt-enqueued-time": 4711,
    }
    received = (await passed(hub, event))[0]
    assert received.sequence_number == 0
    assert received.offset != "4711"
    assert received.enqueued_time is not None
    assert (datetime.now(UTC) - received.enqueued_time).total_seconds() < 60


@documented("azure/event-hubs/event-hubs-features#mapping-of-events-to-partitions")
@_WITH_HUB
async def test_an_event_without_key_is_delivered_without_one(hub: Hub) -> None:
    """Whether its partition was named or not."""
    await hub.send("in turn")
    assert [event.partition_key for event in await hub.read(partition=None).got(1)] == [None]


@documented(f"{_MESSAGE}#variables")
@_WITH_HUB
async def test_a_message_may_have_several_data_sections(hub: Hub) -> None:
    """They stay apart and in order."""
    event = (await passed(hub, AmqpAnnotatedMessage(data_body=[b"a", b"", b"bc"])))[0]
    assert event.body_type == AmqpMessageBodyType.DATA
    assert list(body(event)) == [b"a", b"", b"bc"]


@documented(f"{_MESSAGE}#variables")
@_WITH_HUB
async def test_a_message_may_have_a_sequence_as_its_body(hub: Hub) -> None:
    """Lists of values with their types."""
    event = (await passed(hub, AmqpAnnotatedMessage(sequence_body=[[1, "two", None], [3.5, True]])))[0]
    assert event.body_type == AmqpMessageBodyType.SEQUENCE
    assert list(body(event)) == [[1, b"two", None], [3.5, True]]


@documented(f"{_MESSAGE}#variables")
@_WITH_HUB
async def test_a_message_may_have_a_value_as_its_body(hub: Hub) -> None:
    """Of any type, also nested."""
    event = (await passed(hub, AmqpAnnotatedMessage(value_body={"speed": 50, "doors": ["left", "right"]})))[0]
    assert event.body_type == AmqpMessageBodyType.VALUE
    assert body(event) == {b"speed": 50, b"doors": [b"left", b"right"]}


@documented(f"{_PROTOCOL}#messages")
@_WITH_HUB
async def test_header_and_properties_of_a_message_pass_through(hub: Hub) -> None:
    """The service acts on none of them, not even on the time to live."""
    sent = AmqpAnnotatedMessage(
        data_body=b"a",
        header=AMQP.AmqpMessageHeader(durable=True, priority=7, time_to_live=60_000),
        properties=AMQP.AmqpMessageProperties(
            message_id="m-1", subject="news", reply_to="me", content_encoding="gzip", group_id="g", group_sequence=4
        ),
        footer={"checksum": 17},
    )
    message = (await passed(hub, sent))[0].raw_amqp_message
    assert message.header is not None
    assert (message.header.durable, message.header.priority, message.header.time_to_live) == (True, 7, 60_000)
    assert message.properties is not None
    assert (message.properties.message_id, message.properties.subject) == (b"m-1", b"news")
    assert (message.properties.reply_to, message.properties.content_encoding) == (b"me", b"gzip")
    assert (message.properties.group_id, message.properties.group_sequence) == (b"g", 4)
    assert message.footer == {b"checksum": 17}


@documented(f"{_MESSAGE}#variables")
@_WITH_HUB
async def test_the_messages_of_a_batch_keep_what_is_theirs(hub: Hub) -> None:
    """Annotations, properties and bodies of different kinds side by side."""
    messages = [
        AmqpAnnotatedMessage(value_body=number, annotations={"x-n": number}, application_properties={"n": number})
        for number in (1, 2, 3)
    ]
    events = await passed(hub, *messages, AmqpAnnotatedMessage(data_body=b"data"))
    assert [body(event) for event in events[:3]] == [1, 2, 3]
    assert [event.properties for event in events] == [{b"n": 1}, {b"n": 2}, {b"n": 3}, {}]
    assert [event.system_properties.get(b"x-n") for event in events] == [1, 2, 3, None]
