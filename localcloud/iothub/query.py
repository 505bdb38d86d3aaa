"""The query language of IoT Hub as functions: conditions of routes, and of queries over device twins.

Supported is all of the documented grammar of expressions. Names do not depend on case, values do. A minus sign that
stands in a name without a space belongs to it. Kinds are checked as far as they are known: a route that compares a
text with a number would take nothing, without a word.
Source: "IoT Hub query language" (expressions and conditions).
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from localcloud.expressions import Parser, Token, Tokens
from localcloud.iothub.query_functions import Function
from localcloud.iothub.query_tokens import QueryTokens
from localcloud.iothub.query_values import (
    COMPARISONS,
    UNDEFINED,
    Kind,
    Value,
    all_of,
    any_of,
    calculate,
    compare,
    is_in,
    negate,
)

Source = TypeVar("Source")  # what is asked: a message, a twin


class Node(NamedTuple):
    """A part of an expression, and what is known of its value beforehand."""

    first: Token
    kind: Kind
    evaluate: Callable[[Any], Value]


class Dialect(NamedTuple, Generic[Source]):
    """What a name stands for, and which functions and lists there are beside the operators."""

    reference: Callable[[str], tuple[Kind, Callable[[Source], Value]]]  # raises ValueError for what is no name
    functions: Mapping[str, Function]
    has_lists: bool = False


def parse_condition(text: str, dialect: Dialect[Source]) -> Callable[[Source], bool | None]:
    """The condition as a function, which is None for what is undefined. Raises `ExpressionError`."""
    tokens = QueryTokens(text)
    condition = condition_of(tokens, dialect)
    if tokens.next.kind != "end":
        raise tokens.error(f"{tokens.next} is not expected")
    return condition


def condition_of(tokens: Tokens, dialect: Dialect[Source]) -> Callable[[Source], bool | None]:
    """The condition that comes next. Raises `ExpressionError`."""
    evaluate = _Parser(tokens, dialect).condition().evaluate

    def condition(source: Source) -> bool | None:
        value = evaluate(source)
        return None if value is UNDEFINED else value is True

    return condition


class _Parser(Parser[Node]):
    def __init__(self, tokens: Tokens, dialect: Dialect[Any]) -> None:
        super().__init__(tokens)
        self._dialect = dialect

    def condition(self) -> Node:
        return self._checked(self._disjunction(), Kind.TRUTH)

    def _disjunction(self) -> Node:
        return self._chain("OR", self._conjunction, any_of)

    def _conjunction(self) -> Node:
        return self._chain("AND", self._negation, all_of)

    def _chain(self, word: str, operand: Callable[[], Node], combine: Callable[..., Value]) -> Node:
        nodes = self._operands(word, operand)
        if len(nodes) == 1:
            return nodes[0]
        evaluations = [self._checked(node, Kind.TRUTH).evaluate for node in nodes]
        # A generator: what is behind the operand that decides is not looked at.
        return Node(nodes[0].first, Kind.TRUTH, lambda source: combine(evaluate(source) for evaluate in evaluations))

    def _negation(self) -> Node:
        first, negations = self._tokens.next, self._negations()
        node = self._comparison()
        if not negations:
            return node
        evaluate = self._checked(node, Kind.TRUTH).evaluate
        if negations % 2:
            return Node(first, Kind.TRUTH, lambda source: negate(evaluate(source)))
        return Node(first, Kind.TRUTH, evaluate)

    def _comparison(self) -> Node:
        left = self._sum()
        if symbol := self._tokens.take_if("symbol", *COMPARISONS):
            return self._compared(left, str(symbol.value), self._sum())
        if self._dialect.has_lists and (word := self._tokens.take_if("keyword", "IN", "NIN")):
            return self._listed(left, negated=word.value == "NIN")
        return left

    def _compared(self, left: Node, symbol: str, right: Node) -> Node:
        if Kind.ANY not in (left.kind, right.kind) and left.kind is not right.kind:
            raise self._tokens.error(
                f"a {left.kind.value} cannot be compared with a {right.kind.value}: without quotes"
                " it is a number, and as_number() makes one of a text; this is",
                left.first,
            )
        one, other = left.evaluate, right.evaluate
        return Node(left.first, Kind.TRUTH, lambda source: compare(symbol, one(source), other(source)))

    def _listed(self, left: Node, *, negated: bool) -> Node:
        self._tokens.expect("symbol", "[")
        items = [self._sum().evaluate]
        while self._tokens.take_if("symbol", ","):
            items.append(self._sum().evaluate)
        self._tokens.expect("symbol", "]")
        value = left.evaluate

        def found(source: Any) -> Value:
            return is_in(value(source), (item(source) for item in items))

        return Node(left.first, Kind.TRUTH, (lambda source: negate(found(source))) if negated else found)

    # -- values -----------------------------------------------------------------------------------------------------

    def _sum(self) -> Node:
        return self._operation(("+", "-"), lambda: self._operation(("*", "/", "%"), self._signed))

    def _operation(self, symbols: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        node = operand()
        steps: list[tuple[str, Callable[[Any], Value]]] = []
        while symbol := self._tokens.take_if("symbol", *symbols):
            self._checked(node, Kind.NUMBER)
            steps.append((str(symbol.value), self._checked(operand(), Kind.NUMBER).evaluate))
        if not steps:
            return node

        def evaluate(source: Any) -> Value:
            value = node.evaluate(source)
            for sign, right in steps:
                value = calculate(sign, value, right(source))
            return value

        return Node(node.first, Kind.NUMBER, evaluate)

    def _signed(self) -> Node:
        first = self._tokens.next
        if not self._tokens.take_if("symbol", "-"):
            return self._primary()
        evaluate = self._checked(self._primary(), Kind.NUMBER).evaluate
        return Node(first, Kind.NUMBER, lambda source: calculate("-", 0, evaluate(source)))

    def _primary(self) -> Node:
        token = self._tokens.take()
        match token:
            case Token("text", value):
                return Node(token, Kind.TEXT, lambda _: value)
            case Token("number", value):
                return Node(token, Kind.NUMBER, lambda _: value)
            case Token("keyword", "TRUE" | "FALSE" as word):
                truth = word == "TRUE"
                return Node(token, Kind.TRUTH, lambda _: truth)
            case Token("keyword", "NULL"):
                return Node(token, Kind.ANY, lambda _: None)
            case Token("keyword", "UNDEFINED"):
                return Node(token, Kind.ANY, lambda _: UNDEFINED)
            case Token("symbol", "("):
                return self._nested(token, self._disjunction)
            case Token("name", name):
                is_call = self._tokens.take_if("symbol", "(") is not None
                return self._call(token, str(name)) if is_call else self._reference(token, str(name))
        raise self._tokens.error(f"a value is expected, not {token},", token)

    def _reference(self, token: Token, name: str) -> Node:
        try:
            kind, evaluate = self._dialect.reference(name)
        except ValueError as error:
            raise self._tokens.error(str(error), token) from error
        return Node(token, kind, evaluate)

    def _call(self, token: Token, name: str) -> Node:
        function = self._dialect.functions.get(name.upper())
        if function is None:
            raise self._tokens.error(f"there is no function {name!r}", token)
        arguments: list[Node] = []
        if not self._tokens.take_if("symbol", ")"):
            self._nested(token, lambda: self._arguments(arguments))
        if not function.takes(len(arguments)):
            raise self._tokens.error(f"{name} does not take {len(arguments)} arguments", token)
        evaluations = [
            self._checked(argument, function.parameter(index)).evaluate for index, argument in enumerate(arguments)
        ]
        return Node(
            token, function.result, lambda source: function.call([evaluate(source) for evaluate in evaluations])
        )

    def _arguments(self, into: list[Node]) -> Node:
        into.append(self._disjunction())
        while self._tokens.take_if("symbol", ","):
            into.append(self._disjunction())
        return into[-1]

    def _checked(self, node: Node, wanted: Kind) -> Node:
        if Kind.ANY not in (node.kind, wanted) and node.kind is not wanted:
            raise self._tokens.error(f"a {wanted.value} is expected, not a {node.kind.value},", node.first)
        return node
