"""Sessions: related messages, in order, for one receiver at a time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, entities, queue, session, subscription, topic
from tests.conformance.servicebus.exchange import bodies, peek, receive, receive_one, soon
from tests.conformance.servicebus.stations import Station

SESSIONS = "azure/service-bus-messaging/message-sessions"
FEATURES = f"{SESSIONS}#session-features"
STATE = f"{SESSIONS}#message-session-state"
DELIVERY_COUNT = f"{SESSIONS}#impact-of-delivery-count"
S, T = session("s"), session("t")


async def send(sender: ServiceBusSender, session_id: str, *bodies: str) -> None:
    await sender.send_messages([ServiceBusMessage(body, session_id=session_id) for body in bodies])


async def complete_all(receiver: ServiceBusReceiver, messages: int) -> None:
    for message in await receive(receiver, messages):
        await receiver.complete_message(message)


@documented(FEATURES)
@entities(queue(S, T, RequiresSession=True))
async def test_a_receiver_gets_the_messages_of_its_session_in_order(station: Station) -> None:
    """And none of another's, however they arrived in between."""
    for one in "abc":
        await send(station.sender, "s", f"s{one}")
        await send(station.sender, "t", f"t{one}")
    received = await receive(station[S], 3)
    assert bodies(received) == ["sa", "sb", "sc"]
    assert {message.session_id for message in received} == {"s"}
    assert bodies(await receive(station[T], 3)) == ["ta", "tb", "tc"]


@documented(FEATURES)
@entities(queue(S, RequiresSession=True))
async def test_a_locked_session_cannot_be_accepted_by_another(station: Station) -> None:
    """Whoever tries is told at once."""
    with pytest.raises(SessionCannotBeLockedError):
        await station.open(session_id="s")


@documented(FEATURES)
@entities(queue(S, RequiresSession=True))
async def test_messages_that_come_later_are_the_receivers_too(station: Station) -> None:
    """It holds the session, not only what was in it."""
    waiting = asyncio.create_task(receive_one(station[S]))
    await asyncio.sleep(0.1)
    await send(station.sender, "s", "later")
    assert str(await waiting) == "later"


@documented(FEATURES)
@entities(queue(S, RequiresSession=True))
async def test_an_abandoned_message_of_a_session_comes_next(station: Station) -> None:
    """Order is kept, and the delivery counts."""
    await send(station.sender, "s", "a", "b")
    await station[S].abandon_message(await receive_one(station[S]))
    again = await receive(station[S], 2)
    assert [(str(m), m.delivery_count) for m in again] == [("a", 1), ("b", 0)]


@documented(DELIVERY_COUNT)
@entities(queue(S, RequiresSession=True))
async def test_closing_a_session_does_not_count_deliveries(station: Station) -> None:
    """The next receiver gets what was not completed as if for the first time."""
    await send(station.sender, "s", "a", "b", "c")
    first = (await receive(station[S], 2))[0]
    await station[S].complete_message(first)
    station.handlers.close_soon(station[S])
    await asyncio.sleep(0.3)
    second = await station.open(session_id="s")
    assert [(str(m), m.delivery_count) for m in await receive(second, 2)] == [("b", 0), ("c", 0)]


@documented(DELIVERY_COUNT)
@entities(queue(RequiresSession=True, LockDuration="PT1S"))
async def test_an_expired_session_counts_deliveries(station: Station) -> None:
    """Its receiver has lost it, and another gets what was not completed."""
    await send(station.sender, "s", "a")
    lost = await station.open(session_id="s")
    await receive_one(lost)
    second = await station.open(session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10)
    again = await receive_one(second)
    assert (str(again), again.session_id, again.delivery_count) == ("a", "s", 1)
    with pytest.raises(SessionLockLostError):
        await lost.receive_messages(1, max_wait_time=1)


@documented(FEATURES)
@entities(queue(RequiresSession=True, LockDuration="PT5S"))
async def test_the_lock_of_a_session_can_be_renewed(station: Station) -> None:
    """Messages under it are held as long."""
    receiver = await station.open(session_id="s")
    await send(station.sender, "s", "a")
    before = receiver.session.locked_until_utc
    assert before is not None
    assert before <= datetime.now(UTC) + timedelta(seconds=5)
    message = await receive_one(receiver)
    after = await receiver.session.renew_lock()
    assert after > before
    assert receiver.session.locked_until_utc == after
    await receiver.complete_message(message)


@documented(FEATURES)
@entities(queue(RequiresSession=True))
async def test_the_next_available_session_is_one_with_messages(station: Station) -> None:
    """That nobody has; the receiver learns which it is."""
    await send(station.sender, "first", "a")
    await send(station.sender, "second", "b")
    opened = await asyncio.gather(
        *(station.open(session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10) for _ in range(2))
    )
    got = {one.session.session_id: bodies(await receive(one)) for one in opened}
    assert got == {"first": ["a"], "second": ["b"]}


@documented(FEATURES)
@entities(queue(RequiresSession=True))
async def test_a_receiver_waits_for_a_session(station: Station) -> None:
    """Until the first message of one arrives."""
    opening = asyncio.create_task(station.open(session_id=NEXT_AVAILABLE_SESSION, max_wait_time=20))
    await asyncio.sleep(1)
    assert not opening.done()
    await send(station.sender, "s", "at last")
    receiver = await opening
    assert receiver.session.session_id == "s"
    assert bodies(await receive(receiver)) == ["at last"]


