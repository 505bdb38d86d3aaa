"""Cars at the real hub stand-in, enrolled, and what was sent about them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from functions.certificates import messages, service, store
from functions.certificates.rotation import Credentials
from localcloud.pki import Pki
from localcloud.services import LocalCloud
from shared.clock import to_epoch_ms, utc_now
from shared.identity.vehicle import ShardRange, shard
from shared.messaging import parking
from shared.messaging.contracts import EnrolCertificate, to_envelope
from shared.messaging.envelope import Envelope
from shared.settings import CERTIFICATE_EVENTS_HUB, DOMAIN_EVENTS
from tests.certificates.car import Car, to_pem


class MakeCar(Protocol):
    async def __call__(self, part: ShardRange | None = None) -> Car: ...


Announced = Callable[[str], Awaitable[list[str]]]


def enrolment(car: Car, *, sent_at: datetime | None = None, pem: str | None = None) -> Envelope:
    command = EnrolCertificate(vehicle_id=car.vehicle_id, certificate=pem or to_pem(car.certificate))
    sent_at_ms = to_epoch_ms(sent_at or datetime.now(UTC))
    return to_envelope(command, message_id="enrol", source="factory", subject=car.vehicle_id, time_ms=sent_at_ms)


def part_of(car: Car) -> ShardRange:
    """The part of the fleet that is scanned with the car."""
    return ShardRange(shard(car.vehicle_id)[0])


async def scan(car: Car, *, after: timedelta = timedelta()) -> None:
    """A scan of the car's part of the fleet, some time from now."""
    envelope = messages.scan_shards("scan-1", part_of(car), datetime.now(UTC))
    await service.obey(envelope, clock=lambda: utc_now() + after)


async def credentials(car: Car) -> Credentials:
    stored = await store.load(car.vehicle_id)
    assert stored is not None
    return stored.credentials


async def parked(car: Car) -> list[str]:
    """Why messages of this car were set aside."""
    return [
        item.code async for item in parking.parked(CERTIFICATE_EVENTS_HUB) if item.origin.vehicle_id == car.vehicle_id
    ]


@pytest.fixture(scope="session")
def pki(iot_hub: LocalCloud) -> Pki:
    """The one whose issuing CA the settings name."""
    return Pki(iot_hub.layout.pki)


@pytest.fixture
def make_car(pki: Pki) -> MakeCar:
    """Makes cars that the hub knows and that are enrolled, in one part of the fleet if it is given."""

    async def make(part: ShardRange | None = None) -> Car:
        car = Car(pki)
        while part not in {None, part_of(car)}:
            car = Car(pki)
        await car.exists()
        await service.obey(enrolment(car))
        return car

    return make


@pytest.fixture
async def car(make_car: MakeCar) -> Car:
    return await make_car()


@pytest.fixture(scope="session")
async def events(iot_hub: LocalCloud) -> AsyncIterator[ServiceBusReceiver]:
    async with (
        ServiceBusClient.from_connection_string(iot_hub.layout.amqp_connection) as client,
        client.get_subscription_receiver(
            DOMAIN_EVENTS, "certificates-witness", receive_mode="receiveanddelete"
        ) as receiver,
    ):
        yield receiver


@pytest.fixture(scope="session")
def announced(events: ServiceBusReceiver) -> Announced:
    """The ids of the domain events about a vehicle, each as often as it was sent."""
    seen: dict[str, Counter[str]] = {}

    async def about(vehicle_id: str) -> list[str]:
        while received := await events.receive_messages(100, max_wait_time=0.2):
            for message in received:
                subject = application_properties(message)["cloudEvents:subject"]
                seen.setdefault(subject, Counter())[str(message.message_id)] += 1
        return list(seen.get(vehicle_id, Counter()).elements())

    return about


def application_properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """As the Functions worker would give them: the SDK leaves names and texts as bytes."""
    received: Any = message.application_properties or {}
    return {name.decode(): value.decode() if isinstance(value, bytes) else value for name, value in received.items()}


async def together(*coroutines: Awaitable[None]) -> None:
    await asyncio.gather(*coroutines)
