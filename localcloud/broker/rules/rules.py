"""Rules of a subscription: which messages of its topic it takes, and how they are changed on the way.

A subscription takes one copy of a message that matches any of its rules without an action, and one changed copy for
each rule with an action that matches. Source: "Topic filters and actions" of Azure Service Bus.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Protocol

from localcloud.broker.errors import ENTITY_ALREADY_EXISTS, NOT_FOUND, AmqpError
from localcloud.broker.message import Message
from localcloud.broker.rules.message_properties import changed, properties_of
from localcloud.broker.rules.sql_action import parse_action
from localcloud.broker.rules.sql_expression import Properties, parse_condition
from localcloud.broker.rules.sql_values import EvaluationError, Value, equal

DEFAULT_RULE_NAME: Final = "$Default"
_RULE_NAME: Final = "RuleName"  # a copy that an action changed says so


class Filter(Protocol):
    def matches(self, properties: Properties) -> bool:
        """Raises EvaluationError."""


@dataclass(frozen=True)
class ConstantFilter:
    """The true and the false filter."""

    result: bool

    def matches(self, properties: Properties) -> bool:
        del properties
        return self.result


class SqlFilter:
    def __init__(self, sql: str) -> None:
        """Raises ExpressionError."""
        self.sql = sql
        self._condition = parse_condition(sql)

    def matches(self, properties: Properties) -> bool:
        return self._condition(properties) is True


class SqlAction:
    def __init__(self, sql: str) -> None:
        """Raises ExpressionError."""
        self.sql = sql
        self._action = parse_action(sql)

    def changed(self, message: Message, properties: Properties, rule_name: str) -> Message:
        changes = self._action(properties)
        return changed(message, changes._replace(user={**changes.user, _RULE_NAME: rule_name}))


@dataclass(frozen=True)
class CorrelationFilter:
    """Equality of some properties, all of them: `system` by the names of the SQL, `user` as they are spelled."""

    system: Mapping[str, str]
    user: Mapping[str, Value]

    @cached_property
    def _user_by_key(self) -> Mapping[str, Value]:
        return {name.lower(): value for name, value in self.user.items()}

    def matches(self, properties: Properties) -> bool:
        return _all_equal(self.system, properties.system) and _all_equal(self._user_by_key, properties.user)


def _all_equal(wanted: Mapping[str, Value], found: Mapping[str, Value]) -> bool:
    return all(equal(found.get(key), value) is True for key, value in wanted.items())


@dataclass(frozen=True)
class Rule:
    name: str
    filter: Filter
    action: SqlAction | None = None


DEFAULT_RULE: Final = Rule(DEFAULT_RULE_NAME, ConstantFilter(result=True))


class Selection(NamedTuple):
    """What a subscription gets of a message, and an error of a rule that could not be evaluated on it."""

    copies: list[Message]
    error: EvaluationError | None = None


class Rules:
    """The rules of one subscription, by name, in the order of their creation."""

    def __init__(self, rules: tuple[Rule, ...] = (DEFAULT_RULE,)) -> None:
        self._rules = {rule.name.lower(): rule for rule in rules}
        self._declared = frozenset(self._rules)

    def is_declared(self, name: str) -> bool:
        """Whether a rule of that name was there from the beginning."""
        return name.lower() in self._declared

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def add(self, rule: Rule) -> None:
        """Raises AmqpError if there is one of that name."""
        if rule.name.lower() in self._rules:
            raise AmqpError(ENTITY_ALREADY_EXISTS, f"The messaging entity '{rule.name}' already exists.")
        self._rules[rule.name.lower()] = rule

    def remove(self, name: str) -> None:
        """Raises AmqpError if there is none of that name."""
        if self._rules.pop(name.lower(), None) is None:
            raise AmqpError(NOT_FOUND, f"The messaging entity '{name}' could not be found.")

    def put(self, name: str, rule: Rule | None) -> None:
        """Sets the rule of that name, or none."""
        self._rules.pop(name.lower(), None)
        if rule is not None:
            self._rules[name.lower()] = rule

    def apply(self, message: Message) -> Selection:
        """What the subscription gets of a message."""
        if all(rule is DEFAULT_RULE for rule in self):
            return Selection([message] * len(self._rules))
        properties = properties_of(message)
        changed_copies: list[Message] = []
        plain = False
        error: EvaluationError | None = None
        for rule in self:
            try:
                if not rule.filter.matches(properties):
                    continue
                if rule.action is None:
                    plain = True
                else:
                    changed_copies.append(rule.action.changed(message, properties, rule.name))
            except EvaluationError as failed:
                error = failed
        return Selection([message] * plain + changed_copies, error)
