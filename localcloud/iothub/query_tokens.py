"""The words of the query language of IoT Hub.

Source: "IoT Hub query language" (expressions and conditions) and "IoT Hub message routing query syntax" (limitations).
"""

import math
import re
from typing import Final, NamedTuple

KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "TRUE", "FALSE", "NULL", "UNDEFINED", "IN", "NIN"})
MAX_LENGTH: Final = 4096  # of a query: nothing documented, but a bound there must be

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<number>0[xX][0-9a-fA-F]+(?!\w)|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<name>\$?[^\W\d](?:[\w.\-$]|\[\d+\])*)
      | (?P<symbol>!=|<>|<=|>=|[=<>()+\-*/%,\[\]])
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


class QueryError(Exception):
    """A query outside of the supported subset; the message names the place."""

    def __init__(self, query: str, position: int, reason: str) -> None:
        super().__init__(f"{reason} at character {position + 1} of {query!r}")


class Token(NamedTuple):
    kind: str  # text, number, name, keyword, symbol or end
    value: str | float
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.value)


class Tokens:
    """The tokens of a query, to be taken one by one."""

    def __init__(self, query: str) -> None:
        """Raises `QueryError`."""
        self.query = query
        if len(query) > MAX_LENGTH:
            raise QueryError(query[:40] + "…", MAX_LENGTH, f"there are more than {MAX_LENGTH} characters")
        self._tokens = [*self._split(), Token("end", "", len(query))]
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

    def take_word(self, word: str) -> bool:
        """Takes the next token if it is this word, which is none of the keywords."""
        found = self.next.kind == "name" and str(self.next.value).upper() == word
        if found:
            self.take()
        return found

    def expect(self, kind: str, value: str) -> Token:
        """Takes the next token. Raises `QueryError` if it is another."""
        token = self.take_if(kind, value)
        if token is None:
            raise self.error(f"{value!r} is expected, not {self.next},")
        return token

    def error(self, reason: str, token: Token | None = None) -> QueryError:
        return QueryError(self.query, (token or self.next).position, reason)

    def _split(self) -> list[Token]:
        tokens: list[Token] = []
        position = 0
        while position < len(self.query):
            match = _TOKEN.match(self.query, position)
            if match is None:
                raise QueryError(self.query, position, f"{self.query[position]!r} is not supported")
            assert match.lastgroup is not None
            if match.lastgroup != "space":
                tokens.append(self._token(match.lastgroup, match[0], position))
            position = match.end()
        return tokens

    def _token(self, kind: str, word: str, position: int) -> Token:
        match kind:
            case "text":
                return Token(kind, self._unescape(word[1:-1], position), position)
            case "number":
                return Token(kind, self._number(word, position), position)
            case "name" if word.upper() in KEYWORDS:
                return Token("keyword", word.upper(), position)
            case _:
                return Token(kind, word, position)

    def _unescape(self, text: str, position: int) -> str:
        def character(match: re.Match[str]) -> str:
            escape = match[1]
            if len(escape) == 5:
                return chr(int(escape[1:], 16))
            if escape not in "'\"\\":
                raise QueryError(self.query, position, f"the escape \\{escape} is not supported")
            return escape

        return _ESCAPE.sub(character, text)

    def _number(self, word: str, position: int) -> float:
        number = float(int(word, 16)) if word[:2].lower() == "0x" and len(word) < 64 else float(word)
        if math.isinf(number):
            raise QueryError(self.query, position, f"{word} is out of range")
        return number
