"""What operators of the SQL of rules make of values.

`None` is the unknown value. What the service leaves to C# and C# refuses (a text compared with a number, a division of
integers by zero, an integer beyond 64 bits) is an error of the evaluation: such a message does not match.
"""

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

Value = Any  # of an AMQP property
Truth = bool | None

# Of a text that is put together: the service's limit for a property. Without one, doubling could go on for ever.
_MAX_CHARACTERS: Final = 32 << 10
_INT64: Final = range(-(2**63), 2**63)
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS: Final = tuple(_ORDERS)
_KIND_NAMES: Final[dict[type, str]] = {bool: "truth", float: "number", str: "text"}


def negate(value: Truth) -> Truth:
    return None if value is None else not value


def any_of(values: Iterable[Truth]) -> Truth:
    """OR of three-valued logic."""
    unknown = False
    for value in values:
        if value:
            return True
        unknown = unknown or value is None
    return None if unknown else False


def all_of(values: Iterable[Truth]) -> Truth:
    """AND of three-valued logic."""
    return negate(any_of(map(negate, values)))


class EvaluationError(Exception):
    """An operator that is not defined for its operands."""


def equal(left: Value, right: Value) -> Truth:
    """Whether they are the same; values of different kinds are not compared at all."""
    return None if left is None or _kind(left) is not _kind(right) else bool(left == right)


def compare(symbol: str, left: Value, right: Value) -> Truth:
    """Numbers with numbers, texts with texts by code points, and what has no order for equality only.

    Raises EvaluationError.
    """
    if left is None or right is None:
        return None
    kind = _kind(left)
    if kind is not _kind(right) or (kind not in (float, str) and symbol not in ("=", "<>", "!=")):
        raise _undefined(symbol, left, right)
    return _ORDERS[symbol](left, right)


def calculate(symbol: str, left: Value, right: Value) -> Value:
    """As C# does: integers stay integers, division rounds towards zero, `+` joins texts. Raises EvaluationError."""
    if left is None or right is None:
        return None
    kind = _kind(left)
    if kind is not _kind(right) or (kind is not float and (kind is not str or symbol != "+")):
        raise _undefined(symbol, left, right)
    if kind is str:
        if len(left) + len(right) > _MAX_CHARACTERS:
            raise EvaluationError(f"A text of more than {_MAX_CHARACTERS} characters.")
        return left + right
    if isinstance(left, int) and isinstance(right, int):
        return _calculate_integers(symbol, int(left), int(right))
    return _calculate_floats(symbol, float(left), float(right))


def minus(value: Value) -> Value:
    """Raises EvaluationError."""
    return calculate("-", 0, value) if isinstance(value, int) else calculate("*", -1.0, value)


def like(value: Value, pattern: Value, escape: str | None) -> Truth:
    """Whether a text has the form of a pattern, in which `%` is any run of characters and `_` any single one.

    Raises EvaluationError.
    """
    if value is None or pattern is None:
        return None
    if not isinstance(value, str) or not isinstance(pattern, str):
        raise _undefined("LIKE", value, pattern)
    return _matches(value, _pattern_parts(pattern, escape))


def _undefined(symbol: str, left: Value, right: Value) -> EvaluationError:
    names = [_KIND_NAMES.get(_kind(value), "value without order") for value in (left, right)]
    return EvaluationError(f"Operator '{symbol}' cannot be applied to a {names[0]} and a {names[1]}.")


def _kind(value: Value) -> type:
    if isinstance(value, bool):
        return bool
    if isinstance(value, int | float):
        return float
    return str if isinstance(value, str) else type(value)


def _calculate_integers(symbol: str, left: int, right: int) -> int:
    if symbol in "/%" and right == 0:
        raise EvaluationError("A division by zero.")
    match symbol:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case _:
            quotient = abs(left) // abs(right) * (1 if (left < 0) is (right < 0) else -1)
            result = quotient if symbol == "/" else left - quotient * right
    if result not in _INT64:
        raise EvaluationError("A number of more than 64 bits.")
    return result


def _calculate_floats(symbol: str, left: float, right: float) -> float:
    match symbol:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if right == 0:
        # IEEE 754, which Python does not follow here.
        unbounded = symbol == "/" and left != 0 and not math.isnan(left)
        return math.copysign(math.inf, left) * math.copysign(1, right) if unbounded else math.nan
    if symbol == "/":
        return left / right
    return math.nan if math.isinf(left) else math.fmod(left, right)


_ANY_RUN, _ANY_ONE = object(), object()


def _pattern_parts(pattern: str, escape: str | None) -> list[object]:
    """Characters and wildcards. Raises EvaluationError."""
    parts: list[object] = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            escaped = next(characters, None)
            if escaped is None:
                raise EvaluationError("A pattern ends with its escape character.")
            parts.append(escaped)
        else:
            parts.append({"%": _ANY_RUN, "_": _ANY_ONE}.get(character, character))
    return parts


def _matches(value: str, parts: list[object]) -> bool:
    """Without backtracking beyond the last run: a regular expression of many runs could take for ever."""
    at = part = 0
    run_part, run_end = -1, 0
    while at < len(value):
        if part < len(parts) and parts[part] is _ANY_RUN:
            run_part, run_end = part, at
            part += 1
        elif part < len(parts) and parts[part] in (_ANY_ONE, value[at]):
            at += 1
            part += 1
        elif run_part >= 0:
            run_end += 1
            at, part = run_end, run_part + 1
        else:
            return False
    return all(rest is _ANY_RUN for rest in parts[part:])
