"""Messages arrive as they were sent, with what the service writes on them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType, AmqpMessageHeader, AmqpMessageProperties

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, DELETING, entities, queue
from tests.conformance.servicebus.exchange import peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

PAYLOADS = "azure/service-bus-messaging/service-bus-messages-payloads"
AMQP = "azure/service-bus-messaging/service-bus-amqp-protocol-guide"


def _plain_text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


@documented(f"{PAYLOADS}#payload-serialization")
@entities(queue())
async def test_a_payload_is_opaque_to_the_service(station: Station) -> None:
    """Any bytes come back as they were."""
    body = bytes(range(256))
    await send(station.sender, ServiceBusMessage(body))
    assert b"".join((await receive_one(station.receiver)).body) == body


@documented(f"{PAYLOADS}#payload-serialization")
@entities(queue())
async def test_a_message_may_be_all_properties_and_no_payload(station: Station) -> None:
    """Metadata alone can be what the sender wants to say."""
    await send(station.sender, ServiceBusMessage(None, application_properties={"said": "all"}))
    received = await receive_one(station.receiver)
    assert received.body is None
    assert received.application_properties == {b"said": b"all"}


@documented(PAYLOADS)
@entities(queue())
async def test_broker_properties_pass_from_sender_to_receiver(station: Station) -> None:
    """Each of those that an application may set."""
    given = {
        "message_id": "m-1",
        "correlation_id": "c-1",
        "subject": "subject",
        "content_type": "application/json",
        "to": "there",
        "reply_to": "here",
        "reply_to_session_id": "s-2",
        "partition_key": "key",
        "session_id": "ignored where there are no sessions",
    }
    given["partition_key"] = given["session_id"]
    await send(station.sender, ServiceBusMessage("body", **given))  # type: ignore[arg-type] # texts, all of them
    received = await receive_one(station.receiver)
    assert {name: getattr(received, name) for name in given} == given


@documented(f"{PAYLOADS}#payload-serialization")
@entities(queue())
async def test_user_properties_keep_their_types(station: Station) -> None:
    """Of every AMQP type that the SDK can send."""
    properties: dict[str | bytes, object] = {
        "text": "Grüße",
        "whole": -7,
        "large": 2**31 - 1,
        "real": 2.5,
        "yes": True,
        "no": False,
        "nothing": None,
        "id": UUID(int=7),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
    }
    message = ServiceBusMessage("x", application_properties=dict(properties))  # type: ignore[arg-type] # as above
    await send(station.sender, message)
    received = (await receive_one(station.receiver)).application_properties or {}
    expected = {**properties, "text": "Grüße".encode(), "when": 1767312000000}
    assert {_plain_text(key): value for key, value in received.items()} == expected


@documented(f"{AMQP}#message-annotations")
@entities(queue())
async def test_annotations_of_the_producer_are_delivered_except_the_services_own(station: Station) -> None:
    """A message that was received and is sent on gets a sequence number of its own."""
    message = ServiceBusMessage("annotated")
    message.raw_amqp_message.annotations = {"iothub-connection-device-id": "car-1", "x-opt-sequence-number": 99}
    await send(station.sender, message)
    received = await receive_one(station.receiver)
    annotations = received.raw_amqp_message.annotations or {}
    assert annotations[b"iothub-connection-device-id"] == b"car-1"
    assert received.sequence_number == 1


@documented("python/api/azure-servicebus/azure.servicebus.amqp.amqpannotatedmessage")
@entities(queue())
async def test_a_body_may_be_several_data_sections(station: Station) -> None:
    """They come back apart."""
    await station.sender.send_messages(AmqpAnnotatedMessage(data_body=[b"one", b"two"]))
    received = await receive_one(station.receiver)
    assert received.body_type is AmqpMessageBodyType.DATA
    assert list(received.body) == [b"one", b"two"]


@documented("python/api/azure-servicebus/azure.servicebus.amqp.amqpannotatedmessage")
@entities(queue())
async def test_a_body_may_be_a_sequence(station: Station) -> None:
    """Of values of several types."""
    await station.sender.send_messages(AmqpAnnotatedMessage(sequence_body=[1, b"two", True, None]))
    received = await receive_one(station.receiver)
    assert received.body_type is AmqpMessageBodyType.SEQUENCE
    assert list(received.body) == [[1, b"two", True, None]]


@documented("python/api/azure-servicebus/azure.servicebus.amqp.amqpannotatedmessage")
@entities(queue())
@pytest.mark.parametrize("value", [7, b"bytes", {b"key": [1, 2]}, None], ids=["number", "binary", "map", "null"])
async def test_a_body_may_be_one_value(station: Station, value: object) -> None:
    """Of any type, a map too."""
    await station.sender.send_messages(AmqpAnnotatedMessage(value_body=value))
    received = await receive_one(station.receiver)
    assert received.body_type is AmqpMessageBodyType.VALUE
    assert received.body == value


@documented("python/api/azure-servicebus/azure.servicebus.amqp.amqpannotatedmessage")
@entities(queue())
async def test_header_properties_and_footer_of_amqp_pass_through(station: Station) -> None:
    """Those too for which Service Bus has no name; the count of deliveries is the service's own."""
    await station.sender.send_messages(
        AmqpAnnotatedMessage(
            data_body=b"x",
            header=AmqpMessageHeader(priority=7, durable=True, delivery_count=5),
            properties=AmqpMessageProperties(user_id=b"me", content_encoding="gzip", group_sequence=3),
            footer={"checked": 1},
        )
    )
    raw = (await receive_one(station.receiver)).raw_amqp_message
    assert raw.header is not None
    assert (raw.header.priority, raw.header.durable, raw.header.delivery_count) == (7, True, 0)
    assert raw.properties is not None
    assert (raw.properties.user_id, raw.properties.content_encoding, raw.properties.group_sequence) == (
        b"me",
        b"gzip",
        3,
    )
    assert raw.footer == {b"checked": 1}


