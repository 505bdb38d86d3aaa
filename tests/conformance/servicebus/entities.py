"""The entities that a test declares for itself, and the file that declares those of all tests to the broker."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from azure.servicebus import ServiceBusReceiveMode, ServiceBusSubQueue

FLAVOURS: Final = ("aio", "sync")
_FORWARDING: Final = ("ForwardTo", "ForwardDeadLetteredMessagesTo")


@dataclass(frozen=True)
class Receiver:
    """A receiver that is open when the test begins; `options` are those of the SDK."""

    options: tuple[tuple[str, Any], ...] = ()


def receiver(**options: Any) -> Receiver:
    return Receiver(tuple(options.items()))


def session(session_id: str) -> Receiver:
    """Of one session, which need not have messages yet."""
    return receiver(session_id=session_id)


PLAIN: Final = receiver()
SECOND: Final = receiver(client_identifier="second")
DELETING: Final = receiver(receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
PREFETCHING: Final = receiver(prefetch_count=10)
DEAD_LETTERS: Final = receiver(sub_queue=ServiceBusSubQueue.DEAD_LETTER)
TRANSFER_DEAD_LETTERS: Final = receiver(sub_queue=ServiceBusSubQueue.TRANSFER_DEAD_LETTER)


@dataclass(frozen=True)
class Subscription:
    properties: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]]
    receivers: tuple[Receiver, ...]


@dataclass(frozen=True)
class Entity:
    """A queue, or a topic if it has subscriptions. Properties have the names of Microsoft's emulator."""

    properties: Mapping[str, Any]
    receivers: tuple[Receiver, ...] = ()
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)


def queue(*receivers: Receiver, **properties: Any) -> Entity:
    """With a plain receiver, where one can be, and those that are given."""
    return Entity(properties, _receivers(receivers, properties))


def topic(*, properties: Mapping[str, Any] | None = None, **subscriptions: Subscription) -> Entity:
    return Entity(properties or {}, (), subscriptions)


def subscription(*receivers: Receiver, rules: Sequence[Mapping[str, Any]] = (), **properties: Any) -> Subscription:
    return Subscription(properties, rules, _receivers(receivers, properties))


def sql_rule(condition: str, action: str | None = None, name: str = "rule") -> dict[str, Any]:
    properties: dict[str, Any] = {"FilterType": "Sql", "SqlFilter": {"SqlExpression": condition}}
    if action is not None:
        properties["Action"] = {"SqlExpression": action}
    return {"Name": name, "Properties": properties}


def correlation_rule(name: str = "rule", **wanted: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": {"FilterType": "Correlation", "CorrelationFilter": wanted}}


def _receivers(given: tuple[Receiver, ...], properties: Mapping[str, Any]) -> tuple[Receiver, ...]:
    refused = properties.get("RequiresSession") or "ForwardTo" in properties
    return given if refused else (PLAIN, *given)


def entities(only: Entity | None = None, **several: Entity) -> pytest.MarkDecorator:
    """What the test works with: one entity, or several by the names that it calls them."""
    return pytest.mark.entities({"": only} if only is not None else several)


def declared(item: pytest.Function) -> Mapping[str, Entity]:
    marker = item.get_closest_marker("entities")
    found: Mapping[str, Entity] = marker.args[0] if marker is not None else {}
    return found


def global_name(item: pytest.Function, name: str) -> str:
    """The name in the namespace of an entity that the test calls `name`: no two tests share one."""
    module = item.module.__name__.rpartition(".test_")[2]
    return re.sub(r"[^\w/]+", "-", f"{module}-{item.name.removeprefix('test_')}-{name}").strip("-")


def document(items: Sequence[pytest.Function]) -> dict[str, Any]:
    """Config.json with what the tests declare."""
    queues: list[dict[str, Any]] = []
    topics: list[dict[str, Any]] = []
    for item in items:
        for name, entity in declared(item).items():
            entry = {"Name": global_name(item, name), "Properties": _global(item, entity.properties)}
            if not entity.subscriptions:
                queues.append(entry)
                continue
            subscriptions = [
                {"Name": key, "Properties": _global(item, one.properties), "Rules": list(one.rules)}
                for key, one in entity.subscriptions.items()
            ]
            topics.append({**entry, "Subscriptions": subscriptions})
    return {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": topics}]}}


def _global(item: pytest.Function, properties: Mapping[str, Any]) -> dict[str, Any]:
    targets = {key: global_name(item, properties[key]) for key in _FORWARDING if key in properties}
    return {**properties, **targets}
