"""Which Event Hubs a message goes to: the hub's configuration and its application to a message."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcloud.errors import Misconfigured
from localcloud.iothub.property_bag import MessageProperties
from localcloud.iothub.query import Predicate, parse_query

DEVICE_MESSAGES: Final = "DeviceMessages"

_QUERY_NAMES: Final = {
    "content_type": "$contenttype",
    "content_encoding": "$contentencoding",
    "message_id": "$messageid",
    "correlation_id": "$correlationid",
    "user_id": "$userid",
}


@dataclass(frozen=True, slots=True)
class Route:
    name: str
    condition: Predicate
    endpoint: str  # the name of an Event Hub


@dataclass(frozen=True, slots=True)
class Routing:
    """All routes with the Event Hubs that they lead to."""

    routes: tuple[Route, ...]
    fallback: str | None  # takes what no route takes
    partition_counts: Mapping[str, int]  # of the Event Hubs in use

    def endpoints(self, device_id: str, properties: MessageProperties) -> tuple[str, ...]:
        """The Event Hubs for a message, each once however many routes lead there; empty: nobody wants it."""
        view = _query_view(device_id, properties)
        taken = dict.fromkeys(route.endpoint for route in self.routes if route.condition(view))
        if not taken and self.fallback is not None:
            return (self.fallback,)
        return tuple(taken)


def load_routing(path: Path) -> Routing:
    """The routing in `[iothub]` of a configuration file.

    Raises `Misconfigured` for a route that is incomplete, cannot be understood or leads to an Event Hub that is
    not declared under `[eventhubs]`, and for a file that is none.
    """
    try:
        configuration = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path}: {error}") from error
    hub: dict[str, Any] = configuration.get("iothub", {})
    routes = tuple(_parse_route(route) for route in hub.get("routes", []))
    fallback = hub.get("fallback_endpoint")
    used = [route.endpoint for route in routes] + ([fallback] if fallback else [])
    return Routing(routes, fallback, _partition_counts(used, configuration.get("eventhubs", {})))


def _parse_route(route: Mapping[str, str]) -> Route:
    if missing := {"name", "source", "condition", "endpoint"} - route.keys():
        raise Misconfigured(f"route {route.get('name')!r} lacks {', '.join(sorted(missing))}")
    if route["source"] != DEVICE_MESSAGES:
        raise Misconfigured(f"route {route['name']!r}: only the source {DEVICE_MESSAGES} is supported")
    return Route(route["name"], parse_query(route["condition"]), route["endpoint"])


def _partition_counts(used: Iterable[str], event_hubs: Mapping[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in used:
        count = event_hubs.get(name, {}).get("PartitionCount")
        if not isinstance(count, int) or count < 1:
            raise Misconfigured(f"a route leads to {name!r}, which is no Event Hub with a PartitionCount")
        counts[name] = count
    return counts


def _query_view(device_id: str, properties: MessageProperties) -> dict[str, str]:
    view = {name.lower(): value for name, value in properties.application.items() if not name.startswith("$")}
    view |= {_QUERY_NAMES[name]: value for name, value in properties.system.items() if name in _QUERY_NAMES}
    view |= {f"${name}": value for name, value in properties.annotations.items()}
    view["$connectiondeviceid"] = view["$iothub-connection-device-id"] = device_id
    return view
