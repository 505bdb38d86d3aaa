"""The hub under the telemetry of many vehicles, in turn with an endpoint that only acknowledges."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.eventhub.aio import EventHubConsumerClient
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.cpu_clock import cpu_s
from benchmarks.services import CONFIG, Broker, service
from benchmarks.vehicles import Vehicle, connect
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.identity import certificate_to_pem, key_to_pem, new_key, thumbprint
from localcloud.layout import LOOPBACK, Layout
from localcloud.pki import Pki, ensure_pki, issue_device_certificate

_EVENT_HUB = "telemetry"
_CALLS = 20  # of the service API, at a time


@dataclass(frozen=True, slots=True)
class HubRun:
    """What one endpoint did with the messages of one round."""

    messages: int
    elapsed_s: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.messages / self.elapsed_s


async def hub_runs(
    folder: Path, broker: Broker, *, vehicles: int, messages_each: int, rounds: int
) -> list[tuple[HubRun, HubRun]]:
    """Of each round, the run of the hub and that of the bare endpoint.

    Raises `OSError` if a connection breaks, and `AssertionError` if an acknowledged message did not arrive.
    """
    pki = ensure_pki(folder / "pki", [LOOPBACK])
    ids = [f"vehicle-{number}" for number in range(vehicles)]
    # A certificate for all: the hub asks for the thumbprint that is registered, and making a thousand measures nothing.
    key = new_key()
    now = datetime.now(UTC)
    certificate = issue_device_certificate(
        pki, "vehicle", key.public_key(), not_before=now - timedelta(hours=1), not_after=now + timedelta(days=1)
    )
    tls = _tls(folder / "vehicle.pem", pki, key, certificate)
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(service("bare-hub", folder, "benchmarks.bare_hub", str(pki.directory)))
        hub = await stack.enter_async_context(
            service(
                "hub",
                folder,
                "localcloud.iothub",
                *("--hostname", LOOPBACK, "--mqtt-port", "0", "--rest-port", "0", "--pki", str(pki.directory)),
                *("--event-hubs", broker.connection_string, "--config", str(CONFIG)),
            )
        )
        await _register(folder, pki, hub.ready["rest_port"], ids, thumbprint(certificate))
        fleets = [
            (child.pid, await stack.enter_async_context(_connected(ids, child.ready["mqtt_port"], tls)))
            for child in (hub, bare)
        ]
        runs = []
        for _ in range(rounds):
            of_hub, of_bare = [await _run(pid, fleet, messages_each) for pid, fleet in fleets]
            runs.append((of_hub, of_bare))
        arrived = await _arrived(broker)
        assert arrived == rounds * vehicles * messages_each, f"{arrived} events arrived"
        return runs


def _tls(file: Path, pki: Pki, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
    file.write_bytes(certificate_to_pem(certificate) + key_to_pem(key))
    context = ssl.create_default_context(cafile=pki.root)
    context.load_cert_chain(file)
    return context


async def _register(folder: Path, pki: Pki, rest_port: int, ids: Sequence[str], thumbprint: str) -> None:
    connection = Layout(folder, hostname=LOOPBACK, hub_rest_port=rest_port).iothub_service_connection
    gate = asyncio.Semaphore(_CALLS)
    async with HubService(connection, pki.root) as registry:

        async def one(vehicle_id: str) -> None:
            async with gate:
                await registry.register(vehicle_id, thumbprint)

        await asyncio.gather(*map(one, ids))


@asynccontextmanager
async def _connected(ids: Sequence[str], port: int, tls: ssl.SSLContext) -> AsyncIterator[list[Vehicle]]:
    fleet = await connect(ids, LOOPBACK, port, tls)
    try:
        yield fleet
    finally:
        for vehicle in fleet:
            vehicle.close()


async def _run(pid: int, fleet: Sequence[Vehicle], messages_each: int) -> HubRun:
    begin_s, begin_cpu_s = time.perf_counter(), cpu_s(pid)
    await asyncio.gather(*(vehicle.send(messages_each) for vehicle in fleet))
    return HubRun(len(fleet) * messages_each, time.perf_counter() - begin_s, cpu_s(pid) - begin_cpu_s)


async def _arrived(broker: Broker) -> int:
    """How many events the Event Hub has."""
    async with EventHubConsumerClient.from_connection_string(
        broker.connection_string, "$Default", eventhub_name=_EVENT_HUB
    ) as client:
        partitions: list[dict[str, Any]] = [
            await client.get_partition_properties(number) for number in await client.get_partition_ids()
        ]
    return sum(
        partition["last_enqueued_sequence_number"] - partition["beginning_sequence_number"] + 1
        for partition in partitions
        if not partition["is_empty"]
    )
