"""Dead-letter queues: what gets there, why, and what can be done with it."""

from azure.servicebus import ServiceBusMessage

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, TRANSFER_DEAD_LETTERS, entities, queue
from tests.conformance.servicebus.exchange import bodies, is_empty, peek, receive_one, send
from tests.conformance.servicebus.stations import Station

DLQ = "azure/service-bus-messaging/service-bus-dead-letter-queues"


@documented(f"{DLQ}#application-level-dead-lettering")
@entities(queue(DEAD_LETTERS))
async def test_a_receiver_can_dead_letter_a_message_with_a_reason(station: Station) -> None:
    """The message moves with its own properties and says why."""
    await send(station.sender, ServiceBusMessage("bad", message_id="m", application_properties={"kept": "yes"}))
    await station.receiver.dead_letter_message(
        await receive_one(station.receiver), reason="schema", error_description="no such field"
    )
    assert await peek(station.receiver) == []
    dead = await receive_one(station[DEAD_LETTERS])
    assert (str(dead), dead.message_id) == ("bad", "m")
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("schema", "no such field")
    assert dead.application_properties == {
        b"kept": b"yes",
        b"DeadLetterReason": b"schema",
        b"DeadLetterErrorDescription": b"no such field",
    }


@documented(f"{DLQ}#application-level-dead-lettering")
@entities(queue(DEAD_LETTERS))
async def test_a_reason_need_not_be_given(station: Station) -> None:
    """Then there is none."""
    await send(station.sender, "bad")
    await station.receiver.dead_letter_message(await receive_one(station.receiver))
    dead = await receive_one(station[DEAD_LETTERS])
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == (None, None)


@documented(f"{DLQ}#maximum-delivery-count")
@entities(queue(DEAD_LETTERS, MaxDeliveryCount=3))
async def test_a_message_that_was_delivered_too_often_is_dead_lettered(station: Station) -> None:
    """With the service's reason."""
    await send(station.sender, "poison")
    for count in range(3):
        message = await receive_one(station.receiver)
        assert message.delivery_count == count
        await station.receiver.abandon_message(message)
    assert await is_empty(station.receiver)
    dead = await receive_one(station[DEAD_LETTERS])
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert "after 3 delivery attempts" in (dead.dead_letter_error_description or "")


@documented(f"{DLQ}#the-dead-letter-queue")
@entities(queue(DEAD_LETTERS))
async def test_a_dead_letter_stays_until_it_is_completed(station: Station) -> None:
    """However often it is abandoned: there is no dead-letter queue behind the dead-letter queue."""
    dead_letters = station[DEAD_LETTERS]
    await send(station.sender, "bad")
    await station.receiver.dead_letter_message(await receive_one(station.receiver))
    for _ in range(12):
        await dead_letters.abandon_message(await receive_one(dead_letters))
    await dead_letters.complete_message(await receive_one(dead_letters))
    assert await peek(dead_letters) == []


@documented(f"{DLQ}#sending-dead-lettered-messages-to-be-reprocessed")
@entities(queue(DEAD_LETTERS))
async def test_a_dead_letter_can_be_sent_again(station: Station) -> None:
    """As a new message."""
    await send(station.sender, "bad")
    await station.receiver.dead_letter_message(await receive_one(station.receiver), reason="once")
    dead = await receive_one(station[DEAD_LETTERS])
    await station.sender.send_messages(ServiceBusMessage(b"".join(dead.body)))
    await station[DEAD_LETTERS].complete_message(dead)
    again = await receive_one(station.receiver)
    assert (str(again), again.delivery_count, again.dead_letter_reason) == ("bad", 0, None)


@documented(f"{DLQ}#dead-lettering-in-send-via-scenarios")
@entities(queue(TRANSFER_DEAD_LETTERS))
async def test_the_transfer_dead_letter_queue_is_another_one(station: Station) -> None:
    """For what a transaction could not transfer: dead letters of the queue are not in it."""
    await send(station.sender, "bad")
    await station.receiver.dead_letter_message(await receive_one(station.receiver))
    assert bodies(await peek(station[TRANSFER_DEAD_LETTERS])) == []
    assert await is_empty(station[TRANSFER_DEAD_LETTERS])
