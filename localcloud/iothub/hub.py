"""The hub: its devices, who of them is connected, and what happens between services and devices."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.errors import Rejected
from localcloud.iothub.connection import Connection
from localcloud.iothub.credentials import Authenticated, authenticate
from localcloud.iothub.endpoint import Backlog, EventHubEndpoint
from localcloud.iothub.events import Event
from localcloud.iothub.methods import DeviceNotOnlineError, MethodAnswer, MethodCalls, MethodRequest
from localcloud.iothub.mqtt.packets import Connect
from localcloud.iothub.registry import Device, Registry, require_match
from localcloud.iothub.routing import Routing
from localcloud.iothub.tls import Peer, SecureStream
from localcloud.iothub.twin import Document, timestamp

# Two clients with one id would otherwise throw each other out a hundred times a second: the SDK is back after 10 ms.
_TAKE_OVER_INTERVAL_S: Final = 1.0

log = logging.getLogger(__name__)


class Hub:
    """Everything behind the two ports."""

    def __init__(
        self, hostname: str, routing: Routing, endpoints: Mapping[str, EventHubEndpoint], backlog: Backlog
    ) -> None:
        self.registry = Registry()
        self.methods = MethodCalls()
        self._hostname = hostname
        self._routing = routing
        self._endpoints = endpoints
        self._backlog = backlog
        self._connections: dict[str, Connection] = {}
        self._taken_over_at: dict[str, float] = {}
        self._dropped = 0

    def connection(self, stream: SecureStream) -> Connection:
        return Connection(self, stream)

    def close(self) -> None:
        """Cuts every device."""
        for connection in list(self._connections.values()):
            connection.cut("the hub stops")

    # -- devices come and go ----------------------------------------------------------------------------------------

    def authenticate(self, connect: Connect, peer: Peer) -> Authenticated:
        """Raises `Rejected`."""
        try:
            return authenticate(connect, peer, self.registry, self._hostname, datetime.now(UTC))
        except Rejected as rejected:
            # What an unknown client calls itself is anything at all, and no business of the log.
            known = self.registry.find(connect.client_id)
            log.warning("%s is refused: %s", known.device_id if known else "an unknown client", rejected)
            raise

    def take_over_wait_s(self, device_id: str) -> float:
        """How long a new connection of a connected device has to wait before it may replace the old."""
        if device_id not in self._connections or device_id not in self._taken_over_at:
            return 0.0
        return self._taken_over_at[device_id] + _TAKE_OVER_INTERVAL_S - asyncio.get_running_loop().time()

    def attach(self, connection: Connection) -> None:
        device_id = connection.device_id
        old = self._connections.get(device_id)
        self._connections[device_id] = connection
        if old is not None:
            self._taken_over_at[device_id] = asyncio.get_running_loop().time()
            old.cut("a new connection takes over")
        device = self.registry.get(device_id)
        device.connected = True
        device.connection_updated_at = device.last_activity_at = timestamp()
        self.methods.device_changed(device)

    def detach(self, connection: Connection) -> None:
        if self._connections.get(connection.device_id) is not connection:
            return  # taken over
        del self._connections[connection.device_id]
        device = self.registry.find(connection.device_id)
        if device is not None:
            device.connected = False
            device.connection_updated_at = timestamp()

    # -- what devices send ------------------------------------------------------------------------------------------

    def route(self, event: Event) -> None:
        """Hands a message to the Event Hubs that want it; it counts as accepted when all of them have it."""
        names = self._routing.endpoints(event.device_id, event.properties)
        if not names:
            self._drop(event)
            return
        pending = event if len(names) == 1 else event.accepted_after(len(names))
        for name in names:
            self._endpoints[name].put(pending)

    def _drop(self, event: Event) -> None:
        self._dropped += 1
        if self._dropped & (self._dropped - 1) == 0:  # a misconfigured fleet must not fill the log
            log.warning("no route takes a message of %s; %d dropped so far", event.device_id, self._dropped)
        event.accepted()

    def is_overloaded(self) -> bool:
        return self._backlog.is_full

    def call_when_relieved(self, callback: Callable[[], None]) -> None:
        self._backlog.call_when_drained(callback)

    # -- what services want -----------------------------------------------------------------------------------------

    def put_device(self, device_id: str, identity: Document, if_match: str | None) -> Device:
        """Makes or changes a device; raises as `Registry.put`.

        A device that is disabled is cut. One whose keys or thumbprints change stays connected: they count from its
        next connect on, so that a vehicle in the middle of a rotation does not lose the connection that it reports by.
        """
        device = self.registry.put(device_id, identity, if_match)
        if not device.enabled and (connection := self._connections.get(device_id)):
            connection.cut("it is disabled")
        return device

    def delete_device(self, device_id: str, if_match: str | None) -> None:
        """Raises as `Registry.delete`."""
        self.registry.delete(device_id, if_match)
        if connection := self._connections.get(device_id):
            connection.cut("it is deleted")

    def change_twin(self, device_id: str, change: Document, if_match: str | None, *, replace: bool) -> Device:
        """Changes tags and desired properties and tells the device of the latter.

        Raises `UnknownDeviceError`, `PreconditionFailedError`, and `Rejected` for what a twin cannot hold.
        """
        device = self.registry.get(device_id)
        require_match(if_match, device.twin.etag)
        tags, desired = _object(change, "tags"), _object(_object(change, "properties") or {}, "desired")
        device.twin.change_by_service(tags, desired, replace=replace)
        if desired is not None and (connection := self._connections.get(device_id)):
            connection.session.push_desired({name: value for name, value in desired.items() if name[:1] != "$"})
        return device

    async def invoke(self, device_id: str, request: MethodRequest) -> MethodAnswer:
        """Raises `UnknownDeviceError`, `DeviceNotOnlineError`, `NoAnswerError`."""
        device = self.registry.get(device_id)
        await self.methods.wait_for_device(device, request.connect_timeout_in_seconds)
        connection = self._connections.get(device_id)
        if connection is None:
            raise DeviceNotOnlineError
        call = self.methods.begin(device)
        connection.session.call_method(request.method_name, call.request_id, request.payload)
        return await call.answer(request.response_timeout_in_seconds)


def _object(parent: Document, name: str) -> Document | None:
    """A member that is an object or absent. Raises `Rejected` for anything else."""
    value: Any = parent.get(name)
    if value is not None and not isinstance(value, dict):
        raise Rejected("bad-twin", f"{name} is no object")
    return value
