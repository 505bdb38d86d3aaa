"""An event hub: spreads events over its partitions and bounds what they keep."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from localcloud.broker.declarations.config import EventHubSettings
from localcloud.broker.errors import ARGUMENT_OUT_OF_RANGE, AmqpError
from localcloud.broker.events.partition import IncomingEvent, Partition
from localcloud.broker.events.partition_key import partition_index
from localcloud.broker.events.retention import Retention
from localcloud.broker.locks import now_ms
from localcloud.broker.message import PARTITION_KEY, annotation
from localcloud.broker.records import Records
from localcloud.broker.wire.amqp_types import Array, Int, Timestamp

DEFAULT_GROUP = "$Default"
_HUB_BYTES = 256 << 20  # shared evenly by the partitions
_LEAST_PARTITION_BYTES = 4 << 20  # a few of the largest events


class EventHub:
    def __init__(self, name: str, settings: EventHubSettings, records: Records) -> None:
        self.name = name
        room_bytes = max(_HUB_BYTES // settings.partition_count, _LEAST_PARTITION_BYTES)
        retention = Retention(int(settings.retention_s * 1000), room_bytes)
        self.partitions = [
            Partition(str(number), retention, records.of_partition(f"{name}/Partitions/{number}"))
            for number in range(settings.partition_count)
        ]
        self.groups = frozenset(group.lower() for group in (DEFAULT_GROUP, *settings.consumer_groups))
        self._created_ms = now_ms()
        self._turn = count()

    def partition(self, partition_id: str) -> Partition:
        """Raises AmqpError."""
        for partition in self.partitions:
            if partition.id == partition_id:
                return partition
        raise AmqpError(
            ARGUMENT_OUT_OF_RANGE,
            "The specified partition is invalid for an EventHub partition sender or receiver. "
            f"It should be between 0 and {len(self.partitions) - 1}.",
        )

    def append(self, events: Sequence[IncomingEvent], partition: Partition | None, partition_key: str | None) -> None:
        """Adds the events of one transfer to one partition: the given one, that of their key, or the next in turn.

        `partition_key` is that of the whole transfer; without one, that of its first event holds for all. Raises
        Malformed, with none of them added.
        """
        key = partition_key
        if key is None and events:
            key = events[0].partition_key
        if partition is None:
            number = len(self.partitions)
            index = partition_index(key, number) if key is not None else next(self._turn) % number
            partition = self.partitions[index]
        if key is not None:  # all of them before the first is there: a key may turn out to be malformed
            events = [_with_key(event, key) for event in events]
        moment_ms = now_ms()
        for event in events:
            partition.append(event, moment_ms)
        partition.readers.wake()

    def properties(self) -> dict[str, Any]:
        """The answer to a READ of the hub."""
        return {
            "name": self.name,
            "type": "com.microsoft:eventhub",
            "created_at": Timestamp(self._created_ms),
            "partition_count": Int(len(self.partitions)),
            "partition_ids": Array([partition.id for partition in self.partitions]),
        }

    def partition_properties(self, partition_id: str) -> dict[str, Any]:
        """The answer to a READ of a partition. Raises AmqpError."""
        partition = self.partition(partition_id)
        partition.forget(now_ms())
        last = partition.last
        return {
            "name": self.name,
            "type": "com.microsoft:partition",
            "partition": partition.id,
            "begin_sequence_number": partition.first_sequence_number if last else -1,
            "last_enqueued_sequence_number": last.sequence_number if last else -1,
            "last_enqueued_offset": str(last.offset) if last else "-1",
            "last_enqueued_time_utc": Timestamp(last.enqueued_ms if last else 0),
            "is_partition_empty": partition.is_empty,
        }


def _with_key(event: IncomingEvent, key: str) -> IncomingEvent:
    """The event with the key of its transfer, unless it has one of its own."""
    if event.partition_key is not None:
        return event
    return event._replace(annotations=event.annotations.without(PARTITION_KEY).plus(annotation(PARTITION_KEY, key), 1))
