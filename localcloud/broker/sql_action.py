"""SQL actions: what a rule changes in the application properties of the messages that it takes.

Source: "Subscription rule SQL action syntax" of Azure Service Bus. System properties can be read, not set, and SET
gives a property the type of the new value whatever the old one was.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from localcloud.broker.sql_expression import Expression, Properties, PropertyName, parse_expression, parse_property
from localcloud.broker.sql_tokens import SqlTokens
from localcloud.broker.sql_values import Value
from localcloud.expressions import Tokens

MAX_STATEMENTS: Final = 32  # the service's quota


class Removed:
    """In place of a value: the property is gone."""


REMOVED: Final = Removed()

# Changed properties by the name that the action gives them; names differ in more than case.
Changes = Mapping[str, Value | Removed]
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
    if target.is_system:
        raise tokens.error("only application properties can be changed, not this one", at)
    expression = None
    if verb.value == "SET":
        tokens.expect("symbol", "=")
        expression = parse_expression(tokens)
    # Both may end a statement, and neither has to.
    tokens.take_if("symbol", ";")
    tokens.take_if("symbol", ",")
    return _Statement(target, expression)


def _run(statements: list[_Statement], properties: Properties) -> Changes:
    user = dict(properties.user)
    changed: dict[str, tuple[str, Value | Removed]] = {}
    for target, expression in statements:
        if expression is None:
            user.pop(target.key, None)
            changed[target.key] = (target.name, REMOVED)
        else:
            # Each statement sees what those before it did.
            value = user[target.key] = expression(properties._replace(user=user))
            changed[target.key] = (target.name, value)
    return dict(changed.values())
