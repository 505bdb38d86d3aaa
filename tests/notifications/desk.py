"""One vehicle with its people, what happens to it, and the job at work on it."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from typing import Any
from uuid import uuid4

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from functions.notifications import messages, service, store
from functions.notifications.delivery import Delivery
from localcloud.services import LocalCloud
from shared import settings
from shared.clock import to_epoch_ms, utc_now
from shared.messaging import device_messages, outbox, parking, publisher, service_messages
from shared.messaging.contracts import Message, SetRecipient, TripCompleted, UpdateAvailable, to_envelope
from shared.messaging.envelope import Envelope
from shared.messaging.parking import Parked
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Table
from tests.notifications.examples import trip, update
from tests.notifications.mail_server import MailServer

QUIET_S = 0.2
SOON = timedelta(seconds=5)
_numbers = itertools.count(1)
Work = Callable[[], Awaitable[None]]


class Killed(BaseException):
    """The process is gone: nothing catches this, and the broker delivers the message again."""


@dataclass
class BusMessage:
    """A message as the worker decodes it."""

    body: bytes
    application_properties: dict[str, Any]
    message_id: str = field(default_factory=lambda: uuid4().hex)
    enqueued_time_utc: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))

    def get_body(self) -> bytes:
        return self.body


@dataclass
class AlertEvent:
    """An Event Hub event as the worker decodes it."""

    body: bytes
    device: str
    enqueued_time: datetime
    sequence_number: int = field(default_factory=lambda: next(_numbers))

    @property
    def metadata(self) -> dict[str, Any]:
        return {"PartitionContext": {"PartitionId": "0"}}

    @property
    def iothub_metadata(self) -> dict[str, Any]:
        return {"connection-device-id": self.device}

    def get_body(self) -> bytes:
        return self.body


@dataclass
class Desk:
    """Messages that other tests left in the queue are handled too. The job's clock goes ahead by `ahead`."""

    cloud: LocalCloud
    queue: ServiceBusReceiver
    post: MailServer
    vehicle_id: str = field(default_factory=lambda: f"car-{uuid4().hex}")
    ahead: timedelta = timedelta()

    def clock(self) -> datetime:
        return utc_now() + self.ahead

    # --- People

    def address(self, recipient_id: str = "anna") -> str:
        return f"{recipient_id}.{self.vehicle_id}@example.com"

    async def set_recipient(
        self, recipient_id: str = "anna", *, sent_at: datetime | None = None, **changes: Any
    ) -> None:
        known: dict[str, Any] = {
            "vehicle_id": self.vehicle_id,
            "recipient_id": recipient_id,
            "name": "Anna Müller",
            "email": self.address(recipient_id),
            "language": "de",
            "time_zone": "Europe/Berlin",
        }
        await self.command(SetRecipient(**known | changes), sent_at=sent_at)

    def mails(self, recipient_id: str = "anna") -> list[EmailMessage]:
        return self.post.mails(self.address(recipient_id))

    # --- What happens

    def trip(self, **changes: Any) -> TripCompleted:
        return trip(**{"vehicle_id": self.vehicle_id} | changes)

    def update(self, **changes: Any) -> UpdateAvailable:
        return update(**{"vehicle_id": self.vehicle_id} | changes)

    async def event(self, event: Message, *, message_id: str | None = None) -> str:
        """As the subscription delivers it; returns its message id."""
        return await self._take(service.learn, settings.DOMAIN_EVENTS, self.enveloped(event), message_id)

    async def command(self, command: Message, *, sent_at: datetime | None = None, message_id: str | None = None) -> str:
        """As the queue delivers it; returns its message id."""
        envelope = self.enveloped(command, sent_at)
        return await self._take(service.obey, settings.NOTIFICATION_COMMANDS, envelope, message_id)

    async def alert(self, *bodies: dict[str, Any] | bytes, arrived_at: datetime | None = None) -> None:
        """A batch as the Event Hub delivers it."""
        await self.deliver_alerts([self.alert_event(body, arrived_at) for body in bodies])

    def alert_event(self, body: dict[str, Any] | bytes, arrived_at: datetime | None = None) -> AlertEvent:
        known = {"v": 1, "alarm_id": "alarm-1", "kind": "theft", "at": to_epoch_ms(self.clock())}
        encoded = body if isinstance(body, bytes) else json.dumps(known | body).encode()
        return AlertEvent(encoded, self.vehicle_id, (arrived_at or self.clock()).replace(tzinfo=None))

    async def deliver_alerts(self, events: list[AlertEvent]) -> None:
        batch = await device_messages.receive(events, settings.VEHICLE_ALERTS_HUB)
        await service.hear(batch, clock=self.clock)

    def enveloped(self, message: Message, sent_at: datetime | None = None) -> Envelope:
        time_ms = to_epoch_ms(sent_at or self.clock())
        return to_envelope(message, message_id=uuid4().hex, source="test", subject=self.vehicle_id, time_ms=time_ms)

    async def _take(self, use_case: Any, source: str, envelope: Envelope, message_id: str | None) -> str:
        message = BusMessage(envelope.data, dict(envelope.properties()), message_id or uuid4().hex)
        await service_messages.handle(
            message,
            partial(use_case, clock=self.clock),
            source=source,
            retry_to=settings.NOTIFICATION_COMMANDS,
            clock=self.clock,
        )
        return message.message_id

    # --- The job's queue

    async def send(self, command: Message) -> None:
        await publisher.send([Outgoing(settings.NOTIFICATION_COMMANDS, self.enveloped(command))])

    def deliver(self, delivery: Delivery) -> Envelope:
        """The command to deliver this."""
        return messages.deliver(delivery, self.clock())

    async def work(self, limit: int | None = None) -> int:
        """Handles commands until none is left, or `limit` of this vehicle's; returns how many of its there were."""
        handled = 0
        while limit is None or handled < limit:
            batch = await self.queue.receive_messages(1, max_wait_time=QUIET_S)
            if not batch and not await self._more_to_come():
                break
            for received in batch:
                await self._settle(received)
                handled += self.vehicle_id.encode() in b"".join(received.body)
        return handled

    async def _settle(self, received: ServiceBusReceivedMessage) -> None:
        message = BusMessage(b"".join(received.body), _properties(received), received.message_id or "")
        try:
            await service_messages.handle(
                message,
                partial(service.obey, clock=self.clock),
                source=settings.NOTIFICATION_COMMANDS,
                retry_to=settings.NOTIFICATION_COMMANDS,
            )
        except Killed:
            await self.queue.abandon_message(received)
            raise
        await self.queue.complete_message(received)

    async def _more_to_come(self) -> bool:
        waiting = await self.queue.peek_messages(64, sequence_number=1)
        times = [message.scheduled_enqueue_time_utc for message in waiting]
        return any(time is None or time < datetime.now(UTC) + SOON for time in times)

    # --- What came of it

    async def deliveries(self) -> list[Delivery]:
        return [delivery async for delivery in store.deliveries(self.vehicle_id)]

    async def outcomes(self) -> set[tuple[str, str, str]]:
        return {(one.recipient_id, one.channel, one.status) for one in await self.deliveries()}

    async def only_delivery(self) -> Delivery:
        (delivery,) = await self.deliveries()
        return delivery

    async def parked(self, source: str, message_id: str) -> Parked | None:
        """What was parked of this message."""
        found = [item async for item in parking.parked(source) if item.origin.position == message_id]
        return found[0] if found else None

    async def parked_alerts(self) -> list[Parked]:
        """What was parked of this vehicle's alerts, newest first."""
        found = parking.parked(settings.VEHICLE_ALERTS_HUB)
        return [item async for item in found if item.origin.vehicle_id == self.vehicle_id]

    async def outbox_is_empty(self) -> bool:
        rows = Table(settings.NOTIFICATIONS_TABLE).query(self.vehicle_id, key_from=outbox.PREFIX)
        return not [row.key async for row in rows]


@asynccontextmanager
async def commands_of(cloud: LocalCloud) -> AsyncIterator[ServiceBusReceiver]:
    async with ServiceBusClient.from_connection_string(cloud.layout.amqp_connection) as client:
        receiver = client.get_queue_receiver(settings.NOTIFICATION_COMMANDS)
        async with receiver:
            yield receiver


def _properties(received: ServiceBusReceivedMessage) -> dict[str, Any]:
    return {
        name.decode() if isinstance(name, bytes) else name: value.decode() if isinstance(value, bytes) else value
        for name, value in (received.application_properties or {}).items()
    }
