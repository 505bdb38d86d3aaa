"""What a device that has proved who it is may say, and what the hub tells it.

A hub is no publish-subscribe broker: the topics below are commands to the hub, and those that begin with `$iothub/`
carry no device id. Whose they are follows from the connection alone.
Source: "Communicate with your IoT hub using the MQTT protocol".
"""

from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from localcloud.errors import Rejected
from localcloud.iothub.credentials import Authenticated
from localcloud.iothub.events import Event, device_message
from localcloud.iothub.methods import METHODS_FILTER, MethodAnswer, MethodCalls
from localcloud.iothub.mqtt.packets import Publish, Will
from localcloud.iothub.property_bag import parse_bag, parse_message_properties
from localcloud.iothub.twin import Document, parse_document

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

    methods: MethodCalls

    def route(self, event: Event) -> None: ...


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
        topic, _, query = message.topic.partition("?")
        if message.topic.startswith(self._events):
            retained = {"mqtt-retain": "true"} if message.retain else {}
            self._telemetry(message.topic, message.payload, retained, accepted)
            return
        if topic == _GET_TWIN:
            self._get_twin(query)
        elif topic == _REPORT:
            self._report(query, message.payload)
        elif topic.startswith(_METHOD_ANSWER):
            self._method_answer(topic, query, message.payload)
        else:
            raise ForbiddenError("published to a topic that is not its own")
        accepted()

    def check_will(self, will: Will) -> None:
        """Raises `ForbiddenError` for a will that is no telemetry of this device."""
        if not will.topic.startswith(self._events) or will.qos == 2:
            raise ForbiddenError("its will is no telemetry message of its own")
        _check_size(will.topic, will.payload)

    def last_will(self, will: Will) -> None:
        self._telemetry(will.topic, will.payload, {"iothub-MessageType": "Will"}, lambda: None)

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Raises `ForbiddenError` for a filter that is not the device's own."""
        if not self._allowed_filters.issuperset(filters):
            raise ForbiddenError("subscribed to a topic that is not its own")
        self._device.subscriptions.update(filters)
        self._services.methods.device_changed(self._device)

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        self._device.subscriptions.difference_update(filters)

    def _telemetry(self, topic: str, payload: bytes, marks: dict[str, str], accepted: Callable[[], None]) -> None:
        _check_size(topic, payload)
        properties = parse_message_properties(topic.removeprefix(self._events).removesuffix("/"))
        properties.application.update(marks)
        self._services.route(device_message(self._sender, payload, properties, accepted))

    def _get_twin(self, query: str) -> None:
        twin = self._device.twin
        body = {"desired": twin.desired.for_device(), "reported": twin.reported.for_device()}
        self._answer_twin(200, query, msgspec.json.encode(body))

    def _report(self, query: str, payload: bytes) -> None:
        try:
            self._device.twin.report(parse_document(payload))
        except Rejected as rejected:
            self._answer_twin(400, query, msgspec.json.encode({"errorCode": 400, "message": rejected.detail}))
        else:
            self._answer_twin(204, query, b"", f"&$version={self._device.twin.reported.version}")

    def _answer_twin(self, status: int, query: str, body: bytes, more: str = "") -> None:
        if _TWIN_ANSWERS_FILTER in self._device.subscriptions:
            self._send(f"$iothub/twin/res/{status}/?$rid={_request_id(query)}{more}", body)

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
        body = b"" if payload is None else msgspec.json.encode(payload)
        self._send(f"$iothub/methods/POST/{quote(name, safe='')}/?$rid={request_id}", body)


def _check_size(topic: str, payload: bytes) -> None:
    if len(topic) + len(payload) > MAX_MESSAGE_BYTES:
        raise ForbiddenError("sent a message that is too large")


def _request_id(query: str) -> str:
    request_id = quote(parse_bag(query).get("$rid", ""), safe="")
    if len(request_id) > _MAX_REQUEST_ID:
        raise ForbiddenError("asked with a request id that no answer can carry")
    return request_id
