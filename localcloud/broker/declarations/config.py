"""The entities that a file declares, as validated objects. Names are those of Microsoft's emulators' Config.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from localcloud.broker.declarations.declared import (
    as_table,
    count,
    duration,
    entities,
    entity_name,
    flag,
    path_name,
    refuse_same_names,
    refuse_unknown,
)
from localcloud.broker.declarations.declared_limits import (
    DEFAULT_LIMITS,
    LIMITS,
    NEVER_S,
    Limits,
    parse_limits,
    refuse_unsupported,
)
from localcloud.broker.declarations.declared_rules import parse_rules
from localcloud.broker.declarations.emulator_config import translated
from localcloud.broker.rules.rules import Rule
from localcloud.declaration import is_emulator_config, read_declaration
from localcloud.errors import Misconfigured

_ON_FILTER_ERRORS = "DeadLetteringOnFilterEvaluationExceptions"
_RETENTION_HOURS, _MAX_RETENTION_HOURS = 24, 2160


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Of a queue or a subscription. Defaults are the service's."""

    lock_duration_s: float = 60.0
    max_delivery_count: int = 10
    default_time_to_live_s: float | None = None
    dead_letter_on_expiration: bool = False
    dead_letter_on_filter_errors: bool = False  # of a subscription
    requires_session: bool = False
    duplicate_window_s: float | None = None
    forward_to: str | None = None  # a queue or topic
    forward_dead_letters_to: str | None = None
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class TopicSettings:
    subscriptions: Mapping[str, QueueSettings]
    duplicate_window_s: float | None = None
    # By subscription; one that is not here takes every message.
    rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class EventHubSettings:
    partition_count: int
    consumer_groups: tuple[str, ...] = ()
    retention_s: float = _RETENTION_HOURS * 3600.0


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """All entities of a namespace by name. No two names differ only in case."""

    queues: Mapping[str, QueueSettings]
    topics: Mapping[str, TopicSettings]
    event_hubs: Mapping[str, EventHubSettings]


def load(*paths: Path) -> BrokerConfig:
    """Reads `[servicebus]` and `[eventhubs]` of TOML files, or the Config.json of Microsoft's emulators.

    Several files declare one namespace together, and no entity twice. Other sections of a TOML file are not the
    broker's. Raises Misconfigured.
    """
    parts = [_declared(_document(path)) for path in paths]
    files: dict[str, Path] = {}
    for path, part in zip(paths, parts, strict=True):
        for name in {name.lower() for name in _names(part)}:
            if name in files:
                raise Misconfigured(f"{path}: {files[name]} declares an entity called {name} too")
            files[name] = path
    return _checked(
        BrokerConfig(
            queues={name: queue for part in parts for name, queue in part.queues.items()},
            topics={name: topic for part in parts for name, topic in part.topics.items()},
            event_hubs={name: hub for part in parts for name, hub in part.event_hubs.items()},
        )
    )


def parse(document: Mapping[str, Any]) -> BrokerConfig:
    """Raises Misconfigured that names the property at fault."""
    return _checked(_declared(document))


def _document(path: Path) -> Mapping[str, Any]:
    document = read_declaration(path)
    return translated(document) if is_emulator_config(path) else document


def _declared(document: Mapping[str, Any]) -> BrokerConfig:
    service_bus = as_table(document.get("servicebus", {}), "servicebus")
    refuse_unknown(service_bus, {"defaults", "queues", "topics"}, "servicebus")
    defaults = _queue(service_bus.get("defaults", {}), "servicebus.defaults", QueueSettings())
    return BrokerConfig(
        queues={
            name: _queue(value, where, defaults)
            for name, value, where in entities(service_bus.get("queues", {}), "servicebus.queues", paths=True)
        },
        topics={
            name: _topic(value, where, defaults)
            for name, value, where in entities(service_bus.get("topics", {}), "servicebus.topics", paths=True)
        },
        event_hubs={
            name: _event_hub(value, where)
            for name, value, where in entities(document.get("eventhubs", {}), "eventhubs")
        },
    )


def _checked(config: BrokerConfig) -> BrokerConfig:
    refuse_same_names(_names(config))
    _refuse_unknown_targets(config)
    return config


def _names(config: BrokerConfig) -> list[str]:
    return [*config.queues, *config.topics, *config.event_hubs]


def _queue(value: Any, where: str, defaults: QueueSettings) -> QueueSettings:
    table = as_table(value, where)
    refuse_unsupported(table, where)
    refuse_unknown(
        table,
        {
            *LIMITS,
            "LockDuration",
            "MaxDeliveryCount",
            "DefaultMessageTimeToLive",
            "DeadLetteringOnMessageExpiration",
            "RequiresSession",
            "RequiresDuplicateDetection",
            "DuplicateDetectionHistoryTimeWindow",
            "ForwardTo",
            "ForwardDeadLetteredMessagesTo",
        },
        where,
    )
    default_time_to_live_s = duration(table, "DefaultMessageTimeToLive", where, defaults.default_time_to_live_s)
    if default_time_to_live_s is not None and default_time_to_live_s > NEVER_S:
        default_time_to_live_s = None
    settings = replace(
        defaults,
        lock_duration_s=duration(table, "LockDuration", where, defaults.lock_duration_s),
        max_delivery_count=count(table, "MaxDeliveryCount", where, defaults.max_delivery_count, 2000),
        default_time_to_live_s=default_time_to_live_s,
        dead_letter_on_expiration=flag(
            table, "DeadLetteringOnMessageExpiration", where, defaults.dead_letter_on_expiration
        ),
        requires_session=flag(table, "RequiresSession", where, defaults.requires_session),
        duplicate_window_s=_duplicate_window(table, where, defaults.duplicate_window_s),
        forward_to=_target(table, "ForwardTo", where, defaults.forward_to),
        forward_dead_letters_to=_target(
            table, "ForwardDeadLetteredMessagesTo", where, defaults.forward_dead_letters_to
        ),
        limits=parse_limits(table, where, defaults.limits),
    )
    if settings.forward_to is not None and settings.requires_session:
        raise Misconfigured(f"{where}: ForwardTo does not go together with RequiresSession")
    return settings


