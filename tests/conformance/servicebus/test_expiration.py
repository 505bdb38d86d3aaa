"""What time does to messages."""

import asyncio
from datetime import timedelta

from azure.servicebus import ServiceBusMessage

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import DEAD_LETTERS, entities, queue, subscription, topic
from tests.conformance.servicebus.exchange import bodies, is_empty, peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

TIME_TO_LIVE = "azure/service-bus-messaging/message-expiration#time-to-live-and-expires-at-utc"
ENTITY_LEVEL = "azure/service-bus-messaging/message-expiration#entity-level-expiration"
SECOND = timedelta(seconds=1)
PASSED_S = 1.2  # a little more than a second


@documented(TIME_TO_LIVE)
@entities(queue(DEAD_LETTERS))
async def test_a_message_expires_after_its_time_to_live(station: Station) -> None:
    """It is dropped; what has no time to live stays."""
    await send(station.sender, ServiceBusMessage("expires", time_to_live=SECOND), "stays")
    await asyncio.sleep(PASSED_S)
    assert bodies(await receive(station.receiver)) == ["stays"]
    assert await is_empty(station.receiver)
    assert await peek(station[DEAD_LETTERS]) == []


@documented(ENTITY_LEVEL)
@entities(queue(DefaultMessageTimeToLive="PT1S"))
async def test_the_queues_time_to_live_is_the_default_and_the_most(station: Station) -> None:
    """A longer one of a message is cut."""
    await send(station.sender, "by default", ServiceBusMessage("cut", time_to_live=timedelta(hours=1)))
    await asyncio.sleep(PASSED_S)
    assert await is_empty(station.receiver)


@documented(ENTITY_LEVEL)
@entities(
    topic(
        properties={"DefaultMessageTimeToLive": "PT1S"},
        longer=subscription(DefaultMessageTimeToLive="PT1H"),
        default=subscription(),
    )
)
async def test_the_topics_time_to_live_holds_for_its_subscriptions(station: Station) -> None:
    """Even for one that would keep messages longer."""
    await send(station.sender, "a")
    await asyncio.sleep(PASSED_S)
    for source in station.subscriptions.values():
        assert await peek(source.receiver) == []


@documented(ENTITY_LEVEL)
@entities(
    topic(
        properties={"DefaultMessageTimeToLive": "PT1H"},
        shorter=subscription(DEAD_LETTERS, DefaultMessageTimeToLive="PT1S", DeadLetteringOnMessageExpiration=True),
        default=subscription(),
    )
)
async def test_a_subscription_may_keep_messages_for_less_time(station: Station) -> None:
    """Than its topic, and dead-letter what expires in it."""
    await send(station.sender, "a")
    dead = await receive_one(station.subscriptions["shorter"][DEAD_LETTERS])
    assert dead.dead_letter_reason == "TTLExpiredException"
    assert bodies(await peek(station.subscriptions["default"].receiver)) == ["a"]


@documented("azure/service-bus-messaging/service-bus-dead-letter-queues#time-to-live")
@entities(queue(DEAD_LETTERS, DeadLetteringOnMessageExpiration=True))
async def test_expired_messages_are_dead_lettered_if_that_is_switched_on(station: Station) -> None:
    """With the service's reason; there they do not expire any more."""
    await send(station.sender, ServiceBusMessage("late", time_to_live=SECOND))
    dead = await receive_one(station[DEAD_LETTERS])
    assert (str(dead), dead.dead_letter_reason) == ("late", "TTLExpiredException")
    assert dead.dead_letter_error_description == "The message expired and was dead lettered."
    await asyncio.sleep(PASSED_S)
    await station[DEAD_LETTERS].abandon_message(dead)
    assert bodies(await peek(station[DEAD_LETTERS])) == ["late"]


@documented(TIME_TO_LIVE)
@entities(queue())
async def test_a_message_does_not_expire_while_it_is_locked(station: Station) -> None:
    """It can still be completed then."""
    await send(station.sender, ServiceBusMessage("held", time_to_live=SECOND))
    held = await receive_one(station.receiver)
    await asyncio.sleep(PASSED_S)
    assert bodies(await peek(station.receiver)) == ["held"]
    await station.receiver.complete_message(held)
    assert await peek(station.receiver) == []


@documented(TIME_TO_LIVE)
@entities(queue(DEAD_LETTERS, DeadLetteringOnMessageExpiration=True))
async def test_an_expired_message_that_is_abandoned_is_gone_at_once(station: Station) -> None:
    """To the dead letters, if that is switched on."""
    await send(station.sender, ServiceBusMessage("held", time_to_live=SECOND))
    held = await receive_one(station.receiver)
    await asyncio.sleep(PASSED_S)
    await station.receiver.abandon_message(held)
    assert await peek(station.receiver) == []
    assert (await receive_one(station[DEAD_LETTERS])).dead_letter_reason == "TTLExpiredException"
