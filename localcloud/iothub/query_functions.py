"""The functions of routing queries.

Source: "IoT Hub query language" (functions).
"""

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from localcloud.iothub.query_values import UNDEFINED, Kind, Value, kind_of

_TEXT, _NUMBER, _TRUTH, _ANY = Kind.TEXT, Kind.NUMBER, Kind.TRUTH, Kind.ANY
_MAX_CHARACTERS: Final = 256 * 1024  # of a text that is put together: no longer than a message


class Function(NamedTuple):
    """A function by the kinds of its arguments; what gets others is undefined."""

    parameters: tuple[Kind, ...]
    result: Kind
    apply: Callable[..., Value]
    optional: int = 0  # so many of the last parameters may be absent
    variadic: bool = False  # the last parameter may come any number of times

    def takes(self, count: int) -> bool:
        least = len(self.parameters) - self.optional
        return count >= least if self.variadic else least <= count <= len(self.parameters)

    def parameter(self, index: int) -> Kind:
        return self.parameters[min(index, len(self.parameters) - 1)]

    def call(self, arguments: list[Value]) -> Value:
        for index, argument in enumerate(arguments):
            wanted = self.parameter(index)
            if wanted is not _ANY and kind_of(argument) is not wanted:
                return UNDEFINED
        try:
            return self.apply(*arguments)
        except (ArithmeticError, ValueError):  # out of the function's domain
            return UNDEFINED


def _as_number(value: Value) -> Value:
    if kind_of(value) is _NUMBER:
        return value
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return UNDEFINED
    return number if math.isfinite(number) else UNDEFINED


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def _concat(*texts: str) -> Value:
    return "".join(texts) if sum(map(len, texts)) <= _MAX_CHARACTERS else UNDEFINED


def _substring(text: str, start: float, length: float = math.inf) -> Value:
    if start < 0 or length < 0:
        return UNDEFINED
    return text[int(start) :] if length == math.inf else text[int(start) : int(start) + int(length)]


def _mathematical(apply: Callable[..., Any], count: int = 1) -> Function:
    return Function((_NUMBER,) * count, _NUMBER, apply)


def _question(apply: Callable[[Value], bool]) -> Function:
    return Function((_ANY,), _TRUTH, apply)


def _of_texts(apply: Callable[[str, str], Value], result: Kind = _TRUTH) -> Function:
    return Function((_TEXT, _TEXT), result, apply)


FUNCTIONS: Final[dict[str, Function]] = {
    "ABS": _mathematical(abs),
    "EXP": _mathematical(math.exp),
    "POWER": _mathematical(math.pow, 2),
    "SQUARE": _mathematical(lambda number: number * number),
    "CEILING": _mathematical(math.ceil),
    "FLOOR": _mathematical(math.floor),
    "SIGN": _mathematical(_sign),
    "SQRT": _mathematical(math.sqrt),
    "AS_NUMBER": Function((_ANY,), _NUMBER, _as_number),
    "IS_ARRAY": _question(lambda value: isinstance(value, list)),
    "IS_BOOL": _question(lambda value: isinstance(value, bool)),
    "IS_DEFINED": _question(lambda value: value is not UNDEFINED),
    "IS_NULL": _question(lambda value: value is None),
    "IS_NUMBER": _question(lambda value: kind_of(value) is _NUMBER),
    "IS_OBJECT": _question(lambda value: isinstance(value, dict)),
    "IS_PRIMITIVE": _question(lambda value: value is None or kind_of(value) is not None),
    "IS_STRING": _question(lambda value: isinstance(value, str)),
    "CONCAT": Function((_TEXT, _TEXT), _TEXT, _concat, variadic=True),
    "LENGTH": Function((_TEXT,), _NUMBER, len),
    "LOWER": Function((_TEXT,), _TEXT, str.lower),
    "UPPER": Function((_TEXT,), _TEXT, str.upper),
    "SUBSTRING": Function((_TEXT, _NUMBER, _NUMBER), _TEXT, _substring, optional=1),
    "INDEX_OF": _of_texts(lambda text, fragment: text.find(fragment), _NUMBER),
    "STARTS_WITH": _of_texts(str.startswith),
    "ENDS_WITH": _of_texts(str.endswith),
    "CONTAINS": _of_texts(lambda text, fragment: fragment in text),
}
