"""What a producer's transfers become."""

from localcloud.broker.delivery import MAX_MESSAGE_BYTES
from localcloud.broker.events.event_hub import EventHub
from localcloud.broker.events.partition import Partition, parse_event
from localcloud.broker.message import BATCH_FORMAT, batched, parse_message
from localcloud.broker.queue import Queue
from localcloud.broker.topic import Topic


class MessageSink:
    """Into a queue or topic."""

    def __init__(self, entity: Queue | Topic) -> None:
        self._entity = entity
        self.max_message_bytes = entity.settings.limits.max_message_bytes

    def send(self, payload: bytes, message_format: int) -> None:
        payloads = batched(payload) if message_format == BATCH_FORMAT else [payload]
        self._entity.put([parse_message(one) for one in payloads])


class EventSink:
    """Into an event hub, or one partition of it."""

    max_message_bytes = MAX_MESSAGE_BYTES

    def __init__(self, hub: EventHub, partition: Partition | None) -> None:
        self._hub = hub
        self._partition = partition

    def send(self, payload: bytes, message_format: int) -> None:
        if message_format != BATCH_FORMAT:
            self._hub.append([parse_event(payload)], self._partition, None)
            return
        # The envelope may carry a partition key for all of its events.
        envelope = parse_event(payload)
        events = [parse_event(one) for one in batched(payload)]
        self._hub.append(events, self._partition, envelope.partition_key)
