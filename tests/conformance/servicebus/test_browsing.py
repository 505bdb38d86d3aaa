"""Peeking looks at the log of a queue and changes nothing."""

import pytest
from azure.servicebus import ServiceBusMessage

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, entities, queue, session
from tests.conformance.servicebus.exchange import bodies, peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

BROWSING = "azure/service-bus-messaging/message-browsing"


@documented(BROWSING)
@entities(queue())
async def test_peeking_takes_nothing(station: Station) -> None:
    """Nor does it lock or count."""
    await send(station.sender, "a")
    peeked = (await peek(station.receiver))[0]
    assert peeked.lock_token is None
    with pytest.raises(ValueError, match="peek"):
        await station.receiver.complete_message(peeked)
    received = await receive_one(station.receiver)
    assert (str(received), received.delivery_count) == ("a", 0)


@documented(BROWSING)
@entities(queue())
async def test_peeking_goes_on_where_it_ended(station: Station) -> None:
    """In the order of the log, until there is nothing more."""
    await send(station.sender, *"abc")
    assert bodies(await station.receiver.peek_messages(2)) == ["a", "b"]
    assert bodies(await station.receiver.peek_messages(2)) == ["c"]
    assert await station.receiver.peek_messages(2) == []


@documented(BROWSING)
@entities(queue())
async def test_peeking_begins_where_it_is_told_to(station: Station) -> None:
    """By a sequence number, whether or not there is a message with it."""
    await send(station.sender, *"abcd")
    await station.receiver.complete_message(await receive_one(station.receiver))
    assert bodies(await station.receiver.peek_messages(2, sequence_number=1)) == ["b", "c"]
    assert bodies(await station.receiver.peek_messages(10, sequence_number=3)) == ["c", "d"]
    assert await station.receiver.peek_messages(1, sequence_number=5) == []


@documented(BROWSING)
@entities(queue())
async def test_peeking_sees_locked_messages(station: Station) -> None:
    """In the order in which they arrived, not in that in which they might be received."""
    await send(station.sender, *"abc")
    await receive(station.receiver, 2)
    assert bodies(await peek(station.receiver)) == ["a", "b", "c"]


@documented(BROWSING)
@entities(queue(DEAD_LETTERS))
async def test_dead_letters_can_be_peeked(station: Station) -> None:
    """With their reasons."""
    await send(station.sender, "bad")
    await station.receiver.dead_letter_message(await receive_one(station.receiver), reason="why")
    dead = (await peek(station[DEAD_LETTERS]))[0]
    assert (str(dead), dead.dead_letter_reason) == ("bad", "why")


@documented(BROWSING)
@entities(queue(session("a"), RequiresSession=True))
async def test_the_receiver_of_a_session_peeks_only_that(station: Station) -> None:
    """Messages of others are not its business."""
    await station.sender.send_messages([ServiceBusMessage(f"{one}1", session_id=one) for one in "aba"])
    assert bodies(await peek(station[session("a")])) == ["a1", "a1"]