@documented("azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception")
@entities(queue(RequiresSession=True))
async def test_waiting_for_a_session_has_an_end(station: Station) -> None:
    """Then there was none in time."""
    with pytest.raises(OperationTimeoutError):
        await station.open(session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.5)


@documented(STATE)
@entities(queue(S, RequiresSession=True))
async def test_a_session_keeps_its_state(station: Station) -> None:
    """From one receiver to the next, and after its messages are gone."""
    await send(station.sender, "s", "a")
    first = station[S]
    assert await first.session.get_state() is None
    await first.session.set_state(b"half way")
    await complete_all(first, 1)
    station.handlers.close_soon(first)
    await asyncio.sleep(0.3)
    second = await station.open(session_id="s")
    assert await second.session.get_state() == b"half way"


@documented(STATE)
@entities(queue(S, RequiresSession=True))
async def test_the_state_of_a_session_can_be_cleared(station: Station) -> None:
    """With null; it may be any bytes, or a text."""
    receiver = station[S]
    for state in (bytes(range(256)), "Grüße"):
        await receiver.session.set_state(state)
        assert await receiver.session.get_state() == (state.encode() if isinstance(state, str) else state)
    await receiver.session.set_state(None)
    assert await receiver.session.get_state() is None


@documented("azure/service-bus-messaging/service-bus-amqp-request-response#enumerate-sessions")
@entities(queue(session("stated"), RequiresSession=True))
async def test_sessions_can_be_listed(station: Station, client: ServiceBusClient) -> None:
    """Those with messages or a state; or only those whose state was set after a moment."""
    assert [one async for one in client.list_queue_sessions(station.path)] == []
    await send(station.sender, "with messages", "a")
    before = datetime.now(UTC) - timedelta(seconds=1)
    await station[session("stated")].session.set_state(b"x")
    assert [one async for one in client.list_queue_sessions(station.path)] == ["stated", "with messages"]
    after = datetime.now(UTC) + timedelta(seconds=1)
    changed = client.list_queue_sessions
    assert [one async for one in changed(station.path, state_updated_after=before)] == ["stated"]
    assert [one async for one in changed(station.path, state_updated_after=after)] == []


@documented(f"{SESSIONS}#first-in-first-out-fifo-pattern")
@entities(queue(RequiresSession=True))
async def test_a_message_without_session_is_refused(station: Station) -> None:
    """By a queue that has sessions."""
    with pytest.raises(ServiceBusError, match="requires a session id"):
        await station.sender.send_messages(ServiceBusMessage("lost"))


@documented("azure/service-bus-messaging/service-bus-dead-letter-queues#moving-messages-to-the-dlq")
@entities(topic(only=subscription(S, DEAD_LETTERS, RequiresSession=True)))
async def test_a_subscription_with_sessions_dead_letters_what_has_none(station: Station) -> None:
    """The sender to the topic knows nothing of it."""
    source = station.subscriptions["only"]
    await station.sender.send_messages(ServiceBusMessage("lost"))
    await send(station.sender, "s", "kept")
    assert bodies(await receive(source[S])) == ["kept"]
    dead = await receive_one(source[DEAD_LETTERS])
    assert (str(dead), dead.dead_letter_reason) == ("lost", "Session ID is null.")
    assert "session identifier is null" in (dead.dead_letter_error_description or "")


@documented(f"{SESSIONS}#request-response-pattern")
@entities(queue(session("replies to me"), RequiresSession=True))
async def test_a_reply_reaches_the_session_of_its_request(station: Station) -> None:
    """Among the replies to others."""
    request = ServiceBusMessage("question", reply_to_session_id="replies to me", message_id="question-1")
    await send(station.sender, "somebody else", "other answer")
    answer = ServiceBusMessage("answer", session_id=request.reply_to_session_id, correlation_id=request.message_id)
    await station.sender.send_messages(answer)
    received = await receive_one(station[session("replies to me")])
    assert (str(received), received.correlation_id) == ("answer", "question-1")


@documented("azure/service-bus-messaging/message-sequencing#scheduled-messages")
@entities(queue(S, RequiresSession=True))
async def test_a_message_of_a_session_can_be_scheduled(station: Station) -> None:
    """Its receiver gets it when it is due."""
    due = soon()
    await station.sender.schedule_messages(ServiceBusMessage("later", session_id="s"), due)
    assert str(await receive_one(station[S])) == "later"
    assert datetime.now(UTC) >= due
    assert await peek(station[S]) != []


@documented(FEATURES)
@entities(queue(S, DEAD_LETTERS, RequiresSession=True, MaxDeliveryCount=1))
async def test_dead_letters_of_a_queue_with_sessions_have_none(station: Station) -> None:
    """They are received without accepting one, and say which they were of."""
    await send(station.sender, "s", "poison")
    await station[S].abandon_message(await receive_one(station[S]))
    dead = await receive_one(station[DEAD_LETTERS])
    assert (str(dead), dead.session_id, dead.dead_letter_reason) == ("poison", "s", "MaxDeliveryCountExceeded")
