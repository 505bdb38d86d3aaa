"""What operators of the query language make of values, which are those of JSON and one more: undefined.

What an operator cannot take is undefined, and so is what comes of it; a route takes only what is true.
Source: "IoT Hub query language" (expressions and conditions).
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final


class Undefined(Enum):
    """The value of a property that is not there. JSON's null is a value like others."""

    UNDEFINED = "undefined"


UNDEFINED: Final = Undefined.UNDEFINED
Value = Any  # of JSON, or UNDEFINED


class Kind(Enum):
    """What is known of a value before there is one."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "condition"
    ANY = "value of any kind"


_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS: Final = tuple(_ORDERS)
_EQUALITIES: Final = ("=", "!=", "<>")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_CALCULATIONS: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,  # with the sign of the dividend, as in C#
}


def kind_of(value: Value) -> Kind | None:
    """None for what is neither compared nor calculated with: null, objects, arrays, undefined."""
    if isinstance(value, bool):
        return Kind.TRUTH
    if isinstance(value, int | float):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) else None


def compare(symbol: str, left: Value, right: Value) -> Value:
    """Numbers with numbers, texts with texts by code points; null, true and false only for equality."""
    if left is None and right is None and symbol in _EQUALITIES:
        return _ORDERS[symbol](left, right)
    kind = kind_of(left)
    if kind is None or kind is not kind_of(right) or (kind is Kind.TRUTH and symbol not in _EQUALITIES):
        return UNDEFINED
    return _ORDERS[symbol](left, right)


def calculate(symbol: str, left: Value, right: Value) -> Value:
    if kind_of(left) is not Kind.NUMBER or kind_of(right) is not Kind.NUMBER:
        return UNDEFINED
    try:
        return _CALCULATIONS[symbol](float(left), float(right))
    except (ArithmeticError, ValueError):  # a division by zero, a remainder of what is beyond all bounds
        return UNDEFINED


def negate(value: Value) -> Value:
    return not value if isinstance(value, bool) else UNDEFINED


def any_of(values: Iterable[Value]) -> Value:
    """OR of three-valued logic."""
    result: Value = False
    for value in values:
        if value is True:
            return True
        if value is not False:
            result = UNDEFINED
    return result


def all_of(values: Iterable[Value]) -> Value:
    """AND of three-valued logic."""
    return negate(any_of(map(negate, values)))


def is_in(value: Value, items: Iterable[Value]) -> Value:
    return any_of(compare("=", value, item) for item in items)


def parse_path(text: str) -> list[str | int]:
    """Names and indexes of `.a[0].b`. Raises `ValueError`."""
    steps = list(_STEP.finditer(text))
    if sum(len(step[0]) for step in steps) != len(text):
        raise ValueError(f"{text!r} is no path of names and indexes;")
    return [step[1] or int(step[2]) for step in steps]


def member(document: Value, path: Iterable[str | int]) -> Value:
    """What lies in a JSON document behind names and indexes."""
    for step in path:
        if isinstance(step, str) and isinstance(document, Mapping):
            document = document.get(step, UNDEFINED)
        elif isinstance(step, int) and isinstance(document, list):
            document = document[step] if step < len(document) else UNDEFINED
        else:
            return UNDEFINED
    return document
