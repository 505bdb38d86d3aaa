"""From a device's telemetry message to the event that the Event Hubs get."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageProperties

from localcloud.iothub.credentials import Authenticated
from localcloud.iothub.property_bag import MessageProperties

_OVERHEAD_BYTES = 1024  # what a waiting message costs beyond its body


@dataclass(frozen=True, slots=True)
class Event:
    """A message on its way to the Event Hubs."""

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
        "iothub-message-source": "Telemetry",
    }
    return Event(device.device_id, body, properties, stamps, accepted)


def _amqp_properties(system: dict[str, str]) -> AmqpMessageProperties:
    """The texts of a topic in the types that AMQP wants. An expiry that is no time is left out."""
    fields: dict[str, str | bytes | int | None] = {**system}
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
