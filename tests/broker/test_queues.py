"""Queues through the unmodified azure-servicebus SDK."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageSizeExceededError, MessagingEntityNotFoundError

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


async def test_a_dead_lettered_message_carries_its_reasons(
    plain: Station, client: ServiceBusClient, handlers: Handlers
) -> None:
    """It moves to the dead-letter queue with its own properties, where it can be completed."""
    await send(plain.sender, ServiceBusMessage("bad", application_properties={"kept": "yes"}))
    await plain.receiver.dead_letter_message(
        await receive_one(plain.receiver), reason="schema", error_description="no such field"
    )
    assert await peek(plain.receiver) == []
    dead_letters = await handlers.open(client.get_queue_receiver(plain.queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER))
    message = await receive_one(dead_letters)
    assert (message.dead_letter_reason, message.dead_letter_error_description) == ("schema", "no such field")
    assert message.dead_letter_source == plain.queue
    assert (message.application_properties or {})[b"kept"] == b"yes"
    await dead_letters.complete_message(message)
    assert await peek(dead_letters) == []


async def test_a_message_that_was_delivered_too_often_is_dead_lettered(
    plain: Station, client: ServiceBusClient, handlers: Handlers
) -> None:
    await send(plain.sender, "poison")
    for _ in range(3):
        await plain.receiver.abandon_message(await receive_one(plain.receiver))
    assert await is_empty(plain.receiver)
    dead_letters = await handlers.open(client.get_queue_receiver(plain.queue, sub_queue="deadletter"))
    assert (await receive_one(dead_letters)).dead_letter_reason == "MaxDeliveryCountExceeded"


async def test_receive_and_delete_leaves_nothing(plain: Station, client: ServiceBusClient, handlers: Handlers) -> None:
    await send(plain.sender, "a", "b")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    receiver = await handlers.open(client.get_queue_receiver(plain.queue, receive_mode=mode))
    assert bodies(await receive(receiver, 2)) == ["a", "b"]
    assert await peek(receiver) == []


async def test_competing_receivers_share_the_messages(
    plain: Station, client: ServiceBusClient, handlers: Handlers
) -> None:
    """Each message goes to one of them."""
    second = await handlers.open(client.get_queue_receiver(plain.queue))
    await send(plain.sender, *(str(number) for number in range(10)))
    some, others = await asyncio.gather(receive(plain.receiver, 5), receive(second, 5))
    assert sorted(bodies(some + others)) == [str(number) for number in range(10)]


async def test_expired_messages_are_discarded_or_dead_lettered(
    plain: Station, client: ServiceBusClient, handlers: Handlers
) -> None:
    """By the message's own time to live or the queue's; into the dead-letter queue only if that is switched on."""
    keeping, brief = "expiring-to-dead-letters", timedelta(seconds=1)
    expiring_sender, keeping_sender, expiring, kept, expired, empty = await asyncio.gather(
        handlers.open(client.get_queue_sender("expiring")),
        handlers.open(client.get_queue_sender(keeping)),
        handlers.open(client.get_queue_receiver("expiring")),
        handlers.open(client.get_queue_receiver(keeping)),
        handlers.open(client.get_queue_receiver(keeping, sub_queue="deadletter")),
        handlers.open(client.get_queue_receiver("expiring", sub_queue="deadletter")),
    )
    await send(plain.sender, ServiceBusMessage("own", time_to_live=brief), "stays")
    await send(expiring_sender, ServiceBusMessage("the queue's", time_to_live=timedelta(hours=1)))
    await send(keeping_sender, ServiceBusMessage("kept", time_to_live=brief))
    await asyncio.sleep(1.2)
    assert bodies(await peek(plain.receiver, 2)) == ["stays"]
    assert await peek(expiring) == []
    assert await peek(empty) == []
    assert await peek(kept) == []
    message = await receive_one(expired)
    assert (str(message), message.dead_letter_reason) == ("kept", "TTLExpiredException")


async def test_a_message_does_not_expire_in_a_consumers_hands(plain: Station) -> None:
    """But it does when it comes back."""
    await send(plain.sender, ServiceBusMessage("held", time_to_live=timedelta(seconds=1)))
    message = await receive_one(plain.receiver)
    await asyncio.sleep(1.2)
    assert bodies(await peek(plain.receiver)) == ["held"]
    await plain.receiver.abandon_message(message)
    assert await peek(plain.receiver) == []


async def test_a_message_id_counts_once_within_the_window(client: ServiceBusClient, handlers: Handlers) -> None:
    name = "without-duplicates"
    sender, receiver = await asyncio.gather(
        handlers.open(client.get_queue_sender(name)), handlers.open(client.get_queue_receiver(name))
    )
    await send(sender, *(ServiceBusMessage(str(number), message_id="same") for number in range(3)))
    await send(sender, ServiceBusMessage("other", message_id="other"))
    await asyncio.sleep(1.1)
    await send(sender, ServiceBusMessage("after the window", message_id="same"))
    assert bodies(await receive(receiver, 3)) == ["0", "other", "after the window"]


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


async def test_an_entity_that_is_not_declared_is_not_found(client: ServiceBusClient) -> None:
    results = await asyncio.gather(
        client.get_queue_sender("nowhere").__aenter__(),
        client.get_queue_receiver("nowhere").__aenter__(),
        client.get_subscription_receiver("news", "nowhere").__aenter__(),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [MessagingEntityNotFoundError] * 3
