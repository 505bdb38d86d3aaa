"""The words of the SQL in which rules are written.

Source: "Subscription rule SQL filter syntax" and "Subscription rule SQL action syntax" of Azure Service Bus.
"""

import math
import re
from typing import Final, NamedTuple

MAX_LENGTH: Final = 1024  # of an expression: the service's quota
KEYWORDS: Final = frozenset(
    {"AND", "OR", "NOT", "IN", "LIKE", "ESCAPE", "IS", "NULL", "EXISTS", "TRUE", "FALSE", "SET", "REMOVE"}
)
_MAX_INTEGER: Final = 2**63 - 1

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>[^\W\d_]\w*|\[(?:[^\]]|\]\])+\]|"(?:[^"]|"")+")
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
      | (?P<symbol><>|!=|<=|>=|[=<>+\-*/%(),.;])
    """,
    re.VERBOSE,
)


class SqlError(ValueError):
    """An expression outside the documented subset; the message names the place."""

    def __init__(self, sql: str, position: int, reason: str) -> None:
        super().__init__(f"{reason} at character {position + 1} of {sql!r}")


class Token(NamedTuple):
    kind: str  # text, number, name, keyword, symbol or end
    value: str | int | float
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.value)


class Tokens:
    """The tokens of an expression, to be taken one by one."""

    def __init__(self, sql: str) -> None:
        """Raises SqlError."""
        self.sql = sql
        if len(sql) > MAX_LENGTH:
            raise SqlError(sql[:40] + "...", MAX_LENGTH, f"there are more than {MAX_LENGTH} characters")
        self._tokens = [*self._split(), Token("end", "", len(sql))]
        self._next = 0

    @property
    def next(self) -> Token:
        """The one that comes next, which stays."""
        return self._tokens[self._next]

    def take(self) -> Token:
        token = self.next
        if token.kind != "end":
            self._next += 1
        return token

    def take_if(self, kind: str, *values: str) -> Token | None:
        """The next token if it is one of these."""
        return self.take() if self.next.kind == kind and self.next.value in values else None

    def expect(self, kind: str, value: str) -> Token:
        """Takes the next token. Raises SqlError if it is another."""
        token = self.take_if(kind, value)
        if token is None:
            raise self.error(f"{value!r} is expected, not {self.next},")
        return token

    def error(self, reason: str, token: Token | None = None) -> SqlError:
        return SqlError(self.sql, (token or self.next).position, reason)

    def _split(self) -> list[Token]:
        tokens: list[Token] = []
        position = 0
        while position < len(self.sql):
            match = _TOKEN.match(self.sql, position)
            if match is None:
                raise SqlError(self.sql, position, f"{self.sql[position]!r} is not supported")
            assert match.lastgroup is not None
            if match.lastgroup != "space":
                tokens.append(self._token(match.lastgroup, match[0], position))
            position = match.end()
        return tokens

    def _token(self, kind: str, word: str, position: int) -> Token:
        match kind:
            case "text":
                return Token(kind, word[1:-1].replace("''", "'"), position)
            case "number":
                return Token(kind, self._number(word, position), position)
            case "name" if word[0] in '["':
                return Token(kind, word[1:-1].replace(word[-1] * 2, word[-1]), position)
            case "name" if word.upper() in KEYWORDS:
                return Token("keyword", word.upper(), position)
            case _:
                return Token(kind, word, position)

    def _number(self, word: str, position: int) -> int | float:
        number = int(word) if word.isdigit() else float(word)
        if math.isinf(number) or (isinstance(number, int) and number > _MAX_INTEGER):
            raise SqlError(self.sql, position, f"{word} is out of range")
        return number
