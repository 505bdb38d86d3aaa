"""Auto-forwarding: entities that give what they get to others."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, entities, queue, session, subscription, topic
from tests.conformance.servicebus.exchange import bodies, peek, receive, receive_one, send, soon
from tests.conformance.servicebus.stations import Station

FORWARDING = "azure/service-bus-messaging/service-bus-auto-forwarding"
CONSIDERATIONS = f"{FORWARDING}#autoforwarding-considerations"
FAILING = "azure/service-bus-messaging/service-bus-dead-letter-queues#dead-lettering-in-auto-forward-scenarios"
PAYLOADS = "azure/service-bus-messaging/service-bus-messages-payloads"

Stations = Mapping[str, Station]


@documented(FORWARDING)
@entities(source=queue(ForwardTo="target"), target=queue())
async def test_what_enters_a_forwarding_queue_is_received_from_its_target(stations: Stations) -> None:
    """In the same order, and with what its sender said; the target can still be sent to."""
    await send(stations["source"].sender, ServiceBusMessage("a", application_properties={"k": "v"}), "b")
    await send(stations["target"].sender, "direct")
    received = await receive(stations["target"].receiver, 3)
    assert bodies(received) == ["a", "b", "direct"]
    assert received[0].application_properties == {b"k": b"v"}


@documented(FORWARDING)
@entities(source=queue(ForwardTo="target"), target=queue())
async def test_a_scheduled_message_is_forwarded_when_it_is_due(stations: Stations) -> None:
    """Until then its queue has it."""
    due = soon()
    await stations["source"].sender.schedule_messages(ServiceBusMessage("later"), due)
    assert await peek(stations["target"].receiver) == []
    assert bodies(await receive(stations["target"].receiver)) == ["later"]
    assert datetime.now(UTC) >= due


@documented(f"{FORWARDING}#decouple-message-senders-from-receivers")
@entities(
    orders=topic(alice=subscription(ForwardTo="personal")),
    invoices=topic(alice=subscription(ForwardTo="personal")),
    personal=queue(),
)
async def test_subscriptions_of_several_topics_can_fill_one_queue(stations: Stations) -> None:
    """Their receiver need not know the topics."""
    await send(stations["orders"].sender, "order")
    await send(stations["invoices"].sender, "invoice")
    assert bodies(await receive(stations["personal"].receiver, 2)) == ["order", "invoice"]


@documented(f"{FORWARDING}#scale-out-an-individual-topic")
@entities(
    first=topic(onward=subscription(ForwardTo="second"), own=subscription()),
    second=topic(a=subscription(), b=subscription()),
)
async def test_a_topic_can_forward_to_a_topic(stations: Stations) -> None:
    """All subscriptions of both get the message."""
    await send(stations["first"].sender, "wide")
    assert bodies(await receive(stations["first"].subscriptions["own"].receiver)) == ["wide"]
    for source in stations["second"].subscriptions.values():
        assert bodies(await receive(source.receiver)) == ["wide"]


@documented(PAYLOADS)
@entities(source=queue(ForwardTo="target"), target=queue())
async def test_a_forwarded_message_keeps_its_first_sequence_number(stations: Stations) -> None:
    """As its enqueued sequence number, beside the one that the target gave it."""
    await send(stations["target"].sender, "direct")
    await send(stations["source"].sender, "forwarded")
    direct, forwarded = await receive(stations["target"].receiver, 2)
    assert (direct.sequence_number, direct.enqueued_sequence_number) == (1, 1)
    assert (forwarded.sequence_number, forwarded.enqueued_sequence_number) == (2, 1)


@documented(CONSIDERATIONS)
@entities(
    q0=queue(ForwardTo="q1"),
    q1=queue(ForwardTo="q2"),
    q2=queue(ForwardTo="q3"),
    q3=queue(ForwardTo="q4"),
    q4=queue(DEAD_LETTERS, ForwardTo="q5"),
    q5=queue(),
)
async def test_a_message_is_forwarded_four_times_and_no_more(stations: Stations) -> None:
    """The fifth time it is dead-lettered where it is."""
    await send(stations["q0"].sender, "far")
    dead = await receive_one(stations["q4"][DEAD_LETTERS])
    assert (str(dead), dead.dead_letter_reason) == ("far", "MaxTransferHopCountExceeded")
    await send(stations["q1"].sender, "near")
    assert bodies(await receive(stations["q5"].receiver)) == ["near"]


@documented(FAILING)
@entities(source=queue(DEAD_LETTERS, ForwardTo="target"), target=queue(Status="SendDisabled"))
async def test_what_a_disabled_target_refuses_is_dead_lettered(stations: Stations) -> None:
    """In the dead-letter queue of the source."""
    await send(stations["source"].sender, "refused")
    dead = await receive_one(stations["source"][DEAD_LETTERS])
    assert str(dead) == "refused"
    assert "disabled" in (dead.dead_letter_error_description or "")
    assert await peek(stations["target"].receiver) == []


@documented(FAILING)
@entities(source=queue(DEAD_LETTERS, ForwardTo="target"), target=queue(MaxSizeInMegabytes=1))
async def test_what_a_full_target_refuses_is_dead_lettered(stations: Stations) -> None:
    """And stays there when the target has room again."""
    for body in "abc":
        await send(stations["source"].sender, ServiceBusMessage(body * 400_000))
    dead = await receive_one(stations["source"][DEAD_LETTERS])
    assert str(dead)[:1] == "c"
    assert len(await peek(stations["target"].receiver)) == 2


@documented(FAILING)
@entities(source=queue(DEAD_LETTERS, ForwardTo="target"), target=queue(session("s"), RequiresSession=True))
async def test_what_has_no_session_cannot_go_to_a_target_with_sessions(stations: Stations) -> None:
    """What has one goes there."""
    await send(stations["source"].sender, ServiceBusMessage("with", session_id="s"), "without")
    assert bodies(await receive(stations["target"][session("s")])) == ["with"]
    dead = await receive_one(stations["source"][DEAD_LETTERS])
    assert str(dead) == "without"
    assert "requires a session id" in (dead.dead_letter_error_description or "")


@documented(FORWARDING)
@entities(source=queue(ForwardTo="target"), target=queue())
async def test_nothing_is_received_from_a_forwarding_queue(stations: Stations) -> None:
    """A receiver is told so."""
    with pytest.raises(ServiceBusError, match="forwards its messages"):
        await stations["source"].open()


@documented("azure/service-bus-messaging/enable-auto-forward")
@entities(source=queue(DEAD_LETTERS, ForwardDeadLetteredMessagesTo="all"), all=queue())
async def test_dead_letters_are_forwarded_with_their_source_and_reason(stations: Stations) -> None:
    """The queue's own dead-letter queue stays empty."""
    source = stations["source"]
    await send(source.sender, "poison")
    await source.receiver.dead_letter_message(await receive_one(source.receiver), reason="bad", error_description="why")
    dead = await receive_one(stations["all"].receiver)
    assert (str(dead), dead.dead_letter_reason, dead.dead_letter_error_description) == ("poison", "bad", "why")
    assert dead.dead_letter_source == source.path
    assert await peek(source[DEAD_LETTERS]) == []
