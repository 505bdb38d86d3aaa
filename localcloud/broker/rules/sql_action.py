"""SQL actions: what a rule changes in the properties of the messages that it takes.

Source: "Subscription rule SQL action syntax" of Azure Service Bus. SET gives an application property the type of the
new value whatever the old one was; a system property takes texts only.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from localcloud.broker.rules.sql_expression import (
    Expression,
    Properties,
    PropertyName,
    parse_expression,
    parse_property,
)
from localcloud.broker.rules.sql_tokens import SqlTokens
from localcloud.broker.rules.sql_values import EvaluationError, Value
from localcloud.expressions import Tokens

MAX_STATEMENTS: Final = 32  # the service's quota


class Removed:
    """In place of a value: the property is gone."""


REMOVED: Final = Removed()


class Changes(NamedTuple):
    """Changed properties: of the application by the name that the action gives them, of the system in lower case."""

    user: Mapping[str, Value | Removed]  # names differ in more than case
    system: Mapping[str, str | None]  # None is removed


Action = Callable[[Properties], Changes]


class _Statement(NamedTuple):
    target: PropertyName
    expression: Expression | None  # None removes


def parse_action(sql: str) -> Action:
    """Raises ExpressionError."""
    tokens = SqlTokens(sql)
    statements = [_statement(tokens)]
    while tokens.next.kind != "end":
        if len(statements) == MAX_STATEMENTS:
            raise tokens.error(f"there are more than {MAX_STATEMENTS} statements")
        statements.append(_statement(tokens))
    return lambda properties: _run(statements, properties)


def _statement(tokens: Tokens) -> _Statement:
    verb = tokens.take()
    if verb.kind != "keyword" or verb.value not in ("SET", "REMOVE"):
        raise tokens.error(f"SET or REMOVE is expected, not {verb},", verb)
    at = tokens.next
    target = parse_property(tokens)
    if target.is_system and (target.key == "partitionkey" or (verb.value == "REMOVE" and target.key == "messageid")):
        raise tokens.error(f"sys.{target.name} cannot be changed so", at)
    expression = None
    if verb.value == "SET":
        tokens.expect("symbol", "=")
        expression = parse_expression(tokens)
    # Both may end a statement, and neither has to.
    tokens.take_if("symbol", ";")
    tokens.take_if("symbol", ",")
    return _Statement(target, expression)


def _run(statements: list[_Statement], properties: Properties) -> Changes:
    user, system = dict(properties.user), dict(properties.system)
    changed: dict[str, tuple[str, Value | Removed]] = {}
    changed_system: dict[str, str | None] = {}
    for target, expression in statements:
        # Each statement sees what those before it did.
        value = REMOVED if expression is None else expression(Properties(system, user))
        seen = system if target.is_system else user
        if value is REMOVED:
            seen.pop(target.key, None)
        else:
            seen[target.key] = value
        if target.is_system:
            changed_system[target.key] = _text_of(target, value)
        else:
            changed[target.key] = (target.name, value)
    return Changes(dict(changed.values()), changed_system)


def _text_of(target: PropertyName, value: Value | Removed) -> str | None:
    if isinstance(value, Removed):
        return None
    if not isinstance(value, str):
        raise EvaluationError(f"sys.{target.name} takes a text only.")
    return value
