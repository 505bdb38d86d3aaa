"""An event hub: spreads events over its partitions and bounds what they keep."""

import time
from collections.abc import Sequence
from itertools import count
from typing import Any
from zlib import crc32

from localcloud.broker.amqp_types import Array, Int, Timestamp
from localcloud.broker.config import EventHubSettings
from localcloud.broker.errors import ARGUMENT_OUT_OF_RANGE, AmqpError
from localcloud.broker.message import PARTITION_KEY, annotation
from localcloud.broker.partition import IncomingEvent, Partition
from localcloud.broker.records import Records

DEFAULT_GROUP = "$Default"
RETENTION_BYTES = 256 << 20  # shared evenly by the partitions


class EventHub:
    def __init__(self, name: str, settings: EventHubSettings, records: Records) -> None:
        self.name = name
        share = RETENTION_BYTES // settings.partition_count
        self.partitions = [
            Partition(str(number), share, records.of_partition(f"{name}/Partitions/{number}"))
            for number in range(settings.partition_count)
        ]
        self.groups = frozenset(group.lower() for group in (DEFAULT_GROUP, *settings.consumer_groups))
        self._created_ms = time.time_ns() // 1_000_000
        self._turn = count()

    def partition(self, partition_id: str) -> Partition:
        """Raises AmqpError."""
        for partition in self.partitions:
            if partition.id == partition_id:
                return partition
        raise AmqpError(
            ARGUMENT_OUT_OF_RANGE,
            f"Partition '{partition_id}' does not exist; event hub {self.name} has {len(self.partitions)}.",
        )

    def append(self, events: Sequence[IncomingEvent], partition: Partition | None, partition_key: str | None) -> None:
        """Adds the events of one transfer to one partition: the given one, that of their key, or the next in turn.

        `partition_key` is that of the whole transfer; without one, that of its first event holds for all.
        """
        key = partition_key
        if key is None and events:
            key = events[0].partition_key
        if partition is None:
            turn = crc32(key.encode()) if key is not None else next(self._turn)
            partition = self.partitions[turn % len(self.partitions)]
        now_ms = time.time_ns() // 1_000_000
        for event in events:
            if key is not None and event.partition_key is None:
                annotations = event.annotations.plus(annotation(PARTITION_KEY, key), 1)
                event = event._replace(annotations=annotations)  # noqa: PLW2901 - the event with its key
            partition.append(event, now_ms)
        partition.wake_readers()

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
        last = partition.last
        return {
            "name": self.name,
            "type": "com.microsoft:partition",
            "partition": partition.id,
            "begin_sequence_number": partition.first_sequence_number if last else -1,
            "last_enqueued_sequence_number": last.sequence_number if last else -1,
            "last_enqueued_offset": str(last.offset) if last else "-1",
            "last_enqueued_time_utc": Timestamp(last.enqueued_ms if last else 0),
            "is_partition_empty": last is None,
        }
