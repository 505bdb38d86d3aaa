"""A fleet and a campaign on the running local cloud, worked on through the job's own triggers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import azure.functions as func
from azure.functions.meta import Datum
from azure.functions.servicebus import ServiceBusMessage
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from functions.ota import store, triggers
from functions.ota.store import Shard
from localcloud.services import LocalCloud
from shared import connections, settings
from shared.identity import registry
from shared.identity.sas import service_token
from shared.identity.vehicle import Vehicle, shard
from shared.messaging import outbox, parking, publisher, vehicle_link
from shared.messaging.contracts import StartCampaign, to_envelope
from shared.messaging.envelope import Envelope, parse
from shared.messaging.parking import Parked
from shared.messaging.publisher import Outgoing
from shared.storage import blobs
from shared.storage.tables import Table
from tests.ota.campaigns import FIRMWARE, definition

QUIET_S = 0.2
_sequence_numbers = count(1)

Handle = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


async def once(work: Callable[[], Awaitable[None]]) -> None:
    """As it is delivered nearly always."""
    await work()


@dataclass
class Stage:
    """One test's vehicles and campaign. Other tests' messages may pass through the same queue; they are handled too."""

    cloud: LocalCloud
    commands: ServiceBusReceiver
    topic: ServiceBusReceiver
    brand: str = field(default_factory=lambda: f"brand-{uuid4().hex[:8]}")
    campaign_id: str = field(default_factory=lambda: f"campaign-{uuid4().hex}")
    _events: list[Envelope] = field(default_factory=list)

    # --- The world around the job

    def definition(self, **changes: Any) -> StartCampaign:
        return definition(**({"campaign_id": self.campaign_id, "brand": self.brand} | changes))

    async def vehicles(self, number: int, *, model: str = "One", at_hub: bool = True) -> list[str]:
        """Vehicles of this test's brand that are registered and, if so wanted, known to the IoT Hub."""
        vehicle_ids = [f"car-{uuid4().hex}" for _ in range(number)]
        await self.register(vehicle_ids, model=model, at_hub=at_hub)
        return vehicle_ids

    async def register(self, vehicle_ids: Iterable[str], *, model: str = "One", at_hub: bool = True) -> None:
        for vehicle_id in vehicle_ids:
            await registry.register(Vehicle(vehicle_id, self.brand, model, "DE"))
            if at_hub:
                await self._create_device(vehicle_id)

    async def _create_device(self, vehicle_id: str) -> None:
        parts = dict(part.split("=", 1) for part in self.cloud.layout.iothub_service_connection.split(";"))
        host, expires_at = parts["HostName"], datetime.now(UTC) + timedelta(hours=1)
        token = service_token(host, parts["SharedAccessKeyName"], parts["SharedAccessKey"], expires_at)
        async with connections.http().put(
            f"https://{host}/devices/{vehicle_id}",
            params={"api-version": vehicle_link.API_VERSION},
            headers={"Authorization": token},
            json={"deviceId": vehicle_id, "status": "enabled", "authentication": {"type": "sas"}},
        ) as response:
            assert response.status == 200, await response.text()

    async def upload_artifact(self) -> None:
        await blobs.put(settings.ARTIFACTS_CONTAINER, self.definition().artifact.blob, FIRMWARE)

    async def offer(self, vehicle_id: str) -> dict[str, Any] | None:
        """What the vehicle sees."""
        twin = await vehicle_link.desired(vehicle_id)
        found: dict[str, Any] | None = twin.properties.get("update")
        return found

    async def put_offer(self, vehicle_id: str, offer: dict[str, Any] | None) -> None:
        await vehicle_link.set_desired(vehicle_id, {"update": offer})

    # --- Messages to the job

    async def start(self, **changes: Any) -> None:
        await self.send(self.definition(**changes))

    async def send(self, command: StartCampaign) -> None:
        envelope = to_envelope(
            command, message_id=uuid4().hex, source="/test", subject=command.campaign_id, time_ms=1_777_000_000_000
        )
        await publisher.send([Outgoing(settings.OTA_COMMANDS, envelope)])

    async def work(self, handle: Handle = once, *, at_once: int = 16) -> None:
        """Handles commands until none is left, each as `handle` delivers it, several at once as the host does."""
        async for batch in _until_quiet(self.commands, at_once):
            await asyncio.gather(*(handle(_invocation(received)) for received in batch))
            for received in batch:
                await self.commands.complete_message(received)

    async def report(self, *said: tuple[str, str], handle: Handle = once, **more: Any) -> None:
        """One Event Hub batch of reports: vehicle and status."""
        await self.deliver([event(vehicle_id, self.body(status, **more)) for vehicle_id, status in said], handle)

    async def deliver(self, events: list[func.EventHubEvent], handle: Handle = once) -> None:
        await handle(lambda: _user_function(triggers.ota_events)(events))

    def body(self, status: str, **more: Any) -> bytes:
        report = {"v": 1, "campaign_id": self.campaign_id, "version": "2.0.0", "status": status, "at": 1000}
        return json.dumps(report | more).encode()

    # --- What came of it

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """What the other jobs were told by messages with different ids, in order of sending."""
        async for batch in _until_quiet(self.topic, 64):
            for received in batch:
                self._events.append(_envelope(received))
                await self.topic.complete_message(received)
        mine = {one.id: json.loads(one.data) for one in self._events if one.type == kind}
        return [data for data in mine.values() if data["campaign_id"] == self.campaign_id]

    async def status(self, vehicle_id: str) -> str | None:
        found = await store.assignment(Shard(self.campaign_id, shard(vehicle_id)), vehicle_id)
        return None if found is None else str(found.update.status)

    async def parked(self, source: str) -> list[Parked]:
        """What was set aside in the course of this test."""
        return [item async for item in parking.parked(source, limit=20)]

    async def nothing_waits(self, vehicle_ids: Iterable[str]) -> bool:
        """Whether every outbox of the campaign is empty."""
        table = Table(settings.CAMPAIGNS_TABLE)
        partitions = {self.campaign_id, *(f"{self.campaign_id}|{shard(vehicle_id)}" for vehicle_id in vehicle_ids)}
        return not [
            row.key
            for partition in partitions
            async for row in table.query(partition, key_from=outbox.PREFIX)
            if row.key.startswith(outbox.PREFIX)
        ]


