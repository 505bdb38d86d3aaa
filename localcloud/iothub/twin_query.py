"""Queries over device twins, page by page.

Supported are `SELECT [TOP n]` of everything, of properties or of aggregates, `FROM devices`, `WHERE` with all
operators, lists and IS_DEFINED, and `GROUP BY` a property; not modules and jobs.
Source: "IoT Hub query language".
"""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from localcloud.errors import Rejected
from localcloud.expressions import ExpressionError, Tokens
from localcloud.iothub.query import Dialect, condition_of
from localcloud.iothub.query_functions import FUNCTIONS
from localcloud.iothub.query_tokens import QueryTokens
from localcloud.iothub.query_values import UNDEFINED, Kind, Value, kind_of, member, parse_path
from localcloud.iothub.twin import Document

# As the service API shows them: those of the devices behind an id, in the order of the ids.
Twins = Callable[[str], Iterable[Document]]
_Evaluate = Callable[[Document], Value]


class Page(NamedTuple):
    items: list[Document]
    are_twins: bool
    continuation: str | None  # None: this is the last


class _Column(NamedTuple):
    name: str
    path: str
    evaluate: _Evaluate
    aggregate: Callable[[list[Value]], Value] | None  # of the values of a group

    def of(self, group: list[Document]) -> Value:
        """What the column shows of a group; without an aggregate all its values are the same."""
        return (self.aggregate or _first)([self.evaluate(twin) for twin in group])


class _Position(msgspec.Struct, array_like=True):
    """Where a page ended; a client gets it as a text that it need not understand."""

    query: str
    after: str  # this device id
    left: int | None  # of TOP


@dataclass(frozen=True, slots=True)
class TwinQuery:
    text: str
    top: int | None
    columns: list[_Column] | None  # None: the whole twin
    condition: Callable[[Document], bool | None]
    group: _Evaluate | None

    def page(self, twins: Twins, size: int, continuation: str | None) -> Page:
        """The items behind a continuation. Raises `Rejected` for a continuation that is none of this query."""
        position = self._position(continuation)
        found = filter(self.condition, twins(position.after))
        if self.columns is not None and any(column.aggregate for column in self.columns):
            return Page(self._groups(self.columns, list(found))[: self.top], are_twins=False, continuation=None)
        page = list(islice(found, size if position.left is None else min(size, position.left)))
        left = None if position.left is None else position.left - len(page)
        continuation = None
        if left != 0 and next(found, None) is not None:
            end = _Position(self.text, page[-1]["deviceId"], left)
            continuation = base64.b64encode(msgspec.json.encode(end)).decode()
        return Page([self._item(twin) for twin in page], self.columns is None, continuation)

    def _position(self, continuation: str | None) -> _Position:
        if continuation is None:
            return _Position(self.text, "", self.top)
        try:
            position = msgspec.json.decode(base64.b64decode(continuation, validate=True), type=_Position)
        except ValueError as error:
            raise Rejected("bad-continuation", "the continuation is none that this hub gave") from error
        if position.query != self.text:
            raise Rejected("bad-continuation", "the continuation is of another query")
        return position

    def _item(self, twin: Document) -> Document:
        if self.columns is None:
            return twin
        return _defined((column.name, column.evaluate(twin)) for column in self.columns)

    def _groups(self, columns: list[_Column], twins: list[Document]) -> list[Document]:
        """A row for each value of what is grouped by, of which absent is one, or one row for all."""
        groups: dict[bytes, list[Document]] = {} if self.group else {b"": twins}
        if self.group:
            for twin in twins:
                value = self.group(twin)
                groups.setdefault(b"" if value is UNDEFINED else msgspec.json.encode(value), []).append(twin)
        return [_defined((column.name, column.of(group)) for column in columns) for group in groups.values()]


def _defined(values: Iterable[tuple[str, Value]]) -> Document:
    return {name: value for name, value in values if value is not UNDEFINED}


def _first(values: list[Value]) -> Value:
    return values[0] if values else UNDEFINED


