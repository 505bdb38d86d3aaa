"""How messages get to receivers and what becomes of them there."""

import asyncio

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageAlreadySettled

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DELETING, PREFETCHING, SECOND, entities, queue
from tests.conformance.servicebus.exchange import bodies, is_empty, peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

SETTLEMENT = "azure/service-bus-messaging/message-transfers-locks-settlement"
RECEIVER = "python/api/azure-servicebus/azure.servicebus.aio.servicebusreceiver"


@documented("azure/service-bus-messaging/service-bus-queues-topics-subscriptions#queues")
@entities(queue())
async def test_messages_come_in_the_order_in_which_they_arrived(station: Station) -> None:
    """First in, first out."""
    for body in "abc":
        await send(station.sender, body)
    assert bodies(await receive(station.receiver, 3)) == ["a", "b", "c"]


@documented("azure/service-bus-messaging/service-bus-queues-topics-subscriptions#queues")
@entities(queue())
async def test_a_waiting_receiver_gets_what_comes(station: Station) -> None:
    """It need not ask again."""
    waiting = asyncio.create_task(receive_one(station.receiver))
    await asyncio.sleep(0.1)
    await send(station.sender, "at last")
    assert str(await waiting) == "at last"


@documented(f"{RECEIVER}#azure-servicebus-aio-servicebusreceiver-receive-messages")
@entities(queue())
async def test_an_empty_queue_gives_an_empty_list(station: Station) -> None:
    """After the time that the receiver waits."""
    assert await station.receiver.receive_messages(5, max_wait_time=0.3) == []


@documented(f"{RECEIVER}#azure-servicebus-aio-servicebusreceiver-receive-messages")
@entities(queue())
async def test_a_receiver_gets_no_more_than_it_asks_for(station: Station) -> None:
    """The others stay for whoever asks next, and count no delivery."""
    await send(station.sender, *"abcd")
    assert bodies(await station.receiver.receive_messages(3, max_wait_time=5)) == ["a", "b", "c"]
    last = await receive_one(station.receiver)
    assert (str(last), last.delivery_count) == ("d", 0)


@documented(f"{RECEIVER}#methods")
@entities(queue())
async def test_a_receiver_can_be_iterated(station: Station) -> None:
    """Until nothing has come for as long as it waits."""
    await send(station.sender, *"abc")
    receiver = await station.open(max_wait_time=1)
    found = []
    async for message in receiver:
        found.append(str(message))
        await receiver.complete_message(message)
    assert found == ["a", "b", "c"]
    assert await peek(station.receiver) == []


@documented(f"{SETTLEMENT}#peeklock")
@entities(queue(SECOND))
async def test_a_locked_message_is_hidden_from_other_receivers(station: Station) -> None:
    """They get the next ones."""
    await send(station.sender, "a", "b")
    assert str(await receive_one(station.receiver)) == "a"
    assert str(await receive_one(station[SECOND])) == "b"
    assert await is_empty(station[SECOND])


@documented(f"{SETTLEMENT}#peeklock")
@entities(queue())
async def test_a_completed_message_is_gone(station: Station) -> None:
    """From the log too."""
    await send(station.sender, "once")
    await station.receiver.complete_message(await receive_one(station.receiver))
    assert await peek(station.receiver) == []


@documented(f"{SETTLEMENT}#peeklock")
@entities(queue())
async def test_an_abandoned_message_comes_again_before_later_ones(station: Station) -> None:
    """At once, and its delivery counts."""
    await send(station.sender, "first", "second")
    await station.receiver.abandon_message(await receive_one(station.receiver))
    again = await receive(station.receiver, 2)
    assert [(str(m), m.delivery_count) for m in again] == [("first", 1), ("second", 0)]


