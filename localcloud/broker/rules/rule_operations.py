"""Operations on the rules of a subscription, as its `$management` node is asked for them.

Source: "AMQP 1.0 in Azure Service Bus: request-response-based operations", rule operations.
"""

from collections.abc import Callable
from typing import Any, Final

from localcloud.broker.errors import ARGUMENT_ERROR, AmqpError
from localcloud.broker.fields import Body, field
from localcloud.broker.records import EntityRecords
from localcloud.broker.requests import Response
from localcloud.broker.rules.rules import ConstantFilter, CorrelationFilter, Filter, Rule, Rules, SqlAction, SqlFilter
from localcloud.broker.wire.amqp_types import Described, Encoded, ULong
from localcloud.broker.wire.encoder import encode
from localcloud.expressions import ExpressionError

# In the documented order, which is that of the list on the wire, and by the names of the SQL.
CORRELATION_FIELDS: Final = {
    "correlation-id": "correlationid",
    "message-id": "messageid",
    "to": "to",
    "reply-to": "replyto",
    "label": "label",
    "session-id": "sessionid",
    "reply-to-session-id": "replytosessionid",
    "content-type": "contenttype",
}
_RULE_DESCRIPTION, _EMPTY_ACTION, _SQL_ACTION = 0x13700000004, 0x13700000005, 0x13700000006
# Filters have a digit less: so the documentation says, and so the SDKs have it.
_SQL, _TRUE, _FALSE, _CORRELATION = 0x1370000006, 0x1370000007, 0x1370000008, 0x1370000009


def restore_rules(rules: Rules, records: EntityRecords) -> None:
    """Changes the declared rules as clients had changed them when the broker ended."""
    for name, description in records.rule_changes():
        rules.put(name, None if description is None else _parse(name, description))


def _add(rules: Rules, records: EntityRecords, body: Body) -> Response:
    name, description = field(body, "rule-name", str), field(body, "rule-description", dict)
    try:
        encoded = encode(description)
    except (TypeError, RecursionError) as error:
        raise AmqpError(ARGUMENT_ERROR, f"The rule '{name}' cannot be kept: {error}.") from error
    rules.add(_parse(name, description))
    records.rule_change(name, encoded)
    return Response(200, "OK")


def _parse(name: str, description: Body) -> Rule:
    if not name:
        raise AmqpError(ARGUMENT_ERROR, "'rule-name' is empty.")
    try:
        action = description.get("sql-rule-action")
        return Rule(
            name,
            _filter(description),
            SqlAction(field(action, "expression", str)) if isinstance(action, dict) else None,
        )
    except ExpressionError as error:
        raise AmqpError(ARGUMENT_ERROR, f"The rule '{name}' is not valid: {error}.") from error


def _remove(rules: Rules, records: EntityRecords, body: Body) -> Response:
    name = field(body, "rule-name", str)
    rules.remove(name)
    if rules.is_declared(name):
        records.rule_change(name, None)
    else:
        records.forget_rule(name)
    return Response(200, "OK")


def _enumerate(rules: Rules, records: EntityRecords, body: Body) -> Response:
    del records
    skip, top = field(body, "skip", int), field(body, "top", int)
    if skip < 0 or top < 0:
        raise AmqpError(ARGUMENT_ERROR, "'skip' and 'top' are not negative.")
    page = sorted(rules, key=lambda rule: rule.name.lower())[skip : skip + top]
    if not page:
        return Response(204, "No content")
    return Response(200, "OK", {"rules": [{"rule-description": _described(rule)} for rule in page]})


def _filter(description: Body) -> Filter:
    sql, correlation = description.get("sql-filter"), description.get("correlation-filter")
    if isinstance(sql, dict) and correlation is None:
        return SqlFilter(field(sql, "expression", str))
    if not isinstance(correlation, dict) or sql is not None:
        raise AmqpError(ARGUMENT_ERROR, "A rule has either a 'sql-filter' or a 'correlation-filter'.")
    system = {
        name: field(correlation, key, str)
        for key, name in CORRELATION_FIELDS.items()
        if correlation.get(key) is not None
    }
    user = {} if correlation.get("properties") is None else field(correlation, "properties", dict)
    if any(isinstance(value, list | dict | Described | Encoded) for value in user.values()):
        raise AmqpError(ARGUMENT_ERROR, "A 'correlation-filter' compares with simple values.")
    if not system and not user:
        raise AmqpError(ARGUMENT_ERROR, "A 'correlation-filter' names at least one property.")
    return CorrelationFilter(system, {str(name): value for name, value in user.items()})


def _described(rule: Rule) -> Described:
    action = Described(ULong(_EMPTY_ACTION), [])
    if rule.action is not None:
        action = Described(ULong(_SQL_ACTION), [rule.action.sql])
    return Described(ULong(_RULE_DESCRIPTION), [_described_filter(rule.filter), action, rule.name])


def _described_filter(rule_filter: Filter) -> Described:
    match rule_filter:
        case SqlFilter():
            return Described(ULong(_SQL), [rule_filter.sql])
        case CorrelationFilter():
            fields: list[Any] = [rule_filter.system.get(name) for name in CORRELATION_FIELDS.values()]
            return Described(ULong(_CORRELATION), [*fields, dict(rule_filter.user)])
        case ConstantFilter(result=True):
            return Described(ULong(_TRUE), [])
        case _:
            return Described(ULong(_FALSE), [])


FOR_RULES: Final[dict[str, Callable[[Rules, EntityRecords, Body], Response]]] = {
    "add-rule": _add,
    "remove-rule": _remove,
    "enumerate-rules": _enumerate,
}