def _of_numbers(aggregate: Callable[[list[float]], float]) -> Callable[[list[Value]], Value]:
    def apply(values: list[Value]) -> Value:
        numbers = [value for value in values if kind_of(value) is Kind.NUMBER]
        return aggregate(numbers) if numbers else UNDEFINED

    return apply


_AGGREGATES: Final[dict[str, Callable[[list[Value]], Value]]] = {
    "COUNT": len,
    "AVG": _of_numbers(lambda numbers: sum(numbers) / len(numbers)),
    "SUM": _of_numbers(sum),
    "MIN": _of_numbers(min),
    "MAX": _of_numbers(max),
}


def parse_twin_query(text: str) -> TwinQuery:
    """Raises `Rejected` for what is not supported."""
    try:
        return _parse(text)
    except ExpressionError as error:
        raise Rejected("bad-query", str(error)) from error


def _parse(text: str) -> TwinQuery:
    tokens = QueryTokens(text)
    if not tokens.take_word("SELECT"):
        raise tokens.error("a query begins with SELECT; this is")
    top = _number(tokens) if tokens.take_word("TOP") else None
    columns = None if tokens.take_if("symbol", "*") else _columns(tokens)
    if not tokens.take_word("FROM") or not tokens.take_word("DEVICES"):
        raise tokens.error("only FROM devices is supported, not what stands")
    condition = condition_of(tokens, _DIALECT) if tokens.take_word("WHERE") else _always
    grouped_by = _grouped_by(tokens) if tokens.take_word("GROUP") else None
    if tokens.next.kind != "end":
        raise tokens.error(f"{tokens.next} is not supported")
    _check_grouping(tokens, columns, grouped_by)
    return TwinQuery(text, top, columns, condition, _reference(grouped_by)[1] if grouped_by else None)


def _grouped_by(tokens: Tokens) -> str:
    if not tokens.take_word("BY"):
        raise tokens.error("behind GROUP comes BY, not what stands")
    return _name(tokens)


def _check_grouping(tokens: Tokens, columns: list[_Column] | None, grouped_by: str | None) -> None:
    if grouped_by is None and not any(column.aggregate for column in columns or ()):
        return
    for column in columns or ():
        if column.aggregate is None and column.path != grouped_by:
            raise tokens.error(f"{column.path!r} is neither an aggregate nor grouped by, at the end,")
    if not any(column.aggregate for column in columns or ()):
        raise tokens.error("GROUP BY without an aggregate, at the end,")


def _always(_: Document) -> bool:
    return True


def _number(tokens: Tokens) -> int:
    token = tokens.take()
    if token.kind != "number" or token.value != int(token.value):
        raise tokens.error("behind TOP comes a whole number, not what stands", token)
    return int(token.value)


def _columns(tokens: Tokens) -> list[_Column]:
    columns = [_column(tokens)]
    while tokens.take_if("symbol", ","):
        columns.append(_column(tokens))
    return columns


def _column(tokens: Tokens) -> _Column:
    path, aggregate = _name(tokens), None
    name = path.rpartition(".")[2]
    if tokens.take_if("symbol", "("):
        aggregate = _AGGREGATES.get(path.upper())
        if aggregate is None:
            raise tokens.error(f"there is no aggregate {path!r}, before what stands")
        path = "deviceId" if aggregate is len else _name(tokens)
        tokens.expect("symbol", ")")
    if tokens.take_word("AS"):
        name = _name(tokens)
    return _Column(name, path, _reference(path)[1], aggregate)


def _name(tokens: Tokens) -> str:
    token = tokens.take()
    if token.kind != "name":
        raise tokens.error(f"a name is expected, not {token},", token)
    return str(token.value)


def _reference(name: str) -> tuple[Kind, _Evaluate]:
    root, *path = parse_path("." + name)
    # The members of the twin itself in any case of letters; those that a user named are what they are.
    key = str(root).lower()
    return Kind.ANY, lambda twin: member(_root(twin, key), path)


def _root(twin: Document, key: str) -> Any:
    return next((value for name, value in twin.items() if name.lower() == key), UNDEFINED)


_DIALECT: Final = Dialect(_reference, {"IS_DEFINED": FUNCTIONS["IS_DEFINED"]}, has_lists=True)
