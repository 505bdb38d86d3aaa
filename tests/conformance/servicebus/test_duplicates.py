"""Duplicate detection: a message id counts once within a window."""

import asyncio
from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusMessage

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import entities, queue, subscription, topic
from tests.conformance.servicebus.exchange import bodies, peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

HOW = "azure/service-bus-messaging/duplicate-detection#how-it-works"
WINDOW = "azure/service-bus-messaging/duplicate-detection#duplicate-detection-window-size"


def same(body: str) -> ServiceBusMessage:
    return ServiceBusMessage(body, message_id="same")


@documented(HOW)
@entities(queue(RequiresDuplicateDetection=True))
async def test_a_duplicate_is_accepted_and_dropped(station: Station) -> None:
    """Whatever else it says: only the id is looked at."""
    await send(station.sender, same("first"))
    await send(station.sender, same("second"), ServiceBusMessage("other", message_id="other"))
    assert bodies(await peek(station.receiver)) == ["first", "other"]


@documented(HOW)
@entities(queue(RequiresDuplicateDetection=True))
async def test_an_id_counts_after_its_message_is_gone(station: Station) -> None:
    """The history is kept apart from the messages."""
    await send(station.sender, same("first"))
    await station.receiver.complete_message(await receive_one(station.receiver))
    await send(station.sender, same("second"))
    assert await peek(station.receiver) == []


@documented(WINDOW)
@entities(queue(RequiresDuplicateDetection=True, DuplicateDetectionHistoryTimeWindow="PT1S"))
async def test_an_id_is_forgotten_after_the_window(station: Station) -> None:
    """Then it counts again."""
    await send(station.sender, same("first"))
    await asyncio.sleep(1.2)
    await send(station.sender, same("second"))
    assert bodies(await receive(station.receiver, 2)) == ["first", "second"]


@documented(HOW)
@entities(queue())
async def test_without_detection_duplicates_are_messages_like_others(station: Station) -> None:
    """It is switched off unless asked for."""
    await send(station.sender, same("first"), same("second"))
    assert bodies(await receive(station.receiver, 2)) == ["first", "second"]


@documented(HOW)
@entities(queue(RequiresDuplicateDetection=True))
async def test_scheduled_messages_take_part_in_detection(station: Station) -> None:
    """On either side."""
    due = datetime.now(UTC) + timedelta(hours=1)
    await station.sender.schedule_messages(same("scheduled"), due)
    await send(station.sender, same("at once"), ServiceBusMessage("first", message_id="other"))
    await station.sender.schedule_messages(ServiceBusMessage("later", message_id="other"), due)
    assert bodies(await peek(station.receiver)) == ["scheduled", "first"]


@documented(HOW)
@entities(topic(properties={"RequiresDuplicateDetection": True}, first=subscription(), second=subscription()))
async def test_a_topic_drops_duplicates_for_all_its_subscriptions(station: Station) -> None:
    """They see the first only."""
    await send(station.sender, same("first"))
    await send(station.sender, same("second"))
    for source in station.subscriptions.values():
        assert bodies(await peek(source.receiver)) == ["first"]
