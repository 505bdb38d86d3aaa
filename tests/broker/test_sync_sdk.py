"""The synchronous halves of the unmodified SDKs."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, PartitionContext
from azure.servicebus import ServiceBusClient, ServiceBusMessage

QUEUE, HUB = "sync", "sync-hub"


@pytest.fixture(scope="module")
def started(connection_string: str) -> Iterator[dict[str, Future[None]]]:
    """Both at once: the SDKs sleep most of the time."""
    with ThreadPoolExecutor() as executor:
        yield {job.__name__: executor.submit(job, connection_string) for job in (use_service_bus, use_event_hubs)}


def use_service_bus(connection_string: str) -> None:
    with (
        ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client,
        client.get_queue_sender(QUEUE) as sender,
        client.get_queue_receiver(QUEUE) as receiver,
    ):
        sender.send_messages([ServiceBusMessage(body) for body in ("complete", "abandon", "defer", "dead")])
        completed, abandoned, deferred, dead = (receiver.receive_messages(1, max_wait_time=10)[0] for _ in range(4))
        assert receiver.renew_message_lock(completed) is not None
        receiver.complete_message(completed)
        receiver.abandon_message(abandoned)
        receiver.defer_message(deferred)
        receiver.dead_letter_message(dead, reason="why")
        again = receiver.receive_deferred_messages(deferred.sequence_number or 0)
        receiver.complete_message(again[0])
        due = datetime.now(UTC) + timedelta(hours=1)
        sender.cancel_scheduled_messages(sender.schedule_messages(ServiceBusMessage("later"), due))
        assert [str(message) for message in receiver.peek_messages(10, sequence_number=1)] == ["abandon"]


def use_event_hubs(connection_string: str) -> None:
    with EventHubProducerClient.from_connection_string(connection_string, eventhub_name=HUB) as producer:
        batch = producer.create_batch(partition_id="0")
        for body in "abc":
            batch.add(EventData(body))
        producer.send_batch(batch)
    bodies: list[str] = []
    done = threading.Event()
    consumer = EventHubConsumerClient.from_connection_string(connection_string, "$Default", eventhub_name=HUB)

    def on_event(_context: PartitionContext, event: EventData | None) -> None:
        assert event is not None
        bodies.append(event.body_as_str())
        if len(bodies) == 3:
            done.set()

    reading = threading.Thread(
        target=consumer.receive, args=(on_event,), kwargs={"partition_id": "0", "starting_position": "-1"}, daemon=True
    )
    reading.start()
    assert done.wait(20)
    consumer.close()
    assert bodies == ["a", "b", "c"]


def test_service_bus(started: dict[str, Future[None]]) -> None:
    """Sends, schedules, settles in every way, defers, renews and peeks."""
    started["use_service_bus"].result(30)


def test_event_hubs(started: dict[str, Future[None]]) -> None:
    """Sends a batch and reads it."""
    started["use_event_hubs"].result(30)
