"""The routing query language, as far as it looks at properties.

Supported are `=`, `!=`, `<>`, `AND`, `OR`, `NOT`, parentheses, `true` and `false`, texts in quotes, numbers,
application properties by name and system properties by `$name`. Names do not depend on case, values do. What compares
with an absent property is undefined, and so is its negation; a route takes only what is true.
Source: "IoT Hub message routing query syntax".
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from localcloud.errors import Misconfigured

Properties = Mapping[str, str]  # system properties with their `$`; all names in lower case
Predicate = Callable[[Properties], bool | None]  # None: undefined
_Operand = Callable[[Properties], str | float | None]

SYSTEM_PROPERTIES: Final = frozenset(
    {
        "$contenttype",
        "$contentencoding",
        "$messageid",
        "$correlationid",
        "$userid",
        "$connectiondeviceid",
        "$iothub-connection-device-id",
        "$dt-subject",
    }
)

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'[^']*'|"[^"]*")
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<name>\$?[A-Za-z_][\w.\-]*)
      | (?P<symbol>!=|<>|[=()])
    )""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str

    def is_word(self, word: str) -> bool:
        return self.kind == "name" and self.text.upper() == word


_END: Final = _Token("end", "the end")


def parse_query(text: str) -> Predicate:
    """The condition as a function of a message's properties. Raises `Misconfigured` for what is not supported."""
    parser = _Parser(text)
    predicate = parser.disjunction()
    parser.expect_end()
    return predicate


class _Parser:
    """Recursive descent, one method a level of precedence: OR, AND, NOT, comparison."""

    def __init__(self, text: str) -> None:
        self._query = text
        self._tokens = self._tokenize(text)

    def _tokenize(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._error(f"{text[position:].strip()[:20]!r} is not supported")
            assert match.lastgroup is not None
            tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return tokens

    def _error(self, reason: str) -> Misconfigured:
        return Misconfigured(f"routing query {self._query!r}: {reason}")

    def _peek(self) -> _Token:
        return self._tokens[0] if self._tokens else _END

    def _next(self) -> _Token:
        return self._tokens.pop(0) if self._tokens else _END

    def expect_end(self) -> None:
        if self._tokens:
            raise self._error(f"{self._peek().text!r} is not expected there")

    def disjunction(self) -> Predicate:
        terms = [self._conjunction()]
        while self._peek().is_word("OR"):
            self._next()
            terms.append(self._conjunction())
        return terms[0] if len(terms) == 1 else lambda message: _any_of([term(message) for term in terms])

    def _conjunction(self) -> Predicate:
        terms = [self._negation()]
        while self._peek().is_word("AND"):
            self._next()
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else lambda message: _all_of([term(message) for term in terms])

    def _negation(self) -> Predicate:
        if not self._peek().is_word("NOT"):
            return self._comparison()
        self._next()
        term = self._negation()
        return lambda message: None if (value := term(message)) is None else not value

    def _comparison(self) -> Predicate:
        token = self._next()
        if token == _Token("symbol", "("):
            inner = self.disjunction()
            if self._next() != _Token("symbol", ")"):
                raise self._error("a parenthesis is not closed")
            return inner
        if token.is_word("TRUE") or token.is_word("FALSE"):
            constant = token.is_word("TRUE")
            return lambda _: constant
        return self._comparison_of(token)

    def _comparison_of(self, first: _Token) -> Predicate:
        operator = self._next()
        if operator.kind != "symbol" or operator.text in "()":
            raise self._error(f"after {first.text!r} comes '=', '!=' or '<>', not {operator.text!r}")
        second = self._next()
        self._check_types(first, second)
        left, right = self._operand(first), self._operand(second)
        equal = operator.text == "="

        def compare(message: Properties) -> bool | None:
            one, other = left(message), right(message)
            return None if one is None or other is None else (one == other) is equal

        return compare

    def _check_types(self, first: _Token, second: _Token) -> None:
        kinds = {first.kind, second.kind}
        if "number" in kinds and kinds != {"number"}:
            # Azure compares without conversion, so that such a route would take nothing, without a word.
            raise self._error("properties are texts: put the number in quotes")

    def _operand(self, token: _Token) -> _Operand:
        if token.kind == "text":
            text = token.text[1:-1]
            return lambda _: text
        if token.kind == "number":
            number = float(token.text)
            return lambda _: number
        if token.kind != "name" or token.text.upper() in {"AND", "OR", "NOT", "TRUE", "FALSE"}:
            raise self._error(f"{token.text!r} is no property and no value")
        name = token.text.lower()
        if name.startswith("$") and name not in SYSTEM_PROPERTIES:
            raise self._error(f"{token.text!r} is not supported: only system properties are, not body or twin")
        return lambda message: message.get(name)


def _any_of(values: list[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


def _all_of(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True
