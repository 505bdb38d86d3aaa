"""Sends envelopes to Service Bus queues and topics."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import connections, settings
from shared.errors import Misconfigured, Unavailable
from shared.messaging.envelope import CONTENT_TYPE, Envelope
from shared.observability import outgoing_traceparent

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.aio import ServiceBusSender


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An envelope and the queue or topic that it goes to; `not_before` delays its delivery."""

    destination: str
    envelope: Envelope
    not_before: datetime | None = None
    attempt: int = 1


ATTEMPT_PROPERTY = "attempt"

# The SDK's senders are not made to be shared by coroutines, and a host runs many invocations at once:
# https://learn.microsoft.com/python/api/overview/azure/servicebus-readme (thread safety).
_turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
_senders: dict[str, "ServiceBusSender"] = {}
connections.on_close(_senders.clear)  # the client closes the senders that it made


async def send(messages: Sequence[Outgoing]) -> None:
    """Sends the messages, in order per destination. Raises `Unavailable`; then some may have been sent.

    Sending again is safe: the message ids stay the same and receivers go by them.
    """
    from azure.servicebus.exceptions import ServiceBusError

    for destination in dict.fromkeys(message.destination for message in messages):
        batch = [to_service_bus(message) for message in messages if message.destination == destination]
        async with _turns[destination]:
            sender = _senders.get(destination) or _senders.setdefault(destination, _sender(destination))
            try:
                await _send_all(sender, batch)
            except ServiceBusError as error:
                # It may hold a dead link: the next send starts with a new one.
                del _senders[destination]
                await sender.close()
                raise Unavailable(f"service bus: {type(error).__name__} sending to {destination}") from error


async def _send_all(sender: "ServiceBusSender", messages: list["ServiceBusMessage"]) -> None:
    batch = await sender.create_message_batch()
    for message in messages:
        try:
            batch.add_message(message)
        except ValueError:  # full, as the SDK says it
            await sender.send_messages(batch)
            batch = await sender.create_message_batch()
            batch.add_message(message)
    await sender.send_messages(batch)


def _sender(destination: str) -> "ServiceBusSender":
    client = connections.service_bus()
    if destination in settings.QUEUES:
        return client.get_queue_sender(destination)
    if destination in settings.TOPICS:
        return client.get_topic_sender(destination)
    raise Misconfigured(f"there is no queue or topic {destination!r}")


def to_service_bus(outgoing: Outgoing) -> "ServiceBusMessage":
    """The message in the SDK's terms."""
    from azure.servicebus import ServiceBusMessage

    envelope = outgoing.envelope
    if envelope.traceparent is None:
        envelope = replace(envelope, traceparent=outgoing_traceparent())
    properties: dict[str | bytes, Any] = {ATTEMPT_PROPERTY: outgoing.attempt}
    properties.update(envelope.properties())
    return ServiceBusMessage(
        envelope.data,
        message_id=envelope.id,
        content_type=CONTENT_TYPE,
        subject=envelope.type,
        application_properties=properties,
        scheduled_enqueue_time_utc=outgoing.not_before,
    )