@dataclass
class Running:
    """A campaign whose vehicles have their offers; each test takes vehicles of its own."""

    stage: Stage
    vehicle_ids: list[str]

    def vehicle(self) -> str:
        return self.vehicle_ids.pop()


@asynccontextmanager
async def receivers(cloud: LocalCloud) -> AsyncIterator[tuple[ServiceBusReceiver, ServiceBusReceiver]]:
    """Of the job's commands and of what it tells the others."""
    async with ServiceBusClient.from_connection_string(cloud.layout.amqp_connection) as client:
        commands = client.get_queue_receiver(settings.OTA_COMMANDS)
        topic = client.get_subscription_receiver(settings.DOMAIN_EVENTS, "ota-witness")
        async with commands, topic:
            yield commands, topic


def event(vehicle_id: str | None, body: bytes) -> func.EventHubEvent:
    """An event as the Functions worker hands it over."""
    partition = Datum(json.dumps({"PartitionId": "1"}), "json")
    return func.EventHubEvent(
        body=body,
        trigger_metadata={"PartitionContext": partition},
        enqueued_time=datetime(2026, 5, 1, 12, 0),  # noqa: DTZ001 - the worker decodes naive times
        sequence_number=next(_sequence_numbers),
        iothub_metadata={} if vehicle_id is None else {"connection-device-id": vehicle_id},
    )


def _user_function(trigger: Any) -> Callable[[Any], Awaitable[None]]:
    function: Callable[[Any], Awaitable[None]] = trigger._function.get_user_function()
    return function


def _invocation(received: ServiceBusReceivedMessage) -> Callable[[], Awaitable[None]]:
    properties = _properties(received)
    message = ServiceBusMessage(
        body=b"".join(received.body),
        application_properties=properties,
        user_properties=properties,
        message_id=received.message_id or "",
        enqueued_time_utc=(received.enqueued_time_utc or datetime.now(UTC)).replace(tzinfo=None),
    )
    return lambda: _user_function(triggers.ota_commands)(message)


def _envelope(received: ServiceBusReceivedMessage) -> Envelope:
    return parse(_properties(received), b"".join(received.body))


def _properties(received: ServiceBusReceivedMessage) -> dict[str, Any]:
    return {
        name.decode() if isinstance(name, bytes) else name: value.decode() if isinstance(value, bytes) else value
        for name, value in (received.application_properties or {}).items()
    }


async def _until_quiet(receiver: ServiceBusReceiver, size: int) -> AsyncIterator[list[ServiceBusReceivedMessage]]:
    """What is there, what comes meanwhile, and what is scheduled for later."""
    while True:
        batch = await receiver.receive_messages(size, max_wait_time=QUIET_S)
        if batch:
            yield batch
        elif not await receiver.peek_messages(1, sequence_number=1):
            return
