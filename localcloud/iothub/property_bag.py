"""The properties that a device writes into the topic of a telemetry message or of a request."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

# From the key in the topic to the name of the AMQP message property, and to that of a message annotation.
_MESSAGE_PROPERTIES: Final = {
    "$.mid": "message_id",
    "$.cid": "correlation_id",
    "$.uid": "user_id",
    "$.ct": "content_type",
    "$.ce": "content_encoding",
    "$.exp": "absolute_expiry_time",
}
_ANNOTATIONS: Final = {
    "$.on": "iothub-output-name",
    "$.sub": "dt-subject",
    "$.ifid": "iothub-interface-id",
}


@dataclass(frozen=True, slots=True)
class MessageProperties:
    """What a device said about a message, sorted by where it goes."""

    application: dict[str, str]
    system: dict[str, str]  # by the names of the AMQP properties section
    annotations: dict[str, str]

    @property
    def size_bytes(self) -> int:
        """What counts towards the size of the message: names of application properties, and all values."""
        values = (*self.application, *self.application.values(), *self.system.values(), *self.annotations.values())
        return sum(len(text.encode()) for text in values)


def parse_bag(text: str) -> dict[str, str]:
    """The pairs of `a=1&b=2`. A plus sign is a plus sign here: SDKs encode with `quote`, not as a form."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def parse_message_properties(text: str) -> MessageProperties:
    """Application and system properties of a telemetry topic's last part."""
    application: dict[str, str] = {}
    system: dict[str, str] = {}
    annotations: dict[str, str] = {}
    for name, value in parse_bag(text).items():
        if name in _MESSAGE_PROPERTIES:
            system[_MESSAGE_PROPERTIES[name]] = value
        elif name in _ANNOTATIONS:
            annotations[_ANNOTATIONS[name]] = value
        else:
            application[name] = value
    return MessageProperties(application, system, annotations)
