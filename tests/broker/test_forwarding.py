"""Auto-forwarding through the unmodified azure-servicebus SDK."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from tests.broker.conftest import Handler, Handlers
from tests.broker.exchange import bodies, peek, receive, receive_one, send

DEAD = "deadletter"


@dataclass(frozen=True)
class Opened:
    senders: dict[str, ServiceBusSender]
    receivers: dict[str, ServiceBusReceiver]


@pytest.fixture(scope="module")
async def opened(client: ServiceBusClient, handlers: Handlers) -> Opened:
    names = ("forwarding", "forwarding-dead", "to-sessions", "chain-1")
    senders = {name: client.get_queue_sender(name) for name in names}
    senders["forwarded"] = client.get_topic_sender("forwarded")
    receivers = {
        name: client.get_queue_receiver(name) for name in ("collected", "all-dead", "forwarding-dead", "chain-5")
    }
    receivers |= {
        f"{name}/dead": client.get_queue_receiver(name, sub_queue=DEAD)
        for name in ("to-sessions", "forwarding-dead", "chain-4")
    }
    receivers["kept"] = client.get_subscription_receiver("chain-topic", "kept")
    opening: list[Handler] = [*senders.values(), *receivers.values()]
    await asyncio.gather(*map(handlers.open, opening))
    return Opened(senders, receivers)


async def test_what_enters_a_forwarding_queue_is_received_from_its_target(opened: Opened) -> None:
    """At once, or when it is due."""
    due = datetime.now(UTC) + timedelta(seconds=0.3)
    await opened.senders["forwarding"].schedule_messages(ServiceBusMessage("later"), due)
    await send(opened.senders["forwarding"], ServiceBusMessage("now", application_properties={"k": "v"}), "too")
    now, too, later = await receive(opened.receivers["collected"], 3)
    assert bodies([now, too, later]) == ["now", "too", "later"]
    assert now.application_properties == {b"k": b"v"}
    assert datetime.now(UTC) >= due


async def test_a_message_is_forwarded_four_times_and_no_more(opened: Opened) -> None:
    """The fifth time it is dead-lettered where it is; topics on the way give it to their other subscriptions too.

    On its way it keeps the sequence number that it had where it was submitted.
    """
    await send(opened.senders["forwarded"], "far")
    dead = await receive_one(opened.receivers["chain-4/dead"])
    assert (str(dead), dead.dead_letter_reason) == ("far", "MaxTransferHopCountExceeded")
    assert dead.dead_letter_source == "chain-4"
    assert bodies(await peek(opened.receivers["kept"])) == ["far"]
    await send(opened.senders["chain-1"], "near", "too")
    near, too = await receive(opened.receivers["chain-5"], 2)
    assert bodies([near, too]) == ["near", "too"]
    assert (near.enqueued_sequence_number, too.enqueued_sequence_number) == (2, 3)  # of chain-1, behind the "far" one


async def test_what_the_target_refuses_is_dead_lettered(opened: Opened) -> None:
    """With the target's reason."""
    await send(opened.senders["to-sessions"], "without session")
    dead = await receive_one(opened.receivers["to-sessions/dead"])
    assert dead.dead_letter_reason == "ForwardingFailed"
    assert "requires a session id" in (dead.dead_letter_error_description or "")


async def test_dead_letters_are_forwarded_with_their_source_and_reason(opened: Opened) -> None:
    """The queue's own dead-letter queue stays empty."""
    await send(opened.senders["forwarding-dead"], "poison")
    receiver = opened.receivers["forwarding-dead"]
    await receiver.dead_letter_message(await receive_one(receiver), reason="bad", error_description="why")
    dead = await receive_one(opened.receivers["all-dead"])
    assert (str(dead), dead.dead_letter_reason, dead.dead_letter_error_description) == ("poison", "bad", "why")
    assert dead.dead_letter_source == "forwarding-dead"
    assert await peek(opened.receivers["forwarding-dead/dead"]) == []
