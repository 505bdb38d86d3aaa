"""What a device that has proved who it is may say, and what the hub tells it.

A hub is no publish-subscribe broker: the topics below are commands to the hub, and those that begin with `$iothub/`
carry no device id. Whose they are follows from the connection alone.
Source: "Communicate with your IoT hub using the MQTT protocol".
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from localcloud.errors import Rejected
from localcloud.iothub.credentials import Authenticated
from localcloud.iothub.events import Event, device_message
from localcloud.iothub.methods import METHODS_FILTER, MethodAnswer, MethodCalls
from localcloud.iothub.mqtt.packets import Publish, Will
from localcloud.iothub.property_bag import MessageProperties, parse_bag, parse_message_properties
from localcloud.iothub.registry import Device, Registry
from localcloud.iothub.shaping import Shaper
from localcloud.iothub.throttling import Throttle, ThrottledError
from localcloud.iothub.twin import Document, parse_document, timestamp

MAX_MESSAGE_BYTES: Final = 256 * 1024  # body and properties

_TWIN_ANSWERS_FILTER: Final = "$iothub/twin/res/#"
_DESIRED_FILTER: Final = "$iothub/twin/PATCH/properties/desired/#"
_GET_TWIN: Final = "$iothub/twin/GET/"
_REPORT: Final = "$iothub/twin/PATCH/properties/reported/"
_MAX_REQUEST_ID: Final = 60_000  # a topic has 65,535 bytes [MQTT-1.5.3]
_METHOD_ANSWER: Final = "$iothub/methods/res/"


class ForbiddenError(Exception):
    """The device did what ends its connection."""


class Services(Protocol):
    """What a session needs of the hub."""

    registry: Registry
    methods: MethodCalls
    shaper: Shaper

    def route(self, event: Event) -> None: ...
    def report(self, device: Device, patch: Document) -> None:
        """Raises `Rejected` for what a twin cannot hold."""


class Session:
    """One device's commands to the hub and the hub's messages to it."""

    def __init__(self, sender: Authenticated, services: Services, send: Callable[[str, bytes], None]) -> None:
        self._sender = sender
        self._device = sender.device
        self._services = services
        self._send = send
        self._events = f"devices/{self._device.device_id}/messages/events/"
        self._allowed_filters = {
            METHODS_FILTER,
            _TWIN_ANSWERS_FILTER,
            _DESIRED_FILTER,
            # Granted as in Azure, where the SDK may ask for it; this cloud sends no cloud-to-device messages.
            f"devices/{self._device.device_id}/messages/devicebound/#",
        }

    # -- from the device --------------------------------------------------------------------------------------------

    def publish(self, message: Publish, accepted: Callable[[], None]) -> None:
        """Takes a message and calls `accepted` once it is safe. Raises `ForbiddenError` for one that is not allowed."""
        self._device.last_activity_at = timestamp()
        topic, _, query = message.topic.partition("?")
        if message.topic.startswith(self._events):
            self._telemetry(message, accepted)
            return
        if topic == _GET_TWIN:
            self._twin_operation(Throttle.TWIN_READ, query, self._get_twin)
        elif topic == _REPORT:
            self._twin_operation(Throttle.TWIN_UPDATE, query, partial(self._report, message.payload))
        elif topic.startswith(_METHOD_ANSWER):
            self._method_answer(topic, query, message.payload)
        else:
            raise ForbiddenError("published to a topic that is not its own")
        accepted()

    def check_will(self, will: Will) -> None:
        """Raises `ForbiddenError` for a will that is no telemetry of this device."""
        if not will.topic.startswith(self._events) or will.qos == 2:
            raise ForbiddenError("its will is no telemetry message of its own")
        self._properties(will.topic, will.payload)

    def last_will(self, will: Will) -> None:
        properties = self._properties(will.topic, will.payload)
        properties.application["iothub-MessageType"] = "Will"
        self._services.route(device_message(self._sender, will.payload, properties, lambda: None))

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Raises `ForbiddenError` for a filter that is not the device's own."""
        if not self._allowed_filters.issuperset(filters):
            raise ForbiddenError("subscribed to a topic that is not its own")
        self._device.subscriptions.update(filters)
        self._services.registry.changed(self._device)
        self._services.methods.device_changed(self._device)

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        self._device.subscriptions.difference_update(filters)
        self._services.registry.changed(self._device)

    def _telemetry(self, message: Publish, accepted: Callable[[], None]) -> None:
        properties = self._properties(message.topic, message.payload)
        if message.retain:
            properties.application["mqtt-retain"] = "true"

        def route() -> None:
            self._services.route(device_message(self._sender, message.payload, properties, accepted))

        try:
            is_first = self._services.shaper.admits(Throttle.SEND, later=route)
        except ThrottledError as error:
            raise ForbiddenError(str(error)) from error  # the only way in which MQTT 3.1.1 can tell
        if is_first:
            route()

    def _properties(self, topic: str, payload: bytes) -> MessageProperties:
        """Of a message to that topic. Raises `ForbiddenError` if the message is larger than the service takes."""
        properties = parse_message_properties(topic.removeprefix(self._events).removesuffix("/"))
        if properties.size_bytes + len(payload) > MAX_MESSAGE_BYTES:
            raise ForbiddenError("sent a message that is too large")
        return properties

    def _twin_operation(self, throttle: Throttle, query: str, operation: Callable[[str], None]) -> None:
        """Runs the operation with the id that its answer carries, now or when it is its turn."""
        request_id = _request_id(query)
        run = partial(operation, request_id)
        try:
            is_first = self._services.shaper.admits(throttle, later=run)
        except ThrottledError as error:
            self._answer_twin(429, request_id, _error_body(429, str(error)))
        else:
            if is_first:
                run()

    def _get_twin(self, request_id: str) -> None:
        twin = self._device.twin
        body = {"desired": twin.desired.for_device(), "reported": twin.reported.for_device()}
        self._answer_twin(200, request_id, msgspec.json.encode(body))

    def _report(self, payload: bytes, request_id: str) -> None:
        try:
            self._services.report(self._device, parse_document(payload))
        except Rejected as rejected:
            self._answer_twin(400, request_id, _error_body(400, rejected.detail))
        else:
            self._answer_twin(204, request_id, b"", f"&$version={self._device.twin.reported.version}")

    def _answer_twin(self, status: int, request_id: str, body: bytes, more: str = "") -> None:
        if _TWIN_ANSWERS_FILTER in self._device.subscriptions:
            self._send(f"$iothub/twin/res/{status}/?$rid={request_id}{more}", body)

    def _method_answer(self, topic: str, query: str, payload: bytes) -> None:
        status = topic.removeprefix(_METHOD_ANSWER).removesuffix("/")
        try:
            answer = MethodAnswer(int(status), msgspec.json.decode(payload) if payload else None)
        except (ValueError, RecursionError) as error:
            raise ForbiddenError("answered a method with what is no status or no JSON") from error
        self._services.methods.answer(self._device, parse_bag(query).get("$rid", ""), answer)

    # -- to the device ----------------------------------------------------------------------------------------------

    def push_desired(self, patch: Document) -> None:
        """Tells the device what changed in its desired properties, if it asked for that."""
        if _DESIRED_FILTER in self._device.subscriptions:
            version = self._device.twin.desired.version
            body = msgspec.json.encode(patch | {"$version": version})
            self._send(f"$iothub/twin/PATCH/properties/desired/?$version={version}", body)

    def call_method(self, name: str, request_id: str, payload: Any) -> None:
        body = msgspec.json.encode(payload)  # "null" where there is none: the SDKs parse what comes
        self._send(f"$iothub/methods/POST/{quote(name, safe='')}/?$rid={request_id}", body)


def _error_body(status: int, message: str) -> bytes:
    return msgspec.json.encode({"errorCode": status, "message": message})


def _request_id(query: str) -> str:
    """Raises `ForbiddenError` for one that makes the topic of the answer too long."""
    request_id = quote(parse_bag(query).get("$rid", ""), safe="")
    if len(request_id) > _MAX_REQUEST_ID:
        raise ForbiddenError("asked with a request id that no answer can carry")
    return request_id
