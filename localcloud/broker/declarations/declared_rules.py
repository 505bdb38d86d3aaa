"""The declaration of a subscription's rules, in the terms of Microsoft's emulator."""

from collections.abc import Mapping
from typing import Any, Final

from localcloud.broker.declarations.declared import as_table, entity_name, refuse_unknown
from localcloud.broker.rules.rules import (
    DEFAULT_RULE,
    ConstantFilter,
    CorrelationFilter,
    Filter,
    Rule,
    SqlAction,
    SqlFilter,
)
from localcloud.errors import Misconfigured
from localcloud.expressions import ExpressionError

# To the names of the SQL.
_CORRELATION_PROPERTIES: Final = {
    "ContentType": "contenttype",
    "CorrelationId": "correlationid",
    "Label": "label",
    "MessageId": "messageid",
    "ReplyTo": "replyto",
    "ReplyToSessionId": "replytosessionid",
    "SessionId": "sessionid",
    "To": "to",
}


def parse_rules(value: Any, where: str) -> tuple[Rule, ...]:
    """Declared rules take the place of the default one, which takes every message. Raises Misconfigured."""
    if not isinstance(value, list):
        raise Misconfigured(f"{where} must be a list of rules")
    rules = tuple(_rule(entry, f"{where}[{number}]") for number, entry in enumerate(value))
    keys = [rule.name.lower() for rule in rules]
    if len(set(keys)) < len(keys):
        raise Misconfigured(f"{where}: two rules have the same name")
    return rules or (DEFAULT_RULE,)


def _rule(value: Any, where: str) -> Rule:
    declared = as_table(value, where)
    refuse_unknown(declared, {"Name", "Properties"}, where)
    rule_name, where = entity_name(declared.get("Name"), where), f"{where}.Properties"
    properties = as_table(declared.get("Properties"), where)
    refuse_unknown(properties, {"FilterType", "SqlFilter", "CorrelationFilter", "Action"}, where)
    action = None
    if "Action" in properties:
        sql = _sql(properties["Action"], f"{where}.Action")
        try:
            action = SqlAction(sql) if sql else None
        except ExpressionError as error:
            raise Misconfigured(f"{where}.Action.SqlExpression: {error}") from error
    return Rule(rule_name, _filter(properties, where), action)


def _filter(properties: Mapping[str, Any], where: str) -> Filter:
    match properties.get("FilterType"):
        case "Sql":
            try:
                return SqlFilter(_sql(properties.get("SqlFilter"), f"{where}.SqlFilter"))
            except ExpressionError as error:
                raise Misconfigured(f"{where}.SqlFilter.SqlExpression: {error}") from error
        case "Correlation":
            return _correlation_filter(properties.get("CorrelationFilter"), f"{where}.CorrelationFilter")
        case "True" | "False" as constant:
            return ConstantFilter(constant == "True")
        case other:
            raise Misconfigured(f"{where}.FilterType must be Sql, Correlation, True or False, not {other!r}")


def _sql(value: Any, where: str) -> str:
    declared = as_table(value, where)
    refuse_unknown(declared, {"SqlExpression"}, where)
    sql = declared.get("SqlExpression")
    if not isinstance(sql, str):
        raise Misconfigured(f"{where}.SqlExpression must be a text")
    return sql


def _correlation_filter(value: Any, where: str) -> CorrelationFilter:
    declared = as_table(value, where)
    refuse_unknown(declared, {*_CORRELATION_PROPERTIES, "Properties"}, where)
    user = as_table(declared.get("Properties", {}), f"{where}.Properties")
    system = {key: declared[name] for name, key in _CORRELATION_PROPERTIES.items() if name in declared}
    for key, wanted in system.items():
        if not isinstance(wanted, str):
            raise Misconfigured(f"{where}: {key} must be a text")
    for key, wanted in user.items():
        if not isinstance(wanted, str | int | float):
            raise Misconfigured(f"{where}.Properties.{key} must be a text, a number, true or false")
    if not system and not user:
        raise Misconfigured(f"{where} names no property")
    return CorrelationFilter(system, user)
