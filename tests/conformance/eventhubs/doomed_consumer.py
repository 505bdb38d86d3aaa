"""A consumer in a process of its own, so that it can be killed: it checkpoints every event and says so.

Usage: doomed_consumer.py CONNECTION HUB STORAGE EXPIRY_S
"""

import sys

from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext
from azure.eventhub.extensions.checkpointstoreblob import BlobCheckpointStore

from tests.conformance.eventhubs.clients import CONTAINER


def main() -> None:
    connection, hub, storage, expiry_s = sys.argv[1:]
    consumer = EventHubConsumerClient.from_connection_string(
        connection,
        "$Default",
        eventhub_name=hub,
        checkpoint_store=BlobCheckpointStore.from_connection_string(storage, CONTAINER),
        load_balancing_interval=0.5,
        partition_ownership_expiration_interval=float(expiry_s),
        load_balancing_strategy="greedy",
    )

    def on_event(context: PartitionContext, event: EventData | None) -> None:
        if event is not None:
            context.update_checkpoint(event)
            sys.stdout.write(f"{context.partition_id} {event.body_as_str()}\n")
            sys.stdout.flush()

    consumer.receive(on_event, starting_position="-1")


if __name__ == "__main__":
    main()
