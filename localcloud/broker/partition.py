"""A partition of an event hub: events in order, and the readers that follow them."""

import time
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from localcloud.broker.amqp_types import Timestamp
from localcloud.broker.delivery import Consumer, Settlement
from localcloud.broker.encoder import described, encode_map
from localcloud.broker.errors import LINK_STOLEN, RESOURCE_LIMIT_EXCEEDED, AmqpError
from localcloud.broker.message import (
    DELIVERY_ANNOTATIONS,
    ENQUEUED_TIME,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PARTITION_KEY,
    SEQUENCE_NUMBER,
    RawMap,
    annotation,
    raw_map,
    sections,
)
from localcloud.broker.position import Bound, Position
from localcloud.broker.records import PartitionRecords

OFFSET = "x-opt-offset"
MAX_READERS_PER_GROUP = 5  # the service's limit for readers without epoch
_EVENT_OVERHEAD_BYTES = 256
# Events are settled as they are sent, so that nobody needs to tell them apart by their tags.
_TAG = bytes(16)


class IncomingEvent(NamedTuple):
    """An event as it was sent."""

    header: bytes
    annotations: RawMap
    rest: bytes

    @property
    def partition_key(self) -> str | None:
        key = self.annotations.get(PARTITION_KEY)
        return None if key is None else str(key)


class Event(NamedTuple):
    """An event as it is delivered; its header is apart because a delivery may add a section behind it."""

    header: bytes
    rest: bytes
    sequence_number: int
    offset: int
    enqueued_ms: int

    @property
    def size_bytes(self) -> int:
        return len(self.header) + len(self.rest) + _EVENT_OVERHEAD_BYTES


def parse_event(payload: bytes) -> IncomingEvent:
    """Raises Malformed."""
    header, annotations = b"", RawMap()
    for section in sections(payload):
        if section.code == HEADER:
            header = payload[section.start : section.end]
        elif section.code == MESSAGE_ANNOTATIONS:
            annotations = raw_map(payload, section.value)
        elif section.code != DELIVERY_ANNOTATIONS:
            annotations = annotations.without(SEQUENCE_NUMBER, OFFSET, ENQUEUED_TIME)
            return IncomingEvent(header, annotations, payload[section.start :])
    return IncomingEvent(header, annotations, b"")


