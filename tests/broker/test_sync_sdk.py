"""The synchronous half of the unmodified azure-eventhub."""

import threading

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, PartitionContext

HUB = "sync-hub"


def test_event_hubs(connection_string: str) -> None:
    """Sends a batch and reads it."""
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
