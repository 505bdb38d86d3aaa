"""Config.json of Microsoft's emulators in the terms of our own file, so that users can bring theirs.

The Service Bus emulator's has `Namespaces`, the Event Hubs emulator's has `NamespaceConfig` (its schema: GitHub,
Azure/azure-event-hubs-emulator-installer, EventHub-Emulator/Schema/Config-schema.json). One file may have both.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from localcloud.broker.declarations.declared import as_table, entity_name, path_name, refuse_unknown
from localcloud.errors import Misconfigured

_SERVICE_BUS: Final = "Namespaces"
_EVENT_HUBS: Final = "NamespaceConfig"
_DEFAULT_GROUP: Final = "$default"  # is there, declared or not


def translated(document: Any) -> dict[str, Any]:
    """The document that `config.parse` takes. What the file says on logging is left out. Raises Misconfigured."""
    root = as_table(document, "the file")
    refuse_unknown(root, {"UserConfig"}, "the file")
    user = as_table(root.get("UserConfig"), "UserConfig")
    refuse_unknown(user, {_SERVICE_BUS, "Logging", _EVENT_HUBS, "LoggingConfig"}, "UserConfig")
    declared: dict[str, Any] = {}
    if _SERVICE_BUS in user:
        declared["servicebus"] = _service_bus(*_namespace(user, _SERVICE_BUS))
    if _EVENT_HUBS in user:
        declared["eventhubs"] = _event_hubs(*_namespace(user, _EVENT_HUBS))
    if not declared:
        raise Misconfigured(f"UserConfig must have {_SERVICE_BUS} for Service Bus or {_EVENT_HUBS} for Event Hubs")
    return declared


def _namespace(user: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], str]:
    namespaces = _list(user, key, "UserConfig")
    if len(namespaces) != 1:
        raise Misconfigured(f"UserConfig.{key} must hold one namespace, not {len(namespaces)}")
    where = f"UserConfig.{key}[0]"
    return as_table(namespaces[0], where), where


def _service_bus(namespace: Mapping[str, Any], where: str) -> dict[str, Any]:
    refuse_unknown(namespace, {"Name", "Queues", "Topics"}, where)
    return {
        "queues": _by_name(namespace, "Queues", where, set()),
        "topics": {
            name: {**topic, "Subscriptions": _by_name(topic, "Subscriptions", f"{where}.Topics.{name}", {"Rules"})}
            for name, topic in _by_name(namespace, "Topics", where, {"Subscriptions"}).items()
        },
    }


def _event_hubs(namespace: Mapping[str, Any], where: str) -> dict[str, Any]:
    refuse_unknown(namespace, {"Type", "Name", "Entities"}, where)
    if namespace.get("Type", "EventHub") != "EventHub":
        raise Misconfigured(f"{where}.Type must be EventHub")
    hubs = _named(namespace, "Entities", where, {"PartitionCount", "ConsumerGroups"})
    return {name: _event_hub(hub, place) for name, hub, place in hubs}


def _event_hub(hub: Mapping[str, Any], where: str) -> dict[str, Any]:
    declared: dict[str, Any] = {"ConsumerGroups": []}
    if "PartitionCount" in hub:
        count = hub["PartitionCount"]
        # Microsoft's samples have it in quotes too.
        declared["PartitionCount"] = int(count) if isinstance(count, str) and count.isdecimal() else count
    for number, entry in enumerate(_list(hub, "ConsumerGroups", where)):
        place = f"{where}.ConsumerGroups[{number}]"
        group = as_table(entry, place)
        refuse_unknown(group, {"Name"}, place)
        name = group.get("Name")
        if str(name).lower() != _DEFAULT_GROUP:
            declared["ConsumerGroups"].append(entity_name(name, place))
    return declared


def _by_name(parent: Mapping[str, Any], key: str, where: str, beside: set[str]) -> dict[str, dict[str, Any]]:
    """The entities of a list; `beside`: what else stands next to name and properties, and goes among these."""
    return {
        name: {
            **as_table(entity.get("Properties", {}), f"{place}.Properties"),
            **{key: entity[key] for key in beside if key in entity},
        }
        for name, entity, place in _named(parent, key, where, {"Properties", *beside})
    }


def _named(
    parent: Mapping[str, Any], key: str, where: str, known: set[str]
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """The entities of a list with their names and places."""
    names: set[str] = set()
    for number, entry in enumerate(_list(parent, key, where)):
        place = f"{where}.{key}[{number}]"
        entity = as_table(entry, place)
        refuse_unknown(entity, {"Name", *known}, place)
        name = path_name(entity.get("Name"), place)
        if name in names:
            raise Misconfigured(f"{place}: there is another {name} before it")
        names.add(name)
        yield name, entity, place


def _list(table: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise Misconfigured(f"{where}.{key} must be a list")
    return value
