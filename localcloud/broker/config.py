"""The entities that a file declares, as validated objects. Names are those of Microsoft's emulators' Config.json."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localcloud.errors import Misconfigured

_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_ENTITY_NAME = re.compile(r"[A-Za-z0-9](?:[\w.\-]{0,258}[A-Za-z0-9_])?")
# Longer than any run of the broker: such a message does not expire.
_ENDLESS_S = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Of a queue or a subscription. Defaults are the service's."""

    lock_duration_s: float = 60.0
    max_delivery_count: int = 10
    default_time_to_live_s: float | None = None
    dead_letter_on_expiration: bool = False
    requires_session: bool = False
    duplicate_window_s: float | None = None


@dataclass(frozen=True, slots=True)
class TopicSettings:
    subscriptions: Mapping[str, QueueSettings]
    duplicate_window_s: float | None = None


@dataclass(frozen=True, slots=True)
class EventHubSettings:
    partition_count: int
    consumer_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """All entities of a namespace by name. No two names differ only in case."""

    queues: Mapping[str, QueueSettings]
    topics: Mapping[str, TopicSettings]
    event_hubs: Mapping[str, EventHubSettings]


def load(path: Path) -> BrokerConfig:
    """Reads `[servicebus]` and `[eventhubs]` of a TOML file; other sections are not the broker's.

    Raises Misconfigured.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"{path} is not valid TOML: {error}") from error
    return parse(document)


def parse(document: Mapping[str, Any]) -> BrokerConfig:
    """Raises Misconfigured that names the property at fault."""
    service_bus = _table(document.get("servicebus", {}), "servicebus")
    _refuse_unknown(service_bus, {"defaults", "queues", "topics"}, "servicebus")
    defaults = _queue(service_bus.get("defaults", {}), "servicebus.defaults", QueueSettings())
    config = BrokerConfig(
        queues={
            name: _queue(value, where, defaults)
            for name, value, where in _entities(service_bus.get("queues", {}), "servicebus.queues")
        },
        topics={
            name: _topic(value, where, defaults)
            for name, value, where in _entities(service_bus.get("topics", {}), "servicebus.topics")
        },
        event_hubs={
            name: _event_hub(value, where)
            for name, value, where in _entities(document.get("eventhubs", {}), "eventhubs")
        },
    )
    _refuse_same_names([*config.queues, *config.topics, *config.event_hubs])
    return config


def parse_duration(text: str) -> float:
    """Seconds of an ISO 8601 duration of days, hours, minutes and seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError(f"{text!r} is no ISO 8601 duration such as PT30S or P14D")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _queue(value: Any, where: str, defaults: QueueSettings) -> QueueSettings:
    table = _table(value, where)
    _refuse_unknown(
        table,
        {
            "LockDuration",
            "MaxDeliveryCount",
            "DefaultMessageTimeToLive",
            "DeadLetteringOnMessageExpiration",
            "RequiresSession",
            "RequiresDuplicateDetection",
            "DuplicateDetectionHistoryTimeWindow",
        },
        where,
    )
    default_time_to_live_s = _duration(table, "DefaultMessageTimeToLive", where, defaults.default_time_to_live_s)
    if default_time_to_live_s is not None and default_time_to_live_s > _ENDLESS_S:
        default_time_to_live_s = None
    return replace(
        defaults,
        lock_duration_s=_duration(table, "LockDuration", where, defaults.lock_duration_s),
        max_delivery_count=_count(table, "MaxDeliveryCount", where, defaults.max_delivery_count, 2000),
        default_time_to_live_s=default_time_to_live_s,
        dead_letter_on_expiration=_flag(
            table, "DeadLetteringOnMessageExpiration", where, defaults.dead_letter_on_expiration
        ),
        requires_session=_flag(table, "RequiresSession", where, defaults.requires_session),
        duplicate_window_s=_duplicate_window(table, where, defaults.duplicate_window_s),
    )


def _topic(value: Any, where: str, defaults: QueueSettings) -> TopicSettings:
    table = _table(value, where)
    known = {
        "Subscriptions",
        "DefaultMessageTimeToLive",
        "RequiresDuplicateDetection",
        "DuplicateDetectionHistoryTimeWindow",
    }
    _refuse_unknown(table, known, where)
    time_to_live_s = _duration(table, "DefaultMessageTimeToLive", where, defaults.default_time_to_live_s)
    inherited = replace(defaults, default_time_to_live_s=time_to_live_s, duplicate_window_s=None)
    declared = table.get("Subscriptions", [])
    if isinstance(declared, list):
        declared = {_name(name, f"{where}.Subscriptions"): {} for name in declared}
    subscriptions = {
        name: _subscription(value, place, inherited)
        for name, value, place in _entities(declared, f"{where}.Subscriptions")
    }
    _refuse_same_names(subscriptions)
    return TopicSettings(subscriptions, _duplicate_window(table, where, defaults.duplicate_window_s))


def _subscription(value: Any, where: str, defaults: QueueSettings) -> QueueSettings:
    settings = _queue(value, where, defaults)
    if settings.duplicate_window_s is not None:
        raise Misconfigured(f"{where}: RequiresDuplicateDetection is a property of the topic")
    return settings


def _event_hub(value: Any, where: str) -> EventHubSettings:
    table = _table(value, where)
    _refuse_unknown(table, {"PartitionCount", "ConsumerGroups"}, where)
    groups = table.get("ConsumerGroups", [])
    if not isinstance(groups, list):
        raise Misconfigured(f"{where}.ConsumerGroups must be a list of names")
    names = tuple(_name(group, f"{where}.ConsumerGroups") for group in groups)
    return EventHubSettings(_count(table, "PartitionCount", where, 1, 1024), names)


def _duplicate_window(table: Mapping[str, Any], where: str, default_s: float | None) -> float | None:
    # Ten minutes is the service's window where only the switch is given.
    window_s = _duration(table, "DuplicateDetectionHistoryTimeWindow", where, default_s or 600.0)
    return window_s if _flag(table, "RequiresDuplicateDetection", where, default_s is not None) else None


def _entities(value: Any, where: str) -> list[tuple[str, Any, str]]:
    return [(_name(name, where), entity, f"{where}.{name}") for name, entity in _table(value, where).items()]


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or (value != "$Default" and not _ENTITY_NAME.fullmatch(value)):
        raise Misconfigured(f"{where}: {value!r} cannot be a name")
    return value


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Misconfigured(f"{where} must be a table")
    return value


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise Misconfigured(f"{where}: unknown property {unknown[0]}; known are {', '.join(sorted(known))}")


def _refuse_same_names(names: Any) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise Misconfigured(f"two entities are called {name}: they share one port and must differ")
        seen.add(name.lower())


def _duration(table: Mapping[str, Any], key: str, where: str, default: Any) -> Any:
    if key not in table:
        return default
    try:
        seconds = parse_duration(table[key])
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"{where}.{key}: {error}") from error
    if seconds <= 0:
        raise Misconfigured(f"{where}.{key} must be longer than nothing")
    return seconds


def _count(table: Mapping[str, Any], key: str, where: str, default: int, maximum: int) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
        raise Misconfigured(f"{where}.{key} must be a whole number from 1 to {maximum}")
    return value


def _flag(table: Mapping[str, Any], key: str, where: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise Misconfigured(f"{where}.{key} must be true or false")
    return value
