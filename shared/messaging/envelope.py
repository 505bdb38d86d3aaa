"""CloudEvents 1.0 in AMQP binary mode: what services say to each other, and how it travels.

Attributes are application properties with the prefix `cloudEvents:`, the data is the body:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md. The trace context is the
distributed tracing extension of the same specification.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.clock import from_epoch_ms
from shared.errors import Rejected

PREFIXES = ("cloudEvents:", "cloudEvents_")
SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
MAX_ID_LENGTH = 128  # of a Service Bus message id, under which the envelope is sent again


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message between services. `id` is stable over every re-sending of the same fact."""

    id: str
    type: str
    source: str
    time: datetime
    data: bytes
    subject: str | None = None
    traceparent: str | None = None

    def properties(self) -> dict[str, str]:
        """The AMQP application properties that carry the attributes; the time in its text form (RFC 3339)."""
        attributes = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "time": self.time.isoformat(timespec="milliseconds"),
            "subject": self.subject,
            "traceparent": self.traceparent,
        }
        return {f"{PREFIXES[0]}{name}": value for name, value in attributes.items() if value is not None}


def parse(properties: Mapping[str, Any], data: bytes) -> Envelope:
    """The envelope of a received message. Raises `Rejected` if a required attribute is missing or wrong."""
    attributes = {
        name[len(prefix) :]: value
        for name, value in properties.items()
        for prefix in PREFIXES
        if name.startswith(prefix)
    }
    for required in ("id", "type", "source", "specversion"):
        if not attributes.get(required) or not isinstance(attributes[required], str):
            raise Rejected("not-a-cloudevent", f"the CloudEvents attribute {required!r} is missing")
    for optional in ("subject", "traceparent"):
        if not isinstance(attributes.get(optional), str | None):
            raise Rejected("not-a-cloudevent", f"the CloudEvents attribute {optional!r} is no text")
    if len(attributes["id"]) > MAX_ID_LENGTH:
        raise Rejected("not-a-cloudevent", f"the CloudEvents attribute 'id' is longer than {MAX_ID_LENGTH}")
    if attributes["specversion"] != SPEC_VERSION:
        raise Rejected("not-a-cloudevent", f"specversion {attributes['specversion']!r} is not {SPEC_VERSION}")
    return Envelope(
        id=attributes["id"],
        type=attributes["type"],
        source=attributes["source"],
        time=_time(attributes.get("time")),
        data=data,
        subject=attributes.get("subject"),
        traceparent=attributes.get("traceparent"),
    )


def _time(value: object) -> datetime:
    """The binding lets senders choose an AMQP timestamp or a string (RFC 3339).

    The specification lets them leave it out; we do not, because it decides which of two commands is the newer one.
    """
    try:
        match value:
            case bool():
                pass
            case int() | float():
                return from_epoch_ms(int(value))
            case datetime() if value.tzinfo is not None:
                return value
            case str() if (moment := datetime.fromisoformat(value)).tzinfo is not None:
                return moment
    except (ValueError, OverflowError, OSError):
        pass
    raise Rejected(
        "not-a-cloudevent", f"the CloudEvents attribute 'time' is {'missing' if value is None else repr(value)}"
    )
