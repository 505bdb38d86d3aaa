"""Topics and subscriptions through the unmodified azure-servicebus SDK."""

import asyncio
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from tests.broker.conftest import Handlers
from tests.broker.exchange import bodies, peek, receive, receive_one, send


@dataclass(frozen=True)
class Opened:
    """A sender for each topic and a receiver for each of its subscriptions."""

    to_news: ServiceBusSender
    to_later: ServiceBusSender
    to_strict: ServiceBusSender
    news_first: ServiceBusReceiver
    news_second: ServiceBusReceiver
    later_first: ServiceBusReceiver
    later_second: ServiceBusReceiver
    strict_only: ServiceBusReceiver
    strict_dead_letters: ServiceBusReceiver


@pytest.fixture(scope="module")
async def opened(client: ServiceBusClient, handlers: Handlers) -> Opened:
    opened = Opened(
        client.get_topic_sender("news"),
        client.get_topic_sender("later"),
        client.get_topic_sender("strict"),
        client.get_subscription_receiver("news", "first"),
        client.get_subscription_receiver("NEWS", "Second"),
        client.get_subscription_receiver("later", "first"),
        client.get_subscription_receiver("later", "second"),
        client.get_subscription_receiver("strict", "only"),
        client.get_subscription_receiver("strict", "only", sub_queue="deadletter"),
    )
    await asyncio.gather(*(handlers.open(getattr(opened, field.name)) for field in fields(opened)))
    return opened


async def test_every_subscription_gets_a_copy(opened: Opened) -> None:
    """What one does with it does not touch the other's."""
    sender, first, second = opened.to_news, opened.news_first, opened.news_second
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


async def test_a_message_for_later_reaches_all_subscriptions_when_due(opened: Opened) -> None:
    """And none before; what is cancelled reaches none."""
    sender, first, second = opened.to_later, opened.later_first, opened.later_second
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("too")], due)
    dropped = await sender.schedule_messages(ServiceBusMessage("dropped"), due)
    await sender.cancel_scheduled_messages(dropped)
    assert await peek(first) == []
    for receiver in (first, second):
        assert bodies(await receive(receiver, 2)) == ["kept", "too"]
        assert datetime.now(UTC) >= due
        assert bodies(await peek(receiver)) == ["kept", "too"]


async def test_a_subscription_has_its_own_dead_letters(opened: Opened) -> None:
    """Its delivery limit is its own; a duplicate was dropped by the topic before."""
    sender, receiver, dead_letters = opened.to_strict, opened.strict_only, opened.strict_dead_letters
    await send(sender, *(ServiceBusMessage(f"{number}", message_id="same") for number in range(2)))
    await receiver.abandon_message(await receive_one(receiver))
    message = await receive_one(dead_letters)
    assert (str(message), message.dead_letter_reason) == ("0", "MaxDeliveryCountExceeded")
    assert message.dead_letter_source == "strict/Subscriptions/only"
    assert await peek(receiver) == []
