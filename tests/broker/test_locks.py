"""Locks, deferral, scheduling and peeking through the unmodified azure-servicebus SDK."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError

from tests.broker.conftest import Handlers, Station
from tests.broker.exchange import believe_in_lock, bodies, is_empty, peek, receive, receive_one, send


async def test_an_expired_lock_gives_the_message_back(short_lock: Station) -> None:
    """The late consumer cannot settle or renew it any more."""
    receiver = short_lock.receiver
    await send(short_lock.sender, "slow")
    late, again = await receive_one(receiver), await receive_one(receiver)
    assert (str(again), again.delivery_count) == ("slow", 1)
    believe_in_lock(late)
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(late)
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(late)
    await receiver.complete_message(again)


async def test_a_renewed_lock_holds_longer(short_lock: Station) -> None:
    receiver = short_lock.receiver
    await send(short_lock.sender, "long work")
    message = await receive_one(receiver)
    before = message.locked_until_utc
    await asyncio.sleep(0.6)
    after = await receiver.renew_message_lock(message)
    assert before is not None
    assert after > before
    assert await receiver.receive_messages(1, max_wait_time=0.6) == []
    await receiver.complete_message(message)
    assert await peek(receiver) == []


async def test_messages_of_a_closed_receiver_stay_locked(
    short_lock: Station, second_receiver: ServiceBusReceiver, handlers: Handlers
) -> None:
    """Until the lock expires, as in the service."""
    await send(short_lock.sender, "left behind")
    locked = await receive_one(second_receiver)
    handlers.close_soon(second_receiver)
    again = await receive_one(short_lock.receiver)
    assert again.delivery_count == 1
    assert locked.locked_until_utc is not None
    assert datetime.now(UTC) >= locked.locked_until_utc - timedelta(milliseconds=50)


async def test_prefetched_messages_are_released_uncounted(
    plain: Station, prefetching_receiver: ServiceBusReceiver, handlers: Handlers
) -> None:
    """When their receiver closes before anyone has seen them."""
    await send(plain.sender, "one", "two", "three")
    await prefetching_receiver.complete_message(await receive_one(prefetching_receiver))
    handlers.close_soon(prefetching_receiver)
    received = await receive(plain.receiver, 2)
    assert [(str(m), m.delivery_count) for m in received] == [("two", 0), ("three", 0)]


async def test_a_scheduled_message_comes_when_it_is_due(plain: Station) -> None:
    """It can be seen before, and gets a new sequence number."""
    due = datetime.now(UTC) + timedelta(seconds=0.7)
    messages = [ServiceBusMessage("later"), ServiceBusMessage("too")]
    sequence_numbers = await plain.sender.schedule_messages(messages, due)
    peeked = await peek(plain.receiver, 2)
    assert [message.state for message in peeked] == [ServiceBusMessageState.SCHEDULED] * 2
    received = await receive(plain.receiver, 2)
    assert datetime.now(UTC) >= due
    assert bodies(received) == ["later", "too"]
    assert min(message.sequence_number or 0 for message in received) > max(sequence_numbers)


async def test_a_message_can_be_scheduled_by_sending_it(plain: Station) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    await send(plain.sender, ServiceBusMessage("later", scheduled_enqueue_time_utc=due), "now")
    assert bodies(await receive(plain.receiver, 2)) == ["now", "later"]
    assert datetime.now(UTC) >= due


async def test_a_cancelled_scheduled_message_never_comes(plain: Station) -> None:
    """If one of several cannot be cancelled, none is."""
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    messages = [ServiceBusMessage("never"), ServiceBusMessage("ever")]
    numbers = await plain.sender.schedule_messages(messages, due)
    await plain.sender.cancel_scheduled_messages(numbers[0])
    with pytest.raises(MessageNotFoundError):
        await plain.sender.cancel_scheduled_messages(numbers)
    assert bodies(await receive(plain.receiver)) == ["ever"]
    assert await is_empty(plain.receiver)


async def test_a_deferred_message_comes_only_when_asked_for(plain: Station) -> None:
    receiver = plain.receiver
    await send(plain.sender, "put off", "next")
    first = await receive_one(receiver)
    await receiver.defer_message(first)
    assert bodies(await receive(receiver)) == ["next"]
    assert (await peek(receiver, 1))[0].state is ServiceBusMessageState.DEFERRED
    assert first.sequence_number is not None
    again = await receiver.receive_deferred_messages(first.sequence_number)
    assert bodies(again) == ["put off"]
    await receiver.renew_message_lock(again[0])
    await receiver.complete_message(again[0])
    with pytest.raises(MessageNotFoundError):
        await receiver.receive_deferred_messages(first.sequence_number)


async def test_a_deferred_message_can_be_settled_in_every_way(plain: Station, dead_letters: ServiceBusReceiver) -> None:
    """Until it is completed or dead-lettered it stays deferred; every attempt counts."""
    receiver = plain.receiver
    await send(plain.sender, "a", "b", "c")
    numbers = []
    for message in await receive(receiver, 3):
        await receiver.defer_message(message)
        numbers.append(message.sequence_number or 0)
    first, second, third = await receiver.receive_deferred_messages(numbers)
    assert [message.state.name for message in (first, second, third)] == ["DEFERRED"] * 3
    await receiver.defer_message(first)
    await receiver.abandon_message(second)
    await receiver.dead_letter_message(third, reason="late")
    peeked = [(str(message), message.state.name, message.delivery_count) for message in await peek(receiver, 5)]
    assert peeked == [("a", "DEFERRED", 2), ("b", "DEFERRED", 2)]
    dead = await receive_one(dead_letters)
    assert (dead.dead_letter_reason, dead.delivery_count) == ("late", 1)


async def test_deferred_messages_can_be_received_and_deleted(
    plain: Station, deleting_receiver: ServiceBusReceiver
) -> None:
    await send(plain.sender, "a")
    message = await receive_one(plain.receiver)
    await plain.receiver.defer_message(message)
    assert bodies(await deleting_receiver.receive_deferred_messages(message.sequence_number or 0)) == ["a"]
    assert await peek(plain.receiver) == []


async def test_peeking_takes_nothing(plain: Station) -> None:
    """It begins where it is told to and sees locked messages too."""
    receiver = plain.receiver
    await send(plain.sender, *"abcd")
    await receive(receiver)
    assert bodies(await receiver.peek_messages(2, sequence_number=1)) == ["a", "b"]
    assert bodies(await receiver.peek_messages(10, sequence_number=3)) == ["c", "d"]
    assert await receiver.peek_messages(1, sequence_number=5) == []
    assert bodies(await receive(receiver, 3)) == ["b", "c", "d"]
