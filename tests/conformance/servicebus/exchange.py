"""Sending and receiving through azure-servicebus, as the tests here need it."""

from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver, ServiceBusSender

WAIT_S = 10.0  # for messages that will come
EMPTY_S = 0.3  # for messages that must not


def soon() -> datetime:
    """A moment to schedule for, late enough for what a test has to do before it on a busy machine.

    To the millisecond: AMQP has no finer times, and what it cuts off would be early.
    """
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000) + timedelta(seconds=1.5)


async def send(sender: ServiceBusSender, *messages: ServiceBusMessage | str) -> None:
    """All of them in one batch."""
    await sender.send_messages([ServiceBusMessage(m) if isinstance(m, str) else m for m in messages])


async def receive(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Exactly so many messages."""
    received: list[ServiceBusReceivedMessage] = []
    while len(received) < count:
        some = await receiver.receive_messages(count - len(received), max_wait_time=WAIT_S)
        assert some, f"{len(received)} of {count} messages came"
        received += some
    return received


async def receive_one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    return (await receive(receiver))[0]


async def peek(receiver: ServiceBusReceiver, count: int = 10) -> list[ServiceBusReceivedMessage]:
    """All messages from the first on, in whatever state."""
    return await receiver.peek_messages(count, sequence_number=1)


async def is_empty(receiver: ServiceBusReceiver) -> bool:
    return not await receiver.receive_messages(1, max_wait_time=EMPTY_S)


def bodies(messages: list[ServiceBusReceivedMessage]) -> list[str]:
    return [str(message) for message in messages]


def believe_in_lock(message: ServiceBusReceivedMessage) -> None:
    """Makes the SDK ask the broker about a lock instead of its own clock."""
    message._expiry = datetime.now(UTC) + timedelta(hours=1)
