"""Deferred messages stay where they are until somebody asks for them by number."""

from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.exceptions import MessageNotFoundError

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, DELETING, SECOND, entities, queue, session
from tests.conformance.servicebus.exchange import bodies, is_empty, peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

DEFERRAL = "azure/service-bus-messaging/message-deferral"
RETRIEVING = f"{DEFERRAL}#retrieving-deferred-messages"


async def _defer(station: Station) -> int:
    message = await receive_one(station.receiver)
    await station.receiver.defer_message(message)
    assert message.sequence_number is not None
    return message.sequence_number


@documented(DEFERRAL)
@entities(queue())
async def test_a_deferred_message_is_set_aside(station: Station) -> None:
    """Receivers get the next one."""
    await send(station.sender, "put off", "next")
    await _defer(station)
    assert bodies(await receive(station.receiver)) == ["next"]
    assert await is_empty(station.receiver)


@documented(DEFERRAL)
@entities(queue())
async def test_a_deferred_message_can_be_found_by_peeking(station: Station) -> None:
    """By an application that lost its number."""
    await send(station.sender, "put off")
    number = await _defer(station)
    found = (await peek(station.receiver))[0]
    assert (found.sequence_number, found.state) == (number, ServiceBusMessageState.DEFERRED)


@documented(RETRIEVING)
@entities(queue(SECOND))
async def test_any_receiver_that_knows_the_number_gets_a_deferred_message(station: Station) -> None:
    """Locked, and only once."""
    await send(station.sender, "put off")
    number = await _defer(station)
    again = await station[SECOND].receive_deferred_messages(number)
    assert bodies(again) == ["put off"]
    await station[SECOND].renew_message_lock(again[0])
    with pytest.raises(MessageNotFoundError):
        await station.receiver.receive_deferred_messages(number)
    await station[SECOND].complete_message(again[0])
    assert await peek(station.receiver) == []


@documented("azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception")
@entities(queue())
async def test_what_is_not_deferred_is_not_found(station: Station) -> None:
    """Neither a number that is not there nor a message that waits to be received."""
    await send(station.sender, "active")
    for number in (1, 77):
        with pytest.raises(MessageNotFoundError):
            await station.receiver.receive_deferred_messages(number)
    assert bodies(await receive(station.receiver)) == ["active"]


@documented(RETRIEVING)
@entities(queue(DEAD_LETTERS))
async def test_a_deferred_message_can_be_settled_in_every_way(station: Station) -> None:
    """Abandoned, it stays deferred: deferral is for good."""
    await send(station.sender, *"abcd")
    numbers = [await _defer(station) for _ in range(4)]
    first, second, third, fourth = await station.receiver.receive_deferred_messages(numbers)
    await station.receiver.defer_message(first)
    await station.receiver.abandon_message(second)
    await station.receiver.dead_letter_message(third, reason="late")
    await station.receiver.complete_message(fourth)
    peeked = [(str(message), message.state.name) for message in await peek(station.receiver, 5)]
    assert peeked == [("a", "DEFERRED"), ("b", "DEFERRED")]
    assert (await receive_one(station[DEAD_LETTERS])).dead_letter_reason == "late"


@documented(RETRIEVING)
@entities(queue(DELETING))
async def test_deferred_messages_can_be_received_and_deleted(station: Station) -> None:
    """Several at once."""
    await send(station.sender, "a", "b")
    numbers = [await _defer(station) for _ in range(2)]
    assert bodies(await station[DELETING].receive_deferred_messages(numbers)) == ["a", "b"]
    assert await peek(station.receiver) == []


@documented("azure/service-bus-messaging/service-bus-dead-letter-queues#time-to-live")
@entities(queue(DEAD_LETTERS, DeadLetteringOnMessageExpiration=True))
async def test_a_deferred_message_stays_after_it_has_expired(station: Station) -> None:
    """It is not dead-lettered then: that is by design."""
    await send(station.sender, ServiceBusMessage("put off", time_to_live=timedelta(seconds=1)))
    await _defer(station)
    assert await station[DEAD_LETTERS].receive_messages(1, max_wait_time=1.3) == []
    assert bodies(await peek(station.receiver)) == ["put off"]


@documented(DEFERRAL)
@entities(queue(session("s"), RequiresSession=True))
async def test_a_message_of_a_session_can_be_deferred(station: Station) -> None:
    """The receiver of the session gets it by its number."""
    receiver = station[session("s")]
    await station.sender.send_messages(ServiceBusMessage("put off", session_id="s"))
    message = await receive_one(receiver)
    await receiver.defer_message(message)
    again = await receiver.receive_deferred_messages(message.sequence_number or 0)
    assert bodies(again) == ["put off"]
    await receiver.complete_message(again[0])
    assert await peek(receiver) == []
