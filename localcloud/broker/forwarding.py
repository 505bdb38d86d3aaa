"""Auto-forwarding: what enters one entity goes on to another of the same namespace at once.

Source: "Chaining Service Bus entities with autoforwarding". A message that cannot go on is dead-lettered where it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from localcloud.broker.errors import AmqpError
from localcloud.broker.message import Message

MAX_HOPS: Final = 4


class Target(Protocol):
    """A queue or topic."""

    name: str

    def put(self, messages: Sequence[Message]) -> list[int]:
        """Raises AmqpError."""


def forward(message: Message, target: Target) -> dict[str, str] | None:
    """Puts the message into the target; the reasons of a dead letter if it cannot go there."""
    if message.hops >= MAX_HOPS:
        return {
            "DeadLetterReason": "MaxTransferHopCountExceeded",
            "DeadLetterErrorDescription": f"The message was forwarded {MAX_HOPS} times, which is the most.",
        }
    try:
        target.put([replace(message, hops=message.hops + 1)])
    except AmqpError as error:
        return {"DeadLetterReason": "ForwardingFailed", "DeadLetterErrorDescription": error.description}
    return None
