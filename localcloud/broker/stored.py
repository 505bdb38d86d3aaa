"""A message in a queue: what the producer sent and what the queue knows about it."""

import asyncio
from enum import Enum

from localcloud.broker.message import (
    ENQUEUE_SEQUENCE_NUMBER,
    ENQUEUED_TIME,
    LOCKED_UNTIL,
    MESSAGE_STATE,
    SEQUENCE_NUMBER,
    Message,
    RawMap,
    annotation,
)
from localcloud.broker.wire.amqp_types import Int, Timestamp

# What a message costs besides its bytes, roughly: objects, indexes and timers.
OVERHEAD_BYTES = 1024


class State(Enum):
    SCHEDULED = 2
    AVAILABLE = 0
    LOCKED = -1  # active like an available one, as far as clients can see
    DEFERRED = 1


_WIRE_STATES = {state: annotation(MESSAGE_STATE, Int(max(state.value, State.AVAILABLE.value))) for state in State}


class StoredMessage:
    __slots__ = (
        "_annotations",
        "content",
        "deferred",
        "delivery_count",
        "enqueued_ms",
        "expires_ms",
        "expiry",
        "sequence_number",
        "state",
    )

    def __init__(
        self,
        content: Message,
        sequence_number: int,
        enqueued_ms: int,
        state: State,
    ) -> None:
        self.content = content
        self.sequence_number = sequence_number
        self.enqueued_ms = enqueued_ms
        self.state = state
        self.deferred = state is State.DEFERRED  # once and for all, whoever holds it meanwhile
        self.delivery_count = 0  # of deliveries that failed
        self.expires_ms: int | None = None
        self.expiry: asyncio.TimerHandle | None = None
        entries = [
            annotation(SEQUENCE_NUMBER, sequence_number),
            annotation(ENQUEUED_TIME, Timestamp(enqueued_ms)),
        ]
        if content.annotations.get(ENQUEUE_SEQUENCE_NUMBER) is None:  # a forwarded message keeps its first one
            entries.append(annotation(ENQUEUE_SEQUENCE_NUMBER, sequence_number))
        self._annotations = RawMap(b"".join(entries), 2 * len(entries))

    @property
    def unlocked_state(self) -> State:
        """Its state as if nobody held it."""
        if self.state is not State.LOCKED:
            return self.state
        return State.DEFERRED if self.deferred else State.AVAILABLE

    @property
    def size_bytes(self) -> int:
        return self.content.size_bytes + OVERHEAD_BYTES

    def encoded(self, locked_until_ms: int | None = None, delivery_annotations: bytes = b"") -> bytes:
        """The message as a consumer gets it now."""
        state = State.DEFERRED if self.deferred else self.state
        annotations = self._annotations.plus(_WIRE_STATES[state], 1)
        if locked_until_ms is not None:
            annotations = annotations.plus(annotation(LOCKED_UNTIL, Timestamp(locked_until_ms)), 1)
        return self.content.encoded(annotations, self.delivery_count, delivery_annotations)
