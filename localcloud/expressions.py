"""Words and grammar that the small languages have in common in which users write conditions.

They are the SQL of Service Bus rules and the query language of IoT Hub.
"""

import re
from collections.abc import Callable
from typing import ClassVar, Final, Generic, NamedTuple, TypeVar

_MAX_DEPTH: Final = 32  # of parentheses; deeper ones would exhaust Python's stack

Node = TypeVar("Node")  # a part of an expression


class ExpressionError(ValueError):
    """An expression outside the documented subset; the message names the place."""

    def __init__(self, text: str, position: int, reason: str) -> None:
        super().__init__(f"{reason} at character {position + 1} of {text!r}")


class Token(NamedTuple):
    kind: str  # text, number, name, keyword, symbol or end
    value: str | int | float
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.value)


class Tokens:
    """The tokens of an expression, to be taken one by one. A language says what they look like and what they mean."""

    pattern: ClassVar[re.Pattern[str]]  # with a group for each kind, and `space` for what is passed over
    max_length: ClassVar[int]

    def __init__(self, text: str) -> None:
        """Raises ExpressionError."""
        self.text = text
        if len(text) > self.max_length:
            raise ExpressionError(text[:40] + "…", self.max_length, f"there are more than {self.max_length} characters")
        self._tokens = [*self._split(), Token("end", "", len(text))]
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
        """Takes the next token. Raises ExpressionError if it is another."""
        token = self.take_if(kind, value)
        if token is None:
            raise self.error(f"{value!r} is expected, not {self.next},")
        return token

    def error(self, reason: str, token: Token | None = None) -> ExpressionError:
        return ExpressionError(self.text, (token or self.next).position, reason)

    def value_of(self, kind: str, word: str, position: int) -> tuple[str, str | int | float]:
        """What a match of the pattern is: its kind and value. Raises ExpressionError."""
        raise NotImplementedError

    def _split(self) -> list[Token]:
        tokens: list[Token] = []
        position = 0
        while position < len(self.text):
            match = self.pattern.match(self.text, position)
            if match is None:
                raise ExpressionError(self.text, position, f"{self.text[position]!r} is not supported")
            assert match.lastgroup is not None
            if match.lastgroup != "space":
                tokens.append(Token(*self.value_of(match.lastgroup, match[0], position), position))
            position = match.end()
        return tokens


class Parser(Generic[Node]):
    """What recursive descent needs in any of the languages, one method a level of precedence."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._depth = 0

    def _operands(self, word: str, operand: Callable[[], Node]) -> list[Node]:
        """One operand, or several with this keyword between them. Raises ExpressionError."""
        nodes = [operand()]
        while self._tokens.take_if("keyword", word):
            nodes.append(operand())
        return nodes

    def _negations(self) -> int:
        count = 0
        while self._tokens.take_if("keyword", "NOT"):
            count += 1
        return count

    def _nested(self, token: Token, inner: Callable[[], Node]) -> Node:
        """What stands within parentheses, of which the first is taken. Raises ExpressionError."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._tokens.error(f"parentheses are nested deeper than {_MAX_DEPTH}", token)
        node = inner()
        self._depth -= 1
        self._tokens.expect("symbol", ")")
        return node