class Partition:
    def __init__(self, partition_id: str, retention_bytes: int, records: PartitionRecords) -> None:
        """`retention_bytes`: the oldest events go when there are more. It begins with what its records hold."""
        self.id = partition_id
        self._retention_bytes = retention_bytes
        self._records = records
        self._events = [Event(*row) for row in records.events()]
        self._bytes = sum(event.size_bytes for event in self._events)
        self._readers: list[Reader] = []
        # Where nothing is kept, a consumer's checkpoints still are. Numbers that begin at the time of the start are
        # behind every earlier one, so that such a consumer reads on instead of skipping what is new.
        self._next_sequence_number = records.last_number + 1 if records.last_number else time.time_ns() // 1000
        self._next_offset = records.next_offset or time.time_ns()

    # ---- events

    @property
    def first_sequence_number(self) -> int:
        return self._next_sequence_number - len(self._events)

    @property
    def last(self) -> Event | None:
        return self._events[-1] if self._events else None

    def append(self, incoming: IncomingEvent, now_ms: int) -> None:
        entries = b"".join(
            (
                annotation(SEQUENCE_NUMBER, self._next_sequence_number),
                annotation(OFFSET, str(self._next_offset)),
                annotation(ENQUEUED_TIME, Timestamp(now_ms)),
            )
        )
        rest = incoming.annotations.plus(entries, 3).section(MESSAGE_ANNOTATIONS) + incoming.rest
        event = Event(incoming.header, rest, self._next_sequence_number, self._next_offset, now_ms)
        self._events.append(event)
        self._next_sequence_number += 1
        self._next_offset += event.size_bytes
        self._records.add(event, event.sequence_number, self._next_offset)
        self._bytes += event.size_bytes
        if self._bytes > self._retention_bytes:
            self._drop_oldest()

    def event(self, sequence_number: int) -> Event | None:
        index = sequence_number - self.first_sequence_number
        return self._events[index] if 0 <= index < len(self._events) else None

    def sequence_number_at(self, position: Position) -> int:
        """The number of the first event of a position."""
        bisect = bisect_left if position.inclusive else bisect_right
        match position.bound:
            case Bound.LATEST:
                return self._next_sequence_number
            case Bound.SEQUENCE_NUMBER:
                index = bisect(self._events, position.value, key=lambda event: event.sequence_number)
            case Bound.OFFSET:
                index = bisect(self._events, position.value, key=lambda event: event.offset)
            case Bound.ENQUEUED_TIME:
                index = bisect(self._events, position.value, key=lambda event: event.enqueued_ms)
        return self.first_sequence_number + index

    # ---- readers

    def admit(self, reader: "Reader") -> None:
        """Adds a reader. A higher or equal epoch ends the readers of its group that are there.

        Raises AmqpError if one with a higher epoch is there, or too many are.
        """
        rivals = [rival for rival in self._readers if rival.group == reader.group]
        highest = max((rival.epoch for rival in rivals if rival.epoch is not None), default=None)
        if highest is not None and (reader.epoch is None or reader.epoch < highest):
            raise AmqpError(
                LINK_STOLEN,
                f"A receiver with epoch {highest} reads already; a lower epoch or none is not allowed.",
            )
        if reader.epoch is not None:
            for rival in rivals:
                self._readers.remove(rival)
                rival.consumer.detach(AmqpError(LINK_STOLEN, f"A new receiver with epoch {reader.epoch} was created."))
        elif len(rivals) >= MAX_READERS_PER_GROUP:
            raise AmqpError(
                RESOURCE_LIMIT_EXCEEDED,
                f"At most {MAX_READERS_PER_GROUP} receivers may read a partition in one consumer group.",
            )
        self._readers.append(reader)

    def dismiss(self, reader: "Reader") -> None:
        if reader in self._readers:
            self._readers.remove(reader)

    def wake_readers(self) -> None:
        for reader in list(self._readers):
            reader.pump()

    def _drop_oldest(self) -> None:
        # More than needed goes at once, so that not every event at the limit moves the list of all others.
        target = self._retention_bytes - self._retention_bytes // 16
        number = 0
        while self._bytes > target:
            self._bytes -= self._events[number].size_bytes
            number += 1
        del self._events[:number]
        self._records.drop_before(self.first_sequence_number)


class Reader:
    """A consumer's way through a partition."""

    def __init__(
        self,
        partition: Partition,
        consumer: Consumer,
        group: str,
        position: Position,
        epoch: int | None,
        *,
        with_metrics: bool,
    ) -> None:
        """`with_metrics`: each event comes with the numbers of the last one that the partition has."""
        self.partition = partition
        self.consumer = consumer
        self.group = group
        self.epoch = epoch
        self._with_metrics = with_metrics
        self._next = partition.sequence_number_at(position)

    def pump(self) -> None:
        while self.consumer.ready:
            self._next = max(self._next, self.partition.first_sequence_number)
            event = self.partition.event(self._next)
            if event is None:
                return
            self._next += 1
            metrics = self._metrics() if self._with_metrics else b""
            self.consumer.deliver(event.header + metrics + event.rest, _TAG)

    def on_credit(self, consumer: Consumer) -> None:
        if consumer is self.consumer:
            self.pump()

    def drop(self, consumer: Consumer) -> None:
        if consumer is self.consumer:
            self.partition.dismiss(self)

    def settle(self, tag: bytes, settlement: Settlement) -> bool:
        """Reading takes nothing away: there is nothing to decide."""
        del tag, settlement
        return True

    def _metrics(self) -> bytes:
        last = self.partition.last
        if last is None:
            return b""
        entries = (
            annotation("last_enqueued_sequence_number", last.sequence_number),
            annotation("last_enqueued_offset", str(last.offset)),
            annotation("last_enqueued_time_utc", Timestamp(last.enqueued_ms)),
            annotation("runtime_info_retrieval_time_utc", Timestamp(time.time_ns() // 1_000_000)),
        )
        return described(DELIVERY_ANNOTATIONS, encode_map(b"".join(entries), 2 * len(entries)))
