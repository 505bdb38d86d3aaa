"""Config.json of Microsoft's Service Bus emulator in the terms of our own file, so that users can bring theirs."""

from collections.abc import Mapping
from typing import Any

from localcloud.broker.declared import as_table, entity_name, refuse_unknown
from localcloud.errors import Misconfigured


def translated(document: Any) -> dict[str, Any]:
    """The document that `config.parse` takes. What the file says on logging is left out. Raises Misconfigured."""
    root = as_table(document, "the file")
    refuse_unknown(root, {"UserConfig"}, "the file")
    user = as_table(root.get("UserConfig"), "UserConfig")
    refuse_unknown(user, {"Namespaces", "Logging"}, "UserConfig")
    namespaces = _list(user, "Namespaces", "UserConfig")
    if len(namespaces) != 1:
        raise Misconfigured(f"UserConfig.Namespaces must hold one namespace, not {len(namespaces)}")
    namespace, where = as_table(namespaces[0], "UserConfig.Namespaces[0]"), "UserConfig.Namespaces[0]"
    refuse_unknown(namespace, {"Name", "Queues", "Topics"}, where)
    return {
        "servicebus": {
            "queues": _by_name(namespace, "Queues", where, set()),
            "topics": {
                name: {**topic, "Subscriptions": _by_name(topic, "Subscriptions", f"{where}.Topics.{name}", {"Rules"})}
                for name, topic in _by_name(namespace, "Topics", where, {"Subscriptions"}).items()
            },
        }
    }


def _by_name(parent: Mapping[str, Any], key: str, where: str, beside: set[str]) -> dict[str, dict[str, Any]]:
    """The entities of a list; `beside`: what else stands next to name and properties, and goes among these."""
    entities: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(_list(parent, key, where)):
        place = f"{where}.{key}[{number}]"
        entity = as_table(entry, place)
        refuse_unknown(entity, {"Name", "Properties", *beside}, place)
        name = entity_name(entity.get("Name"), place)
        if name in entities:
            raise Misconfigured(f"{place}: there is another {name} before it")
        more = {key: entity[key] for key in beside if key in entity}
        entities[name] = {**as_table(entity.get("Properties", {}), f"{place}.Properties"), **more}
    return entities


def _list(table: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise Misconfigured(f"{where}.{key} must be a list")
    return value
