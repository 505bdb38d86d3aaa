"""The SQL of rules as functions of a message's properties: conditions of filters and expressions of actions.

Supported is all of the documented grammar but parameters (`@name`), and of the system properties those that a sender
sets. Names do not depend on case, values do.
Source: "Subscription rule SQL filter syntax" of Azure Service Bus.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from localcloud.broker.rules.sql_tokens import SqlTokens
from localcloud.broker.rules.sql_values import (
    COMPARISONS,
    Truth,
    Value,
    all_of,
    any_of,
    calculate,
    compare,
    equal,
    like,
    minus,
    negate,
)
from localcloud.expressions import Parser, Token, Tokens

SYSTEM_PROPERTIES: Final = frozenset(
    {
        "contenttype",
        "correlationid",
        "label",
        "messageid",
        "partitionkey",
        "replyto",
        "replytosessionid",
        "sessionid",
        "subject",
        "to",
    }
)


class Properties(NamedTuple):
    """Of a message, all names in lower case."""

    system: Mapping[str, Value]
    user: Mapping[str, Value]


Condition = Callable[[Properties], Truth]
Expression = Callable[[Properties], Value]


class _Node(NamedTuple):
    """A part of an expression: SQL tells conditions from values, its parentheses do not."""

    first: Token
    evaluate: Expression
    is_condition: bool = False


class PropertyName(NamedTuple):
    is_system: bool
    name: str  # as it was written

    @property
    def key(self) -> str:
        return self.name.lower()

    def source(self, properties: Properties) -> Mapping[str, Value]:
        return properties.system if self.is_system else properties.user


def parse_condition(sql: str) -> Condition:
    """Raises ExpressionError."""
    tokens = SqlTokens(sql)
    node = _Parser(tokens).condition()
    if tokens.next.kind != "end":
        raise tokens.error(f"{tokens.next} is not expected")
    return node.evaluate


def parse_expression(tokens: Tokens) -> Expression:
    """The expression that comes next. Raises ExpressionError."""
    return _Parser(tokens).sum().evaluate


def parse_property(tokens: Tokens) -> PropertyName:
    """The property that comes next: `name`, `user.name` or `sys.name`. Raises ExpressionError."""
    first = tokens.take()
    if first.kind != "name":
        raise tokens.error(f"a property is expected, not {first},", first)
    if not tokens.take_if("symbol", "."):
        return PropertyName(is_system=False, name=str(first.value))
    scope, name = str(first.value).lower(), tokens.take()
    if scope not in ("sys", "user") or name.kind != "name":
        raise tokens.error("before a '.' comes 'sys' or 'user', and behind it a name,", first)
    if scope == "sys" and str(name.value).lower() not in SYSTEM_PROPERTIES:
        raise tokens.error(f"there is no system property {name} that a sender sets", name)
    return PropertyName(is_system=scope == "sys", name=str(name.value))


class _Parser(Parser[_Node]):
    def condition(self) -> _Node:
        node = self._disjunction()
        self._check_condition(node)
        return node

    def _disjunction(self) -> _Node:
        return self._chain("OR", self._conjunction, any_of)

    def _conjunction(self) -> _Node:
        return self._chain("AND", self._negation, all_of)

    def _chain(self, word: str, operand: Callable[[], _Node], combine: Callable[..., Truth]) -> _Node:
        nodes = self._operands(word, operand)
        if len(nodes) == 1:
            return nodes[0]
        for node in nodes:
            self._check_condition(node)
        # A generator: what is behind the operand that decides is not looked at.
        return _Node(nodes[0].first, lambda message: combine(node.evaluate(message) for node in nodes), True)

    def _negation(self) -> _Node:
        first, negations = self._tokens.next, self._negations()
        node = self._comparison()
        if negations:
            self._check_condition(node)
        if negations % 2 == 0:
            return node
        return _Node(first, lambda message: negate(node.evaluate(message)), True)

    def _comparison(self) -> _Node:
        if self._tokens.take_if("keyword", "EXISTS"):
            return self._exists()
        left = self.sum()
        symbol = self._tokens.take_if("symbol", *COMPARISONS)
        if symbol:
            self._check_value(left)
            right = self._value()
            sign = str(symbol.value)
            return _Node(
                left.first, lambda message: compare(sign, left.evaluate(message), right.evaluate(message)), True
            )
        if self._tokens.take_if("keyword", "IS"):
            return self._is_null(left)
        negated = self._tokens.take_if("keyword", "NOT") is not None
        if self._tokens.take_if("keyword", "IN"):
            found = self._is_in(left)
        elif self._tokens.take_if("keyword", "LIKE"):
            found = self._is_like(left)
        elif negated:
            raise self._tokens.error(f"behind NOT comes IN or LIKE, not {self._tokens.next},")
        else:
            return left
        return (
            _Node(left.first, lambda message: negate(found(message)), True)
            if negated
            else _Node(left.first, found, True)
        )

    def _exists(self) -> _Node:
        first = self._tokens.expect("symbol", "(")
        name = parse_property(self._tokens)
        self._tokens.expect("symbol", ")")
        return _Node(first, lambda message: name.key in name.source(message), True)

    def _is_null(self, left: _Node) -> _Node:
        if left.is_condition or left.first.kind != "name":
            raise self._tokens.error("only of a property it can be asked whether it is NULL,", left.first)
        expected = self._tokens.take_if("keyword", "NOT") is None
        self._tokens.expect("keyword", "NULL")
        return _Node(left.first, lambda message: (left.evaluate(message) is None) is expected, True)

    def _is_in(self, left: _Node) -> Condition:
        self._check_value(left)
        self._tokens.expect("symbol", "(")
        items = [self._value()]
        while self._tokens.take_if("symbol", ","):
            items.append(self._value())
        self._tokens.expect("symbol", ")")

        def is_in(message: Properties) -> Truth:
            value = left.evaluate(message)
            return any_of(equal(value, item.evaluate(message)) for item in items)

        return is_in

    def _is_like(self, left: _Node) -> Condition:
        self._check_value(left)
        pattern, escape = self._value(), None
        if self._tokens.take_if("keyword", "ESCAPE"):
            token = self._tokens.take()
            if token.kind != "text" or len(str(token.value)) != 1:
                raise self._tokens.error("behind ESCAPE comes one character in quotes", token)
            escape = str(token.value)
        return lambda message: like(left.evaluate(message), pattern.evaluate(message), escape)

    # ---- values

    def sum(self) -> _Node:
        return self._operation(("+", "-"), lambda: self._operation(("*", "/", "%"), self._signed))

    def _operation(self, symbols: tuple[str, ...], operand: Callable[[], _Node]) -> _Node:
        node = operand()
        steps: list[tuple[str, Expression]] = []
        while symbol := self._tokens.take_if("symbol", *symbols):
            self._check_value(node)
            right = operand()
            self._check_value(right)
            steps.append((str(symbol.value), right.evaluate))
        if not steps:
            return node

        def evaluate(message: Properties) -> Value:
            value = node.evaluate(message)
            for sign, right in steps:
                value = calculate(sign, value, right(message))
            return value

        return _Node(node.first._replace(kind="symbol"), evaluate)

    def _signed(self) -> _Node:
        first, negative = self._tokens.next, False
        signed = False
        while sign := self._tokens.take_if("symbol", "+", "-"):
            signed, negative = True, negative is not (sign.value == "-")
        node = self._primary()
        if signed:
            self._check_value(node)
        return _Node(first, lambda message: minus(node.evaluate(message))) if negative else node

    def _primary(self) -> _Node:
        token = self._tokens.next
        if token.kind in ("text", "number"):
            return _constant(self._tokens.take(), token.value)
        if self._tokens.take_if("keyword", "TRUE", "FALSE"):
            return _constant(token, token.value == "TRUE")
        if self._tokens.take_if("keyword", "NULL"):
            return _constant(token, None)
        if self._tokens.take_if("symbol", "("):
            return self._nested(token, self._disjunction)
        name = parse_property(self._tokens)
        if self._tokens.take_if("symbol", "("):
            return self._function(token, name)
        return _Node(token, lambda message: name.source(message).get(name.key))

    def _function(self, token: Token, name: PropertyName) -> _Node:
        if name.is_system or name.key not in ("newid", "p", "property"):
            raise self._tokens.error(f"there is no function {name.name!r}", token)
        if name.key == "newid":
            self._tokens.expect("symbol", ")")
            return _Node(token, lambda _: uuid.uuid4())
        wanted = self._nested(token, self._value).evaluate
        return _Node(token, lambda message: message.user.get(str(wanted(message)).lower()))

    def _value(self) -> _Node:
        node = self.sum()
        self._check_value(node)
        return node

    def _check_value(self, node: _Node) -> None:
        if node.is_condition:
            raise self._tokens.error("a value is expected, not a condition,", node.first)

    def _check_condition(self, node: _Node) -> None:
        if not node.is_condition:
            raise self._tokens.error("a condition is expected, not a value,", node.first)


def _constant(token: Token, value: Value) -> _Node:
    return _Node(token, lambda _: value)
