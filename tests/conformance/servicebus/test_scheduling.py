"""Scheduled messages enter their queue or topic when they are due."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.exceptions import MessageNotFoundError

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import entities, queue, subscription, topic
from tests.conformance.servicebus.exchange import bodies, is_empty, peek, receive, receive_one, send, soon
from tests.conformance.servicebus.stations import Station

SCHEDULED = "azure/service-bus-messaging/message-sequencing#scheduled-messages"


@documented(SCHEDULED)
@entities(queue())
async def test_a_scheduled_message_comes_when_it_is_due(station: Station) -> None:
    """Not before."""
    due = soon()
    await station.sender.schedule_messages(ServiceBusMessage("later"), due)
    assert str(await receive_one(station.receiver)) == "later"
    assert datetime.now(UTC) >= due


@documented(SCHEDULED)
@entities(queue())
async def test_a_scheduled_message_can_be_seen_before_it_is_due(station: Station) -> None:
    """By its state and the number that its sender got."""
    messages = [ServiceBusMessage("later"), ServiceBusMessage("too")]
    numbers = await station.sender.schedule_messages(messages, datetime.now(UTC) + timedelta(hours=1))
    peeked = await peek(station.receiver)
    assert [message.state for message in peeked] == [ServiceBusMessageState.SCHEDULED] * 2
    assert [message.sequence_number for message in peeked] == list(numbers)
    assert await is_empty(station.receiver)


@documented(SCHEDULED)
@entities(queue())
async def test_a_message_that_comes_due_gets_a_new_sequence_number(station: Station) -> None:
    """As if it had been sent then; its sender's number is good for nothing any more."""
    numbers = await station.sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], soon())
    await send(station.sender, "now")
    received = await receive(station.receiver, 3)
    assert bodies(received) == ["now", "a", "b"]
    assert [message.sequence_number for message in received] == [3, 4, 5]
    with pytest.raises(MessageNotFoundError):
        await station.sender.cancel_scheduled_messages(numbers)


@documented(SCHEDULED)
@entities(queue())
async def test_a_message_can_be_scheduled_by_sending_it(station: Station) -> None:
    """With the time on it."""
    due = soon()
    await send(station.sender, ServiceBusMessage("later", scheduled_enqueue_time_utc=due), "now")
    now, later = await receive(station.receiver, 2)
    assert bodies([now, later]) == ["now", "later"]
    assert datetime.now(UTC) >= due
    assert later.scheduled_enqueue_time_utc is not None
    assert abs(later.scheduled_enqueue_time_utc - due) < timedelta(milliseconds=2)


@documented(SCHEDULED)
@entities(queue())
async def test_what_is_scheduled_for_the_past_comes_at_once(station: Station) -> None:
    """It is due already."""
    await station.sender.schedule_messages(ServiceBusMessage("overdue"), datetime.now(UTC) - timedelta(hours=1))
    assert bodies(await receive(station.receiver)) == ["overdue"]


@documented(SCHEDULED)
@entities(queue())
async def test_a_cancelled_message_never_comes(station: Station) -> None:
    """It is deleted; others due at the same time are not."""
    numbers = await station.sender.schedule_messages([ServiceBusMessage("never"), ServiceBusMessage("ever")], soon())
    await station.sender.cancel_scheduled_messages(numbers[0])
    assert bodies(await peek(station.receiver)) == ["ever"]
    assert bodies(await receive(station.receiver)) == ["ever"]
    assert await is_empty(station.receiver)


@documented("azure/service-bus-messaging/service-bus-amqp-request-response#cancel-scheduled-message")
@entities(queue())
async def test_of_several_messages_all_are_cancelled_or_none(station: Station) -> None:
    """One that cannot be cancelled keeps the others."""
    numbers = await station.sender.schedule_messages(
        [ServiceBusMessage("a"), ServiceBusMessage("b")], datetime.now(UTC) + timedelta(hours=1)
    )
    with pytest.raises(MessageNotFoundError):
        await station.sender.cancel_scheduled_messages([*numbers, 77])
    assert bodies(await peek(station.receiver)) == ["a", "b"]
    await station.sender.cancel_scheduled_messages(numbers)
    assert await peek(station.receiver) == []


@documented(SCHEDULED)
@entities(topic(first=subscription(), second=subscription()))
async def test_subscriptions_get_a_scheduled_message_when_it_is_due(station: Station) -> None:
    """All of them, and none before; what is cancelled reaches none."""
    due = soon()
    await station.sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("too")], due)
    dropped = await station.sender.schedule_messages(ServiceBusMessage("dropped"), due)
    await station.sender.cancel_scheduled_messages(dropped)
    early = await peek(station.subscriptions["first"].receiver)
    assert early == [] or datetime.now(UTC) >= due
    for source in station.subscriptions.values():
        assert bodies(await receive(source.receiver, 2)) == ["kept", "too"]
        assert datetime.now(UTC) >= due
        assert bodies(await peek(source.receiver)) == ["kept", "too"]
