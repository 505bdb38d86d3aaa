"""Which Event Hubs a message goes to: the hub's configuration and its application to a message.

Source: "Use IoT Hub message routing to send device-to-cloud messages to different endpoints".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.errors import Misconfigured
from localcloud.iothub.events import Event, MessageSource
from localcloud.iothub.message_view import Condition, MessageView, parse_query
from localcloud.iothub.twin import Twin


@dataclass(frozen=True, slots=True)
class Route:
    name: str
    source: MessageSource
    condition: Condition
    endpoint: str  # the name of an Event Hub


@dataclass(frozen=True, slots=True)
class Routing:
    """All routes with the Event Hubs that they lead to."""

    routes: tuple[Route, ...]
    fallback: str | None  # takes the device messages that no route takes
    partition_counts: Mapping[str, int]  # of the Event Hubs in use

    def endpoints(self, event: Event, twin: Twin | None) -> tuple[str, ...]:
        """The Event Hubs for a message, each once however many routes lead there; empty: nobody wants it."""
        view = MessageView(event, twin)
        taken = dict.fromkeys(
            route.endpoint for route in self.routes if route.source is event.source and route.condition(view)
        )
        if not taken and self.fallback is not None and event.source is MessageSource.DEVICE_MESSAGES:
            return (self.fallback,)
        return tuple(taken)

    def is_wanted(self, source: MessageSource) -> bool:
        """Whether some route takes messages of this source at all."""
        return any(route.source is source for route in self.routes)


def parse_routing(hub: Mapping[str, Any], partition_counts: Mapping[str, int]) -> Routing:
    """The routing in the `[iothub]` of a configuration; `partition_counts` of all Event Hubs that there are.

    Raises `Misconfigured` for a route that is incomplete, cannot be understood or leads to an Event Hub that is
    not declared.
    """
    routes = tuple(_parse_route(route) for route in hub.get("routes", []))
    fallback = hub.get("fallback_endpoint")
    used = [route.endpoint for route in routes] + ([fallback] if fallback else [])
    if undeclared := [name for name in used if name not in partition_counts]:
        raise Misconfigured(f"a route leads to {undeclared[0]!r}, which is no declared Event Hub")
    return Routing(routes, fallback, {name: partition_counts[name] for name in used})


def _parse_route(route: Mapping[str, str]) -> Route:
    if missing := {"name", "source", "endpoint"} - route.keys():
        raise Misconfigured(f"route {route.get('name')!r} lacks {', '.join(sorted(missing))}")
    try:
        source = MessageSource(route["source"])
    except ValueError as error:
        supported = ", ".join(MessageSource)
        raise Misconfigured(f"route {route['name']!r}: of the sources {supported} are supported") from error
    return Route(route["name"], source, parse_query(route.get("condition", "true")), route["endpoint"])