def _target(table: Mapping[str, Any], key: str, where: str, default: str | None) -> str | None:
    # Microsoft's file has empty texts where nothing is forwarded.
    value = table.get(key, default)
    return None if value in (None, "") else path_name(value, f"{where}.{key}")


def _refuse_unknown_targets(config: BrokerConfig) -> None:
    sources = [(f"servicebus.queues.{name}", settings, name) for name, settings in config.queues.items()]
    for topic_name, topic in config.topics.items():
        where = f"servicebus.topics.{topic_name}.Subscriptions"
        sources += [(f"{where}.{name}", settings, topic_name) for name, settings in topic.subscriptions.items()]
    targets = {name.lower() for name in (*config.queues, *config.topics)}
    for where, settings, own in sources:
        for target in (settings.forward_to, settings.forward_dead_letters_to):
            if target is not None and target.lower() not in targets - {own.lower()}:
                raise Misconfigured(f"{where}: nothing can be forwarded to {target}, which is no other queue or topic")


def _topic(value: Any, where: str, defaults: QueueSettings) -> TopicSettings:
    table = as_table(value, where)
    refuse_unsupported(table, where)
    known = {
        *LIMITS,
        "Subscriptions",
        "DefaultMessageTimeToLive",
        "RequiresDuplicateDetection",
        "DuplicateDetectionHistoryTimeWindow",
    }
    refuse_unknown(table, known, where)
    time_to_live_s = duration(table, "DefaultMessageTimeToLive", where, defaults.default_time_to_live_s)
    inherited = replace(defaults, default_time_to_live_s=time_to_live_s, duplicate_window_s=None)
    declared = table.get("Subscriptions", [])
    if isinstance(declared, list):
        declared = {entity_name(name, f"{where}.Subscriptions"): {} for name in declared}
    subscriptions = {
        name: _subscription(value, place, inherited)
        for name, value, place in entities(declared, f"{where}.Subscriptions")
    }
    refuse_same_names(subscriptions)
    rules = {
        name: parse_rules(value["Rules"], f"{place}.Rules")
        for name, value, place in entities(declared, f"{where}.Subscriptions")
        if "Rules" in value
    }
    window_s = _duplicate_window(table, where, defaults.duplicate_window_s)
    return TopicSettings(subscriptions, window_s, rules, parse_limits(table, where, defaults.limits))


def _subscription(value: Any, where: str, defaults: QueueSettings) -> QueueSettings:
    table = as_table(value, where)
    beside = ("Rules", _ON_FILTER_ERRORS)
    settings = _queue({key: value for key, value in table.items() if key not in beside}, where, defaults)
    if settings.duplicate_window_s is not None:
        raise Misconfigured(f"{where}: RequiresDuplicateDetection is a property of the topic")
    lives_s = [life_s for life_s in (settings.default_time_to_live_s, defaults.default_time_to_live_s) if life_s]
    return replace(
        settings,
        default_time_to_live_s=min(lives_s, default=None),  # the topic's is the most
        dead_letter_on_filter_errors=flag(table, _ON_FILTER_ERRORS, where, default=False),
    )


def _event_hub(value: Any, where: str) -> EventHubSettings:
    table = as_table(value, where)
    refuse_unknown(table, {"PartitionCount", "ConsumerGroups", "RetentionTimeInHours"}, where)
    groups = table.get("ConsumerGroups", [])
    if not isinstance(groups, list):
        raise Misconfigured(f"{where}.ConsumerGroups must be a list of names")
    names = tuple(entity_name(group, f"{where}.ConsumerGroups") for group in groups)
    return EventHubSettings(count(table, "PartitionCount", where, 1, 1024), names, _retention_s(table, where))


def _retention_s(table: Mapping[str, Any], where: str) -> float:
    # In Azure whole hours; less than one serves to try what an app does when events are gone.
    hours = table.get("RetentionTimeInHours", _RETENTION_HOURS)
    if not isinstance(hours, int | float) or isinstance(hours, bool) or not 0 < hours <= _MAX_RETENTION_HOURS:
        raise Misconfigured(f"{where}.RetentionTimeInHours must be a number above 0 and up to {_MAX_RETENTION_HOURS}")
    return hours * 3600.0


def _duplicate_window(table: Mapping[str, Any], where: str, default_s: float | None) -> float | None:
    # Ten minutes is the service's window where only the switch is given.
    window_s = duration(table, "DuplicateDetectionHistoryTimeWindow", where, default_s or 600.0)
    return window_s if flag(table, "RequiresDuplicateDetection", where, default_s is not None) else None
