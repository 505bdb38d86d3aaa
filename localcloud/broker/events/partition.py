"""A partition of an event hub: events in order, and the readers that follow them."""

import time
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from localcloud.broker.errors import ARGUMENT_ERROR, AmqpError
from localcloud.broker.events.position import Bound, Position
from localcloud.broker.events.reader import Readers
from localcloud.broker.events.retention import Retention
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
from localcloud.broker.records import PartitionRecords
from localcloud.broker.wire.amqp_types import Timestamp
from localcloud.broker.wire.performatives import text

OFFSET = "x-opt-offset"
_EVENT_OVERHEAD_BYTES = 256


class IncomingEvent(NamedTuple):
    """An event as it was sent."""

    header: bytes
    annotations: RawMap
    rest: bytes

    @property
    def partition_key(self) -> str | None:
        """What is no text is delivered, but maps to nothing. Raises Malformed."""
        key = self.annotations.get(PARTITION_KEY)
        return text(key) if isinstance(key, str | bytes) else None


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
    def __init__(self, partition_id: str, retention: Retention, records: PartitionRecords) -> None:
        """It begins with what its records hold."""
        self.id = partition_id
        self.readers = Readers()
        self._retention = retention
        self._records = records
        self._events = [Event(*row) for row in records.events()]
        self._bytes = sum(event.size_bytes for event in self._events)
        self._last = self._events[-1] if self._events else None
        self._next_sequence_number = records.last_number + 1 if records.next_offset else 0
        # Where nothing is kept, a consumer's checkpoints still are. Offsets that begin at the time of the start are
        # behind every earlier one, so that such a consumer reads on instead of skipping what is new.
        self._next_offset = records.next_offset or time.time_ns()

    @property
    def is_empty(self) -> bool:
        return not self._events

    @property
    def first_sequence_number(self) -> int:
        """Of the first event that is kept; of the next one if there is none."""
        return self._next_sequence_number - len(self._events)

    @property
    def last(self) -> Event | None:
        """The event that came last, whether it is kept or not."""
        return self._last

    def append(self, incoming: IncomingEvent, now_ms: int) -> None:
        # The clock may be set back, the times of a partition's events are not.
        enqueued_ms = now_ms if self._last is None else max(now_ms, self._last.enqueued_ms)
        entries = b"".join(
            (
                annotation(SEQUENCE_NUMBER, self._next_sequence_number),
                annotation(OFFSET, str(self._next_offset)),
                annotation(ENQUEUED_TIME, Timestamp(enqueued_ms)),
            )
        )
        rest = incoming.annotations.plus(entries, 3).section(MESSAGE_ANNOTATIONS) + incoming.rest
        event = Event(incoming.header, rest, self._next_sequence_number, self._next_offset, enqueued_ms)
        self._events.append(event)
        self._last = event
        self._next_sequence_number += 1
        self._next_offset += event.size_bytes
        self._records.add(event, event.sequence_number, self._next_offset)
        self._bytes += event.size_bytes
        self.forget(now_ms)

    def forget(self, now_ms: int) -> None:
        """Lets go what the retention no longer keeps."""
        number = self._retention.surplus(self._events, self._bytes, now_ms)
        if number:
            self._bytes -= sum(event.size_bytes for event in self._events[:number])
            del self._events[:number]
            # The last one stays in the records, so that its numbers are known after a restart.
            self._records.drop_before(min(self.first_sequence_number, self._next_sequence_number - 1))

    def event(self, sequence_number: int) -> Event | None:
        index = sequence_number - self.first_sequence_number
        return self._events[index] if 0 <= index < len(self._events) else None

    def sequence_number_at(self, position: Position) -> int:
        """The number of the first event of a position. Raises AmqpError for one that no event has reached."""
        bisect = bisect_left if position.inclusive else bisect_right
        match position.bound:
            case Bound.LATEST:
                return self._next_sequence_number
            case Bound.SEQUENCE_NUMBER:
                self._check(position, self._next_sequence_number, self._last.sequence_number if self._last else -1)
                index = bisect(self._events, position.value, key=lambda event: event.sequence_number)
            case Bound.OFFSET:
                self._check(position, self._next_offset, self._last.offset if self._last else -1)
                index = bisect(self._events, position.value, key=lambda event: event.offset)
            case Bound.ENQUEUED_TIME:
                index = bisect(self._events, position.value, key=lambda event: event.enqueued_ms)
        return self.first_sequence_number + index

    def _check(self, position: Position, following: int, last: int) -> None:
        if position.value >= following:
            kind = position.bound.value.replace("-", " ")
            raise AmqpError(
                ARGUMENT_ERROR,
                f"The supplied {kind} '{position.value}' is invalid. The last {kind} in the system is '{last}'",
            )
