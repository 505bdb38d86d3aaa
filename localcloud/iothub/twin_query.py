"""Queries over device twins, page by page.

Supported are `SELECT [TOP n] * | COUNT() AS name | property [AS name], …`, `FROM devices` and `WHERE` with all
operators, lists and IS_DEFINED; not GROUP BY, further aggregates, modules and jobs.
Source: "IoT Hub query language".
"""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from localcloud.errors import Rejected
from localcloud.iothub.query import Dialect, condition_of
from localcloud.iothub.query_functions import FUNCTIONS
from localcloud.iothub.query_tokens import QueryError, Tokens
from localcloud.iothub.query_values import UNDEFINED, Kind, Value, member, parse_path
from localcloud.iothub.twin import Document

Twins = Iterable[Document]  # as the service API shows them
_Evaluate = Callable[[Document], Value]


class Page(NamedTuple):
    items: list[Document]
    are_twins: bool
    continuation: str | None  # None: this is the last


class _Position(msgspec.Struct, array_like=True):
    """Where a page ended; a client gets it as a text that it need not understand."""

    query: str
    after: str  # this device id
    left: int | None  # of TOP


@dataclass(frozen=True, slots=True)
class TwinQuery:
    text: str
    top: int | None
    columns: dict[str, _Evaluate] | None  # None: the whole twin
    counts_as: str | None  # the name of COUNT()
    condition: Callable[[Document], bool | None]

    def page(self, twins: Twins, size: int, continuation: str | None) -> Page:
        """The items behind a continuation. Raises `Rejected` for a continuation that is none of this query."""
        position = self._position(continuation)
        found = [twin for twin in twins if twin["deviceId"] > position.after and self.condition(twin)]
        if self.counts_as is not None:
            return Page([{self.counts_as: len(found)}], are_twins=False, continuation=None)
        found.sort(key=lambda twin: str(twin["deviceId"]))
        left = len(found) if position.left is None else min(position.left, len(found))
        page = found[: min(size, left)]
        continuation = None
        if len(page) < left:
            rest = None if position.left is None else position.left - len(page)
            end = _Position(self.text, page[-1]["deviceId"], rest)
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
        values = {name: evaluate(twin) for name, evaluate in self.columns.items()}
        return {name: value for name, value in values.items() if value is not UNDEFINED}


def parse_twin_query(text: str) -> TwinQuery:
    """Raises `Rejected` for what is not supported."""
    try:
        return _parse(text)
    except QueryError as error:
        raise Rejected("bad-query", str(error)) from error


def _parse(text: str) -> TwinQuery:
    tokens = Tokens(text)
    if not tokens.take_word("SELECT"):
        raise tokens.error("a query begins with SELECT; this is")
    top = _number(tokens) if tokens.take_word("TOP") else None
    columns, counts_as = _columns(tokens)
    if not tokens.take_word("FROM") or not tokens.take_word("DEVICES"):
        raise tokens.error("only FROM devices is supported, not what stands")
    condition = condition_of(tokens, _DIALECT) if tokens.take_word("WHERE") else _always
    if tokens.next.kind != "end":
        raise tokens.error(f"{tokens.next} is not supported")
    return TwinQuery(text, top, columns, counts_as, condition)


def _always(_: Document) -> bool:
    return True


def _number(tokens: Tokens) -> int:
    token = tokens.take()
    if token.kind != "number" or token.value != int(token.value):
        raise tokens.error("behind TOP comes a whole number, not what stands", token)
    return int(token.value)


def _columns(tokens: Tokens) -> tuple[dict[str, _Evaluate] | None, str | None]:
    if tokens.take_if("symbol", "*"):
        return None, None
    if tokens.take_word("COUNT"):
        tokens.expect("symbol", "(")
        tokens.expect("symbol", ")")
        return None, _name(tokens) if tokens.take_word("AS") else "Count"
    columns: dict[str, _Evaluate] = {}
    while not columns or tokens.take_if("symbol", ","):
        path = _name(tokens)
        _, evaluate = _reference(path)
        columns[_name(tokens) if tokens.take_word("AS") else path.rpartition(".")[2]] = evaluate
    return columns, None


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
