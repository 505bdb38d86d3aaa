"""Locks of messages: how long they hold, who has them and what happens when they are lost."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus.exceptions import MessageLockLostError

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, SECOND, entities, queue
from tests.conformance.servicebus.exchange import believe_in_lock, is_empty, peek, receive_one, send
from tests.conformance.servicebus.flavours import new_lock_renewer
from tests.conformance.servicebus.stations import Station

PEEK_LOCK = "azure/service-bus-messaging/message-transfers-locks-settlement#peeklock"
RENEWER = "python/api/azure-servicebus/azure.servicebus.aio.autolockrenewer"
LOCK_LOST = "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#reason-messagelocklost"


@documented(PEEK_LOCK)
@entities(queue(LockDuration="PT20S"))
async def test_a_lock_holds_as_long_as_the_queue_says(station: Station) -> None:
    """From the delivery on."""
    await send(station.sender, "x")
    before = datetime.now(UTC)
    message = await receive_one(station.receiver)
    assert message.locked_until_utc is not None
    held = message.locked_until_utc - before
    assert timedelta(seconds=19) < held < timedelta(seconds=25)


@documented(LOCK_LOST)
@entities(queue(LockDuration="PT2S"))
async def test_a_late_receiver_has_lost_its_lock(station: Station) -> None:
    """It can neither settle nor renew; the message comes again and its delivery counts."""
    receiver = station.receiver
    await send(station.sender, "slow")
    late, again = await receive_one(receiver), await receive_one(receiver)
    assert (str(again), again.delivery_count) == ("slow", 1)
    believe_in_lock(late)
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(late)
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(late)
    await receiver.complete_message(again)
    assert await peek(receiver) == []


@documented(LOCK_LOST)
@entities(queue(LockDuration="PT1S"))
async def test_the_sdk_knows_when_a_lock_has_expired(station: Station) -> None:
    """Without asking."""
    await send(station.sender, "slow")
    message = await receive_one(station.receiver)
    await asyncio.sleep(1.1)
    with pytest.raises(MessageLockLostError):
        await station.receiver.complete_message(message)


@documented("azure/service-bus-messaging/message-transfers-locks-settlement#renew-locks")
@entities(queue(LockDuration="PT2S"))
async def test_a_renewed_lock_holds_longer(station: Station) -> None:
    """For as long again as the queue says, from then on."""
    receiver = station.receiver
    await send(station.sender, "long work")
    message = await receive_one(receiver)
    before = message.locked_until_utc
    await asyncio.sleep(1.2)
    after = await receiver.renew_message_lock(message)
    assert before is not None
    assert after > before
    assert message.locked_until_utc == after
    assert await receiver.receive_messages(1, max_wait_time=1.2) == []
    await receiver.complete_message(message)
    assert await peek(receiver) == []


@documented(RENEWER)
@entities(plain=queue(SECOND, LockDuration="PT3S"), sessions=queue(RequiresSession=True, LockDuration="PT3S"))
async def test_a_renewer_holds_locks_in_the_background(stations: Mapping[str, Station], flavour: str) -> None:
    """Of a message until it is settled, and of a session, beyond the time that their queue gives them."""
    plain, session_receiver = stations["plain"], await stations["sessions"].open(session_id="s")
    renewer = new_lock_renewer(flavour)
    await send(plain.sender, "very long work")
    message = await receive_one(plain.receiver)
    for receiver, locked in ((plain.receiver, message), (session_receiver, session_receiver.session)):
        renewer.register(receiver, locked, max_lock_renewal_duration=30)
    assert await plain[SECOND].receive_messages(1, max_wait_time=3.5) == []
    await plain.receiver.complete_message(message)
    assert await peek(plain.receiver) == []
    await session_receiver.session.set_state(b"still mine")
    await renewer.close()


@documented(PEEK_LOCK)
@entities(queue(SECOND, LockDuration="PT1S"))
async def test_messages_of_a_closed_receiver_stay_locked(station: Station) -> None:
    """Until the lock expires."""
    await send(station.sender, "left behind")
    locked = await receive_one(station[SECOND])
    station.handlers.close_soon(station[SECOND])
    again = await receive_one(station.receiver)
    assert again.delivery_count == 1
    assert locked.locked_until_utc is not None
    assert datetime.now(UTC) >= locked.locked_until_utc - timedelta(milliseconds=50)


@documented("azure/service-bus-messaging/service-bus-dead-letter-queues#maximum-delivery-count")
@entities(queue(DEAD_LETTERS, LockDuration="PT1S", MaxDeliveryCount=1))
async def test_an_expired_lock_counts_as_a_delivery(station: Station) -> None:
    """As an abandoned message does: too many of them and the message is dead-lettered."""
    await send(station.sender, "slow")
    await receive_one(station.receiver)
    dead = await receive_one(station[DEAD_LETTERS])
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert await is_empty(station.receiver)


@documented(PEEK_LOCK)
@entities(queue(DEAD_LETTERS, LockDuration="PT1S"))
async def test_locks_of_dead_letters_expire_too(station: Station) -> None:
    """And however often, a dead letter stays one."""
    dead_letters = station[DEAD_LETTERS]
    await send(station.sender, "bad")
    await station.receiver.dead_letter_message(await receive_one(station.receiver))
    await receive_one(dead_letters)
    again = await receive_one(dead_letters)
    assert again.delivery_count == 1
    await dead_letters.complete_message(again)
