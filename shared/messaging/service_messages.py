"""Messages from a Service Bus queue or subscription, and what becomes of those that fail.

A message that is at fault is parked and completed. One that met trouble elsewhere is sent again to its queue, later
each time, with a count of its attempts; after the last it is parked too. Raising is left to failures of this very
machinery: the host then abandons the message and the broker dead-letters it in the end.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from shared.clock import Clock, utc_now
from shared.errors import Conflict, Rejected, Unavailable
from shared.messaging import parking, publisher
from shared.messaging.envelope import Envelope, parse
from shared.messaging.parking import Origin
from shared.messaging.publisher import ATTEMPT_PROPERTY, Outgoing
from shared.observability import following
from shared.settings import settings

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 900.0


class ServiceBusMessage(Protocol):
    """The part of `azure.functions.ServiceBusMessage` that is used here."""

    @property
    def message_id(self) -> str | None: ...
    @property
    def application_properties(self) -> Mapping[str, Any]: ...
    @property
    def enqueued_time_utc(self) -> datetime | None: ...
    def get_body(self) -> bytes: ...


async def handle(
    message: ServiceBusMessage,
    use_case: Callable[[Envelope], Awaitable[None]],
    *,
    source: str,
    retry_to: str,
    clock: Clock = utc_now,
) -> None:
    """Runs the use case on the message's envelope; returns when the message may be completed.

    `source` names the queue or subscription in parking, `retry_to` the queue that takes the message for a later
    attempt. Raises `Unavailable` only if neither a later attempt nor parking could be arranged.
    """
    body = message.get_body()
    properties = dict(message.application_properties or {})
    arrived_at = (message.enqueued_time_utc or clock()).replace(tzinfo=UTC)
    origin = Origin(source, message.message_id or "", arrived_at)  # other senders need not give one
    try:
        envelope = parse(properties, body)
        with following(envelope.traceparent):
            await use_case(envelope)
    except Rejected as reason:
        await parking.park(origin, reason, body)
    except (Unavailable, Conflict) as trouble:
        attempt = _attempt(properties)
        if attempt >= settings().command_attempts:
            exhausted = Rejected("gave-up", f"{attempt} attempts, the last failed with: {trouble}")
            await parking.park(origin, exhausted, body)
            return
        pause_s = _pause_s(attempt, trouble)
        log.warning("%s: attempt %d of %s failed, next in %.1f s", source, attempt, envelope.type, pause_s)
        later = clock() + timedelta(seconds=pause_s)
        await publisher.send([Outgoing(retry_to, envelope, later, attempt + 1)])


def _attempt(properties: Mapping[str, Any]) -> int:
    value = properties.get(ATTEMPT_PROPERTY)
    return value if isinstance(value, int) and value > 0 else 1


def _pause_s(attempt: int, trouble: Exception) -> float:
    """Doubled each time up to the longest, spread by half so that what failed together does not return together."""
    asked = trouble.retry_after_s if isinstance(trouble, Unavailable) else None
    pause_s = min(settings().command_retry_s * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)
    return max(asked or 0.0, pause_s * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
