"""The hub: its devices, who of them is connected, and what happens between services and devices."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.errors import Rejected
from localcloud.iothub.configuration import Configuration
from localcloud.iothub.connection import Connection
from localcloud.iothub.credentials import Authenticated, authenticate
from localcloud.iothub.dispatch import Dispatcher
from localcloud.iothub.endpoint import Backlog, EventHubEndpoint
from localcloud.iothub.events import Event, Operation, hub_name_of
from localcloud.iothub.methods import DeviceNotOnlineError, MethodAnswer, MethodCalls, MethodRequest
from localcloud.iothub.mqtt.packets import Connect
from localcloud.iothub.output_commit import CommittedStream
from localcloud.iothub.records import Records
from localcloud.iothub.registry import Device, Registry, require_match
from localcloud.iothub.shaping import Shaper
from localcloud.iothub.tls import Peer, SecureStream
from localcloud.iothub.twin import Document, Twin, timestamp, without_read_only
from localcloud.journal import Journal

# Two clients with one id would otherwise throw each other out a hundred times a second: the SDK is back after 10 ms.
_TAKE_OVER_INTERVAL_S: Final = 1.0

log = logging.getLogger(__name__)


class Hub:
    """Everything behind the two ports."""

    def __init__(
        self,
        hostname: str,
        configuration: Configuration,
        endpoints: Mapping[str, EventHubEndpoint],
        backlog: Backlog,
        journal: Journal,
    ) -> None:
        """With what the journal holds of an earlier one."""
        records = Records(journal)
        self.journal = journal
        self.registry = Registry(records)
        self.methods = MethodCalls()
        self.shaper = Shaper(configuration.throttling)
        self._hostname = hostname
        self._dispatcher = Dispatcher(
            hub_name_of(hostname), configuration.routing, endpoints, backlog, journal, records, self._twin_of
        )
        self._connections: dict[str, Connection] = {}
        self._taken_over_at: dict[str, float] = {}
        self._connection_changes = 0
        self._dispatcher.resume()
        for device in self.registry:
            if device.connected:  # to the hub that ended without a goodbye
                self._set_connected(device, connected=False)

    def connection(self, stream: SecureStream) -> Connection:
        return Connection(self, CommittedStream(stream, self.journal))

    def close(self) -> None:
        """Cuts every device."""
        for connection in list(self._connections.values()):
            connection.cut("the hub stops")

    def _twin_of(self, device_id: str) -> Twin | None:
        device = self.registry.find(device_id)
        return device.twin if device else None

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
        self._set_connected(self.registry.get(device_id), connected=True)
        self.methods.device_changed(self.registry.get(device_id))

    def detach(self, connection: Connection) -> None:
        if self._connections.get(connection.device_id) is not connection:
            return  # taken over
        del self._connections[connection.device_id]
        device = self.registry.find(connection.device_id)
        if device is not None:
            self._set_connected(device, connected=False)

    @property
    def connected_count(self) -> int:
        return len(self._connections)

    def _set_connected(self, device: Device, *, connected: bool) -> None:
        is_news = device.connected is not connected
        device.connected = connected
        device.connection_updated_at = timestamp()
        if connected:
            device.last_activity_at = device.connection_updated_at
        self.registry.changed(device)
        if is_news:
            operation = Operation.CONNECTED if connected else Operation.DISCONNECTED
            self._dispatcher.notify(operation, device.device_id, {"sequenceNumber": self._sequence_number()})

    def _sequence_number(self) -> str:
        """Higher than all before, in an earlier hub too, as numbers and as texts."""
        self._connection_changes = max(self._connection_changes + 1, time.time_ns())
        return f"{self._connection_changes:064X}"

    # -- what devices send ------------------------------------------------------------------------------------------

    def route(self, event: Event) -> None:
        self._dispatcher.route(event)

    def report(self, device: Device, patch: Document) -> None:
        """Takes what a device reports. Raises `Rejected` for what a twin cannot hold."""
        twin = device.twin
        twin.report(patch)
        self.registry.changed(device)
        body = {"version": twin.version, "properties": {"reported": twin.reported.changed(patch)}}
        self._dispatcher.notify(Operation.TWIN_UPDATED, device.device_id, body)

    def is_overloaded(self) -> bool:
        return self._dispatcher.backlog.is_full

    def call_when_relieved(self, callback: Callable[[], None]) -> None:
        self._dispatcher.backlog.call_when_drained(callback)

    # -- what services want -----------------------------------------------------------------------------------------

    def put_device(self, device_id: str, identity: Document, if_match: str | None) -> Device:
        """Makes or changes a device; raises as `Registry.put`.

        A device that is disabled is cut. One whose keys or thumbprints change stays connected: they count from its
        next connect on, so that a vehicle in the middle of a rotation does not lose the connection that it reports by.
        """
        is_new = self.registry.find(device_id) is None
        device = self.registry.put(device_id, identity, if_match)
        if is_new:
            self._dispatcher.notify(Operation.CREATED, device_id, device.twin_contents())
        if not device.enabled and (connection := self._connections.get(device_id)):
            connection.cut("it is disabled")
        return device

    def delete_device(self, device_id: str, if_match: str | None) -> None:
        """Raises as `Registry.delete`."""
        device = self.registry.delete(device_id, if_match)
        self._dispatcher.notify(Operation.DELETED, device_id, device.twin_contents())
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
        self.registry.changed(device)
        if replace:
            self._dispatcher.notify(Operation.TWIN_REPLACED, device_id, device.twin_contents())
        else:
            self._dispatcher.notify(Operation.TWIN_UPDATED, device_id, _twin_update(device.twin, tags, desired))
        if desired is not None and (connection := self._connections.get(device_id)):
            connection.session.push_desired(without_read_only(desired))
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


def _twin_update(twin: Twin, tags: Document | None, desired: Document | None) -> Document:
    """What a patch has changed, as those hear of it who listen to changes."""
    update: Document = {"version": twin.version}
    if tags is not None:
        update["tags"] = tags
    if desired is not None:
        update["properties"] = {"desired": twin.desired.changed(desired)}
    return update


def _object(parent: Document, name: str) -> Document | None:
    """A member that is an object or absent. Raises `Rejected` for anything else."""
    value: Any = parent.get(name)
    if value is not None and not isinstance(value, dict):
        raise Rejected("bad-twin", f"{name} is no object")
    return value