@documented(
    "python/api/azure-servicebus/azure.servicebus.servicebusmessage#azure-servicebus-servicebusmessage-message-id"
)
@entities(queue())
async def test_a_message_without_id_gets_one(station: Station) -> None:
    """No two get the same."""
    await send(station.sender, "nameless", "too")
    first, second = await receive(station.receiver, 2)
    assert first.message_id
    assert first.message_id != second.message_id


@documented("azure/service-bus-messaging/message-sequencing")
@entities(queue())
async def test_sequence_numbers_are_gapless_and_increase(station: Station) -> None:
    """In the order of arrival."""
    await send(station.sender, "a", "b")
    await send(station.sender, "c")
    assert [message.sequence_number for message in await receive(station.receiver, 3)] == [1, 2, 3]


@documented("azure/service-bus-messaging/message-sequencing")
@entities(queue())
async def test_the_time_of_arrival_is_the_services(station: Station) -> None:
    """In UTC, and the same for everyone who looks."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    await send(station.sender, "now")
    received = await receive_one(station.receiver)
    assert received.enqueued_time_utc is not None
    assert before <= received.enqueued_time_utc <= datetime.now(UTC)
    assert (await peek(station.receiver))[0].enqueued_time_utc == received.enqueued_time_utc


@documented(PAYLOADS)
@entities(queue())
async def test_a_message_that_expires_says_when(station: Station) -> None:
    """At its time of arrival and its time to live."""
    await send(station.sender, ServiceBusMessage("x", time_to_live=timedelta(hours=1)))
    received = await receive_one(station.receiver)
    assert received.time_to_live == timedelta(hours=1)
    assert received.enqueued_time_utc is not None
    assert received.expires_at_utc == received.enqueued_time_utc + timedelta(hours=1)


@documented(PAYLOADS)
@entities(queue(DELETING))
async def test_only_a_locked_message_has_a_lock(station: Station) -> None:
    """One that was received and deleted has neither a token nor a time until which it is locked."""
    await send(station.sender, "locked")
    locked = await receive_one(station.receiver)
    assert locked.lock_token is not None
    assert locked.locked_until_utc is not None
    assert locked.locked_until_utc > datetime.now(UTC)
    await send(station.sender, "deleted")
    deleted = await receive_one(station[DELETING])
    assert (deleted.lock_token, deleted.locked_until_utc) == (None, None)


@documented(PAYLOADS)
@entities(queue(DEAD_LETTERS))
async def test_the_source_is_named_only_by_forwarded_dead_letters(station: Station) -> None:
    """In the dead-letter queue itself it would say nothing new."""
    await send(station.sender, "bad")
    await station.receiver.dead_letter_message(await receive_one(station.receiver))
    assert (await receive_one(station[DEAD_LETTERS])).dead_letter_source is None