@documented(f"{RECEIVER}#azure-servicebus-aio-servicebusreceiver-complete-message")
@entities(queue(DELETING))
async def test_a_message_is_settled_only_once(station: Station) -> None:
    """And never one that was received and deleted."""
    await send(station.sender, "once")
    message = await receive_one(station.receiver)
    await station.receiver.complete_message(message)
    with pytest.raises(MessageAlreadySettled):
        await station.receiver.abandon_message(message)
    await send(station.sender, "deleted")
    deleted = await receive_one(station[DELETING])
    with pytest.raises(ValueError, match="RECEIVE_AND_DELETE"):
        await station[DELETING].complete_message(deleted)


@documented(f"{SETTLEMENT}#receive-and-delete")
@entities(queue(DELETING))
async def test_receive_and_delete_leaves_nothing(station: Station) -> None:
    """What was put on the wire counts as consumed."""
    await send(station.sender, "a", "b")
    assert bodies(await receive(station[DELETING], 2)) == ["a", "b"]
    assert await peek(station.receiver) == []


@documented("azure/service-bus-messaging/service-bus-queues-topics-subscriptions#queues")
@entities(queue(SECOND))
async def test_competing_receivers_share_the_messages(station: Station) -> None:
    """Each message goes to one of them."""
    await send(station.sender, *(str(number) for number in range(10)))
    some, others = await asyncio.gather(receive(station.receiver, 5), receive(station[SECOND], 5))
    assert sorted(bodies(some + others)) == [str(number) for number in range(10)]


@documented("azure/architecture/patterns/competing-consumers")
@entities(queue(SECOND))
async def test_competing_receivers_take_turns(station: Station) -> None:
    """Who waits with credit for many does not get them all while another waits too."""
    waiting = [
        asyncio.create_task(one.receive_messages(20, max_wait_time=10)) for one in (station.receiver, station[SECOND])
    ]
    await asyncio.sleep(0.3)  # until both wait
    await send(station.sender, *(str(number) for number in range(20)))
    first, second = await asyncio.gather(*waiting)
    assert (len(first), len(second)) == (10, 10)


@documented("azure/service-bus-messaging/service-bus-prefetch")
@entities(queue(PREFETCHING))
async def test_prefetched_messages_are_locked_before_anyone_asks(station: Station) -> None:
    """Other receivers do not get them; the receiver has them at hand."""
    await send(station.sender, "a", "b")
    receiver = station[PREFETCHING]
    assert str(await receive_one(receiver)) == "a"
    assert await is_empty(station.receiver)
    assert str(await receive_one(receiver)) == "b"


@documented("azure/service-bus-messaging/service-bus-prefetch")
@entities(queue(PREFETCHING))
async def test_prefetched_messages_are_released_uncounted(station: Station) -> None:
    """When their receiver closes before anyone has seen them."""
    await send(station.sender, "one", "two", "three")
    receiver = station[PREFETCHING]
    await receiver.complete_message(await receive_one(receiver))
    station.handlers.close_soon(receiver)
    received = await receive(station.receiver, 2)
    assert [(str(m), m.delivery_count) for m in received] == [("two", 0), ("three", 0)]


@documented(f"{RECEIVER}#azure-servicebus-aio-servicebusreceiver-close")
@entities(queue())
async def test_a_closed_receiver_receives_no_more(station: Station) -> None:
    """Its credit is drained: what comes later waits for others."""
    receiver = await station.open()
    assert await is_empty(receiver)
    await receiver.close()
    await send(station.sender, "later")
    received = await receive_one(station.receiver)
    assert (str(received), received.delivery_count) == ("later", 0)
    with pytest.raises(ValueError, match="shutdown"):
        await receiver.receive_messages()


@documented("azure/service-bus-messaging/service-bus-queues-topics-subscriptions#queues")
@entities(queue())
async def test_names_are_found_in_any_case(station: Station, client: ServiceBusClient) -> None:
    """Entity paths are not case-sensitive."""
    sender = await station.handlers.open(client.get_queue_sender(station.path.upper()))
    await sender.send_messages(ServiceBusMessage("hello"))
    assert bodies(await receive(station.receiver)) == ["hello"]
