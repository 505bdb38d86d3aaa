"""Queues through the unmodified azure-servicebus SDK."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageSizeExceededError

from tests.broker.conftest import Handlers, Station
from tests.broker.exchange import bodies, is_empty, peek, receive, receive_one, send


def _plain_text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


async def test_a_message_arrives_as_it_was_sent(plain: Station) -> None:
    """Body, system properties and application properties of every kind pass through unchanged."""
    properties: dict[str | bytes, object] = {
        "text": "Grüße",
        "whole": -7,
        "real": 2.5,
        "yes": True,
        "id": UUID(int=7),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
    }
    sent = ServiceBusMessage(
        b"\x00body\xff",
        application_properties=dict(properties),  # type: ignore[arg-type] # object stands for what AMQP can encode
        message_id="m-1",
        correlation_id="c-1",
        subject="subject",
        content_type="application/json",
        to="there",
        reply_to="here",
    )
    await send(plain.sender, sent)
    message = await receive_one(plain.receiver)
    assert b"".join(message.body) == b"\x00body\xff"
    received = {_plain_text(key): _plain_text(value) for key, value in (message.application_properties or {}).items()}
    assert received == {**properties, "when": 1767312000000}
    assert (message.message_id, message.correlation_id, message.subject) == ("m-1", "c-1", "subject")
    assert (message.content_type, message.to, message.reply_to) == ("application/json", "there", "here")
    assert message.delivery_count == 0
    assert message.enqueued_time_utc is not None
    assert abs(message.enqueued_time_utc - datetime.now(UTC)) < timedelta(seconds=30)


async def test_a_message_without_id_gets_one(plain: Station) -> None:
    await send(plain.sender, "nameless")
    assert (await receive_one(plain.receiver)).message_id


async def test_annotations_of_the_producer_are_delivered(plain: Station) -> None:
    """Except those that the service writes: a message that is sent on gets its own."""
    message = ServiceBusMessage("annotated")
    message.raw_amqp_message.annotations = {"iothub-connection-device-id": "car-1", "x-opt-sequence-number": 99}
    await send(plain.sender, message)
    received = await receive_one(plain.receiver)
    annotations = received.raw_amqp_message.annotations or {}
    assert annotations[b"iothub-connection-device-id"] == b"car-1"
    assert received.sequence_number == 1


async def test_a_batch_is_unpacked_in_order(plain: Station) -> None:
    batch = await plain.sender.create_message_batch()
    for number in range(50):
        batch.add_message(ServiceBusMessage(str(number)))
    await plain.sender.send_messages(batch)
    received = await receive(plain.receiver, 50)
    assert bodies(received) == [str(number) for number in range(50)]
    assert [message.sequence_number for message in received] == list(range(1, 51))


async def test_a_waiting_receiver_gets_what_comes(plain: Station) -> None:
    waiting = asyncio.create_task(receive_one(plain.receiver))
    await asyncio.sleep(0.1)
    await send(plain.sender, "at last")
    assert str(await waiting) == "at last"


async def test_a_completed_message_is_gone(plain: Station) -> None:
    await send(plain.sender, "once")
    await plain.receiver.complete_message(await receive_one(plain.receiver))
    assert await peek(plain.receiver) == []


async def test_an_abandoned_message_comes_again_before_later_ones(plain: Station) -> None:
    """And its delivery counts."""
    await send(plain.sender, "first", "second")
    await plain.receiver.abandon_message(await receive_one(plain.receiver))
    again = await receive(plain.receiver, 2)
    assert [(str(m), m.delivery_count) for m in again] == [("first", 1), ("second", 0)]


async def test_a_dead_lettered_message_carries_its_reasons(plain: Station, dead_letters: ServiceBusReceiver) -> None:
    """It moves to the dead-letter queue with its own properties, where it can be completed."""
    await send(plain.sender, ServiceBusMessage("bad", application_properties={"kept": "yes"}))
    await plain.receiver.dead_letter_message(
        await receive_one(plain.receiver), reason="schema", error_description="no such field"
    )
    assert await peek(plain.receiver) == []
    message = await receive_one(dead_letters)
    assert (message.dead_letter_reason, message.dead_letter_error_description) == ("schema", "no such field")
    assert message.dead_letter_source == plain.queue
    assert (message.application_properties or {})[b"kept"] == b"yes"
    await dead_letters.complete_message(message)
    assert await peek(dead_letters) == []


async def test_a_message_that_was_delivered_too_often_is_dead_lettered(
    plain: Station, dead_letters: ServiceBusReceiver
) -> None:
    await send(plain.sender, "poison")
    for _ in range(3):
        await plain.receiver.abandon_message(await receive_one(plain.receiver))
    assert await is_empty(plain.receiver)
    assert (await receive_one(dead_letters)).dead_letter_reason == "MaxDeliveryCountExceeded"


async def test_receive_and_delete_leaves_nothing(plain: Station, deleting_receiver: ServiceBusReceiver) -> None:
    await send(plain.sender, "a", "b")
    assert bodies(await receive(deleting_receiver, 2)) == ["a", "b"]
    assert await peek(plain.receiver) == []


async def test_competing_receivers_share_the_messages(plain: Station, second_receiver: ServiceBusReceiver) -> None:
    """Each message goes to one of them."""
    await send(plain.sender, *(str(number) for number in range(10)))
    some, others = await asyncio.gather(receive(plain.receiver, 5), receive(second_receiver, 5))
    assert sorted(bodies(some + others)) == [str(number) for number in range(10)]


async def test_a_large_message_passes_in_one_piece(plain: Station) -> None:
    body = bytes(range(256)) * 4000
    await send(plain.sender, ServiceBusMessage(body))
    assert b"".join((await receive_one(plain.receiver)).body) == body


async def test_a_message_above_the_limit_is_refused(plain: Station) -> None:
    with pytest.raises(MessageSizeExceededError):
        await plain.sender.send_messages(ServiceBusMessage(bytes(1_100_000)))


async def test_names_are_found_in_any_case(plain: Station, client: ServiceBusClient, handlers: Handlers) -> None:
    sender = await handlers.open(client.get_queue_sender(plain.queue.upper()))
    await send(sender, "hello")
    assert bodies(await receive(plain.receiver)) == ["hello"]
