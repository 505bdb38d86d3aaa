"""Queues with sessions through the unmodified azure-servicebus SDK."""

import asyncio
from itertools import count

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.broker.conftest import Handlers
from tests.broker.exchange import bodies, receive, receive_one

QUEUE, SHORT = "sessions", "short-sessions"
_numbers = count()


@pytest.fixture
def session_id() -> str:
    return f"session-{next(_numbers)}"


@pytest.fixture(scope="module")
async def sender(client: ServiceBusClient, handlers: Handlers) -> ServiceBusSender:
    return await handlers.open(client.get_queue_sender(QUEUE))


async def send(sender: ServiceBusSender, session_id: str, *bodies: str) -> None:
    await sender.send_messages([ServiceBusMessage(body, session_id=session_id) for body in bodies])


async def drain(receiver: ServiceBusReceiver, messages: int) -> None:
    for message in await receive(receiver, messages):
        await receiver.complete_message(message)


async def test_a_session_is_read_in_order_by_one_receiver(
    client: ServiceBusClient, handlers: Handlers, sender: ServiceBusSender, session_id: str
) -> None:
    """Without the messages of other sessions; when it closes, the next one gets what is left, uncounted."""
    await send(sender, "other", "x")
    await send(sender, session_id, "a", "b", "c")
    first = await handlers.open(client.get_queue_receiver(QUEUE, session_id=session_id))
    received = await receive(first, 3)
    assert bodies(received) == ["a", "b", "c"]
    assert {message.session_id for message in received} == {session_id}
    with pytest.raises(SessionCannotBeLockedError):
        await client.get_queue_receiver(QUEUE, session_id=session_id).__aenter__()
    await first.complete_message(received[0])
    handlers.close_soon(first)
    second, others = await asyncio.gather(
        handlers.open(client.get_queue_receiver(QUEUE, session_id=session_id)),
        handlers.open(client.get_queue_receiver(QUEUE, session_id="other")),
    )
    again = await receive(second, 2)
    assert [(str(m), m.delivery_count) for m in again] == [("b", 0), ("c", 0)]
    for message in again:
        await second.complete_message(message)
    await drain(others, 1)


async def test_the_next_session_is_the_one_with_messages(
    client: ServiceBusClient, handlers: Handlers, sender: ServiceBusSender, session_id: str
) -> None:
    """A receiver that waits for one gets it as soon as there is a message, or is told when its time is over."""
    impatient = client.get_queue_receiver(SHORT, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1)
    giving_up = asyncio.create_task(impatient.__aenter__())
    receiver = client.get_queue_receiver(QUEUE, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10)
    opening = asyncio.create_task(handlers.open(receiver))
    with pytest.raises(OperationTimeoutError):
        await giving_up
    assert not opening.done()
    await send(sender, session_id, "at last")
    await opening
    assert receiver.session.session_id == session_id
    await drain(receiver, 1)


async def test_a_session_keeps_its_state(
    client: ServiceBusClient, handlers: Handlers, sender: ServiceBusSender, session_id: str
) -> None:
    """From one receiver to the next, and after its messages are gone."""
    await send(sender, session_id, "a")
    first = await handlers.open(client.get_queue_receiver(QUEUE, session_id=session_id))
    assert await first.session.get_state() is None
    await first.session.set_state(b"half way")
    await drain(first, 1)
    handlers.close_soon(first)
    second = await handlers.open(client.get_queue_receiver(QUEUE, session_id=session_id))
    assert await second.session.get_state() == b"half way"


async def test_an_expired_session_is_lost_to_its_receiver(
    client: ServiceBusClient, handlers: Handlers, session_id: str
) -> None:
    """A renewed one is not; what was not completed goes to the next receiver, as delivered in vain."""
    sender = await handlers.open(client.get_queue_sender(SHORT))
    await send(sender, session_id, "a", "b")
    receiver = await handlers.open(client.get_queue_receiver(SHORT, session_id=session_id))
    before = receiver.session.locked_until_utc
    assert before is not None
    await asyncio.sleep(0.1)
    assert await receiver.session.renew_lock() > before
    first, _ = await receive(receiver, 2)
    await receiver.complete_message(first)
    waiting = client.get_queue_receiver(SHORT, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10)
    await handlers.open(waiting)
    again = await receive_one(waiting)
    assert (str(again), again.delivery_count) == ("b", 1)
    with pytest.raises(SessionLockLostError):
        await receiver.receive_messages(1, max_wait_time=1)


async def test_a_message_without_session_is_refused(sender: ServiceBusSender) -> None:
    with pytest.raises(ServiceBusError, match="requires a session id"):
        await sender.send_messages(ServiceBusMessage("lost"))
