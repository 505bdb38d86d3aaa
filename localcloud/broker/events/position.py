"""Where a reader of an event hub begins: the selector filter of its link."""

import re
from dataclasses import dataclass
from enum import Enum

from localcloud.broker.errors import ARGUMENT_ERROR, AmqpError

# For example: amqp.annotation.x-opt-offset > '4711'
_SELECTOR = re.compile(
    r"amqp\.annotation\.x-opt-(?P<bound>offset|sequence-number|enqueued-time)\s*(?P<operator>>=?)\s*'(?P<value>[^']*)'"
)
_EARLIEST, _LATEST = "-1", "@latest"


class Bound(Enum):
    OFFSET = "offset"
    SEQUENCE_NUMBER = "sequence-number"
    ENQUEUED_TIME = "enqueued-time"  # milliseconds since 1970
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Position:
    """Events from `value` on, or behind it if not inclusive."""

    bound: Bound
    value: int = 0
    inclusive: bool = False


START = Position(Bound.SEQUENCE_NUMBER, -1)


def parse_selector(selector: str | None) -> Position:
    """The position that a selector asks for; without one, the start. Raises AmqpError."""
    if selector is None:
        return START
    match = _SELECTOR.fullmatch(selector.strip())
    if match is None:
        raise AmqpError(ARGUMENT_ERROR, f"The selector {selector!r} is not supported.")
    value = match["value"]
    if value == _LATEST:
        return Position(Bound.LATEST)
    if value == _EARLIEST:
        return START
    try:
        return Position(Bound(match["bound"]), int(value), match["operator"] == ">=")
    except ValueError as error:
        raise AmqpError(ARGUMENT_ERROR, f"The position {value!r} is no number.") from error
