"""What links and entities know of each other."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol

from localcloud.broker.errors import AmqpError

MAX_MESSAGE_BYTES: Final = 1 << 20  # the premium tier's limit for a message, and for a batch in any tier


class Consumer(Protocol):
    """A link that takes messages."""

    @property
    def ready(self) -> bool:
        """Whether it wants a message now: attached, with credit, and its connection not choked."""

    @property
    def settled(self) -> bool:
        """Whether what it gets is settled with the sending: receive-and-delete."""

    def deliver(self, payload: bytes, tag: bytes) -> None: ...

    def detach(self, error: AmqpError) -> None: ...


class Outcome(Enum):
    COMPLETED = auto()
    ABANDONED = auto()
    RELEASED = auto()  # back to the queue without counting as a delivery
    DEFERRED = auto()
    DEAD_LETTERED = auto()


class Settlement(NamedTuple):
    """What a consumer decided on a delivery."""

    outcome: Outcome
    # Application properties that the message has from now on, beside its own; of a dead letter also its reasons.
    properties: Mapping[str, Any] = {}


class Source(Protocol):
    """Where a consumer's messages come from."""

    def on_credit(self, consumer: Consumer) -> None:
        """The consumer may be ready again."""

    def drop(self, consumer: Consumer) -> None:
        """The consumer is gone."""

    def settle(self, tag: bytes, settlement: Settlement) -> bool:
        """Whether the delivery was still the consumer's to decide on."""


class Sink(Protocol):
    """Where a producer's messages go."""

    max_message_bytes: int  # of one transfer

    def send(self, payload: bytes, message_format: int) -> None:
        """Takes the content of one transfer. Raises AmqpError or Malformed."""
