"""Fields of a request's body, by their types."""

from typing import Any, TypeVar

from localcloud.broker.errors import ARGUMENT_ERROR, AmqpError

T = TypeVar("T")
Body = dict[str, Any]


def field(body: Body, key: str, kind: type[T]) -> T:
    """Raises AmqpError."""
    value = body.get(key)
    if not isinstance(value, kind):
        raise AmqpError(ARGUMENT_ERROR, f"'{key}' is missing or of the wrong type.")
    return value


def all_of(body: Body, key: str, kind: type[T]) -> list[T]:
    """Raises AmqpError."""
    values = field(body, key, list)
    if not all(isinstance(value, kind) for value in values):
        raise AmqpError(ARGUMENT_ERROR, f"'{key}' holds values of the wrong type.")
    return values
