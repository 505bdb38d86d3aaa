"""Topics and subscriptions through the unmodified azure-servicebus SDK."""

import asyncio
from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.broker.conftest import Handlers
from tests.broker.exchange import bodies, peek, receive, receive_one, send


async def test_every_subscription_gets_a_copy(client: ServiceBusClient, handlers: Handlers) -> None:
    """What one does with it does not touch the other's."""
    sender, first, second = await asyncio.gather(
        handlers.open(client.get_topic_sender("news")),
        handlers.open(client.get_subscription_receiver("news", "first")),
        handlers.open(client.get_subscription_receiver("NEWS", "Second")),
    )
    await send(sender, ServiceBusMessage("a", application_properties={"k": "v"}), "b")
    received = await receive(first, 2)
    for message in received:
        await first.complete_message(message)
    assert bodies(received) == ["a", "b"]
    assert await peek(first) == []
    copies = await receive(second, 2)
    assert bodies(copies) == ["a", "b"]
    assert copies[0].application_properties == {b"k": b"v"}
    assert [message.sequence_number for message in copies] == [1, 2]


async def test_a_message_for_later_reaches_all_subscriptions_when_due(
    client: ServiceBusClient, handlers: Handlers
) -> None:
    """And none before; what is cancelled reaches none."""
    sender, first, second = await asyncio.gather(
        handlers.open(client.get_topic_sender("later")),
        handlers.open(client.get_subscription_receiver("later", "first")),
        handlers.open(client.get_subscription_receiver("later", "second")),
    )
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("too")], due)
    dropped = await sender.schedule_messages(ServiceBusMessage("dropped"), due)
    await sender.cancel_scheduled_messages(dropped)
    assert await peek(first) == []
    for receiver in (first, second):
        assert bodies(await receive(receiver, 2)) == ["kept", "too"]
        assert datetime.now(UTC) >= due
        assert bodies(await peek(receiver)) == ["kept", "too"]


async def test_a_subscription_has_its_own_dead_letters(client: ServiceBusClient, handlers: Handlers) -> None:
    """Its delivery limit is its own; a duplicate was dropped by the topic before."""
    sender, receiver, dead_letters = await asyncio.gather(
        handlers.open(client.get_topic_sender("strict")),
        handlers.open(client.get_subscription_receiver("strict", "only")),
        handlers.open(client.get_subscription_receiver("strict", "only", sub_queue="deadletter")),
    )
    await send(sender, *(ServiceBusMessage(f"{number}", message_id="same") for number in range(2)))
    await receiver.abandon_message(await receive_one(receiver))
    message = await receive_one(dead_letters)
    assert (str(message), message.dead_letter_reason) == ("0", "MaxDeliveryCountExceeded")
    assert message.dead_letter_source == "strict/Subscriptions/only"
    assert await peek(receiver) == []
