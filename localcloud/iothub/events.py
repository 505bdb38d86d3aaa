"""What the Event Hubs get: messages of devices, and what happened to devices.

Sources: "Create and read IoT Hub messages" and "Azure IoT Hub non-telemetry event schemas".
"""

import ipaddress
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageProperties

from localcloud.iothub.credentials import Authenticated
from localcloud.iothub.property_bag import MessageProperties
from localcloud.iothub.twin import timestamp

_OVERHEAD_BYTES = 1024  # what a waiting message costs beyond its body


class MessageSource(StrEnum):
    """Where the messages of a route come from, as routes name it."""

    DEVICE_MESSAGES = "DeviceMessages"
    TWIN_CHANGE = "TwinChangeEvents"
    LIFECYCLE = "DeviceLifecycleEvents"
    CONNECTION_STATE = "DeviceConnectionStateEvents"

    @property
    def stamp(self) -> str:
        """Its name in `iothub-message-source`."""
        return "Telemetry" if self is MessageSource.DEVICE_MESSAGES else self[0].lower() + self[1:]


class Operation(StrEnum):
    """What happened to a device: the `opType` of a notification."""

    CREATED = "createDeviceIdentity"
    DELETED = "deleteDeviceIdentity"
    TWIN_UPDATED = "updateTwin"
    TWIN_REPLACED = "replaceTwin"
    CONNECTED = "deviceConnected"
    DISCONNECTED = "deviceDisconnected"

    @property
    def source(self) -> MessageSource:
        match self:
            case Operation.CREATED | Operation.DELETED:
                return MessageSource.LIFECYCLE
            case Operation.TWIN_UPDATED | Operation.TWIN_REPLACED:
                return MessageSource.TWIN_CHANGE
            case _:
                return MessageSource.CONNECTION_STATE


_SCHEMAS = {
    MessageSource.LIFECYCLE: "deviceLifecycleNotification",
    MessageSource.TWIN_CHANGE: "twinChangeNotification",
    MessageSource.CONNECTION_STATE: "deviceConnectionStateNotification",
}


@dataclass(frozen=True, slots=True)
class Event:
    """A message on its way to the Event Hubs."""

    source: MessageSource
    device_id: str
    body: bytes
    properties: MessageProperties
    stamps: dict[str, str | datetime]  # what the hub itself knows about sender and message
    accepted: Callable[[], None]  # called once for each endpoint

    @property
    def cost_bytes(self) -> int:
        return len(self.body) + _OVERHEAD_BYTES

    def accepted_after(self, count: int) -> "Event":
        """The same event, of which the sender hears when it was accepted as often as that."""
        remaining = itertools.count(count - 1, -1)

        def accepted() -> None:
            if next(remaining) == 0:
                self.accepted()

        return replace(self, accepted=accepted)

    def as_amqp(self) -> AmqpAnnotatedMessage:
        """The message for the Event Hubs SDK. The stamps come last: nothing a device says replaces them."""
        return AmqpAnnotatedMessage(
            data_body=self.body,
            application_properties=self.properties.application,
            annotations=self.properties.annotations | self.stamps,
            properties=_amqp_properties(self.properties.system),
        )


def device_message(
    sender: Authenticated, body: bytes, properties: MessageProperties, accepted: Callable[[], None]
) -> Event:
    """A telemetry message, stamped with who sent it and when it came."""
    device = sender.device
    stamps: dict[str, str | datetime] = {
        "iothub-connection-device-id": device.device_id,
        "iothub-connection-auth-method": sender.method,
        "iothub-connection-auth-generation-id": device.generation_id,
        "iothub-enqueuedtime": datetime.now(UTC),
        "iothub-message-source": MessageSource.DEVICE_MESSAGES.stamp,
    }
    return Event(MessageSource.DEVICE_MESSAGES, device.device_id, body, properties, stamps, accepted)


@dataclass(frozen=True, slots=True)
class Notification:
    """What tells services that something happened to a device."""

    operation: Operation
    device_id: str
    body: dict[str, Any]
    happened_at: str = field(default_factory=timestamp)
    correlation_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def event(self, hub_name: str, accepted: Callable[[], None]) -> Event:
        """The message for the Event Hubs, which comes from the hub itself."""
        source = self.operation.source
        application = {
            "hubName": hub_name,
            "deviceId": self.device_id,
            "opType": self.operation.value,
            "iothub-message-schema": _SCHEMAS[source],
            "operationTimestamp": self.happened_at,
        }
        system = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "correlation_id": self.correlation_id,
            "user_id": hub_name,
        }
        stamps: dict[str, str | datetime] = {
            "iothub-connection-device-id": self.device_id,
            "iothub-enqueuedtime": datetime.now(UTC),
            "iothub-message-source": source.stamp,
        }
        properties = MessageProperties(application, system, annotations={})
        return Event(source, self.device_id, msgspec.json.encode(self.body), properties, stamps, accepted)


def hub_name_of(hostname: str) -> str:
    """`contoso` of `contoso.azure-devices.net`; an IP address has no parts to choose from."""
    try:
        return str(ipaddress.ip_address(hostname))
    except ValueError:
        return hostname.partition(".")[0]


def _amqp_properties(system: dict[str, str]) -> AmqpMessageProperties:
    """The texts of a topic in the types that AMQP wants. What cannot be of its type is left out."""
    fields: dict[str, str | bytes | int | None] = {**system}
    for symbol in ("content_type", "content_encoding"):
        if not system.get(symbol, "").isascii():
            del fields[symbol]
    if (user_id := system.get("user_id")) is not None:
        fields["user_id"] = user_id.encode()
    if (expiry := system.get("absolute_expiry_time")) is not None:
        fields["absolute_expiry_time"] = _epoch_ms(expiry)
    return AmqpMessageProperties(**fields)  # type: ignore[no-untyped-call] # the SDK's class has no annotations


def _epoch_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
