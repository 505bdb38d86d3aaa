"""What time does to messages in a queue: expiry and the window of duplicate detection."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from tests.broker.conftest import Handlers
from tests.broker.exchange import bodies, peek, receive, receive_one, send

SECOND = timedelta(seconds=1)
EXPIRING, KEEPING, STRICT, HELD = "expiring", "expiring-to-dead-letters", "without-duplicates", "held"


@dataclass(frozen=True)
class Aged:
    """Queues in which something happened and then a little more than a second passed."""

    expiring: ServiceBusReceiver
    expired: ServiceBusReceiver
    keeping: ServiceBusReceiver
    kept: ServiceBusReceiver
    strict: ServiceBusReceiver
    holding: ServiceBusReceiver
    held: ServiceBusReceivedMessage


@pytest.fixture(scope="module")
async def aged(client: ServiceBusClient, handlers: Handlers) -> Aged:
    names = (EXPIRING, KEEPING, STRICT, HELD)
    opened = await asyncio.gather(
        asyncio.gather(*(handlers.open(client.get_queue_sender(name)) for name in names)),
        asyncio.gather(*(handlers.open(client.get_queue_receiver(name)) for name in names)),
        handlers.open(client.get_queue_receiver(EXPIRING, sub_queue="deadletter")),
        handlers.open(client.get_queue_receiver(KEEPING, sub_queue="deadletter")),
    )
    (to_expiring, to_keeping, to_strict, to_held), (expiring, keeping, strict, holding), expired, kept = opened
    await send(to_held, ServiceBusMessage("held", time_to_live=SECOND))
    held = await receive_one(holding)
    await send(to_expiring, ServiceBusMessage("by the queue", time_to_live=timedelta(hours=1)))
    await send(to_keeping, ServiceBusMessage("by itself", time_to_live=SECOND), "stays")
    await send(to_strict, *(ServiceBusMessage(str(number), message_id="same") for number in range(3)))
    await send(to_strict, ServiceBusMessage("other", message_id="other"))
    await asyncio.sleep(1.2)
    await send(to_strict, ServiceBusMessage("after the window", message_id="same"))
    return Aged(expiring, expired, keeping, kept, strict, holding, held)


async def test_a_message_expires_by_its_own_life_or_the_queues(aged: Aged) -> None:
    """The shorter one counts; what has none stays."""
    assert await peek(aged.expiring) == []
    assert bodies(await peek(aged.keeping)) == ["stays"]


async def test_expired_messages_are_dead_lettered_only_if_that_is_switched_on(aged: Aged) -> None:
    message = await receive_one(aged.kept)
    assert (str(message), message.dead_letter_reason) == ("by itself", "TTLExpiredException")
    assert await peek(aged.expired) == []


async def test_a_message_does_not_expire_in_a_consumers_hands(aged: Aged) -> None:
    """But it does when it comes back."""
    assert bodies(await peek(aged.holding)) == ["held"]
    await aged.holding.abandon_message(aged.held)
    assert await peek(aged.holding) == []


async def test_a_message_id_counts_once_within_the_window(aged: Aged) -> None:
    assert bodies(await receive(aged.strict, 3)) == ["0", "other", "after the window"]
