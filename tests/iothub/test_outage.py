"""What happens to messages while the Event Hubs are away. The hub and the broker here are these tests' own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localcloud.iothub.mqtt.packets import Puback
from localcloud.layout import Layout
from tests.iothub.devices import RawClient, issued_identity, raw_client, sdk_client, telemetry
from tests.iothub.events import consuming
from tests.iothub.services import ROOT, Hub, Service, event_hubs, running_hub, start_broker

CONFIG = ROOT / "localcloud" / "cloud.toml"  # has no fallback: what no route takes is dropped


@pytest.fixture
def broker_port() -> int:
    return Layout(Path()).on_free_ports().amqp_port


@pytest.fixture
async def lonely_hub(tmp_path: Path, broker_port: int) -> AsyncIterator[Hub]:
    """A hub whose broker has not started."""
    async with running_hub(tmp_path, event_hubs(broker_port), CONFIG) as hub:
        yield hub


async def start(tmp_path: Path, port: int) -> Service:
    return await start_broker(CONFIG, tmp_path / "broker.log", port)


async def test_messages_wait_for_the_broker_and_are_acknowledged_only_then(
    lonely_hub: Hub, tmp_path: Path, broker_port: int
) -> None:
    """Before the broker starts and again while it restarts: no PUBACK, no loss, no change of order."""
    await lonely_hub.register("car")
    async with raw_client(lonely_hub, "car", issued_identity(tmp_path, lonely_hub.pki, "car")) as client:
        await client.connect()
        await send_unacknowledged(client, range(1, 101))
        broker = await start(tmp_path, broker_port)
        assert [await client.receive() for _ in range(100)] == [Puback(number) for number in range(1, 101)]

        await broker.kill()
        await send_unacknowledged(client, range(101, 201))
        broker = await start(tmp_path, broker_port)
        assert [await client.receive() for _ in range(100)] == [Puback(number) for number in range(101, 201)]
        async with consuming(event_hubs(broker_port), "telemetry") as events:
            received = await events.wait("car", 100)
        await broker.stop()
    assert [int(event.body) for event in received] == list(range(101, 201))


async def test_the_sdk_waits_patiently_for_its_acknowledgement(
    lonely_hub: Hub, tmp_path: Path, broker_port: int
) -> None:
    await lonely_hub.register("car")
    async with sdk_client(lonely_hub, "car", issued_identity(tmp_path, lonely_hub.pki, "car")) as client:
        message = telemetry("patience", type="telemetry")
        sending = asyncio.create_task(client.send_message(message))
        assert not (await asyncio.wait([sending], timeout=0.3))[0]
        broker = await start(tmp_path, broker_port)
        await asyncio.wait_for(sending, 20)
        await broker.stop()


async def test_what_no_route_takes_is_dropped_and_acknowledged(lonely_hub: Hub, tmp_path: Path) -> None:
    await lonely_hub.register("car")
    async with raw_client(lonely_hub, "car", issued_identity(tmp_path, lonely_hub.pki, "car")) as client:
        await client.connect()
        client.telemetry(b"a secret position", "type=unheard-of")
        assert await client.receive() == Puback(1)
    log = lonely_hub.log.read_text()
    assert "no route takes a message of car" in log
    assert "secret" not in log


async def test_a_full_buffer_stops_reading_instead_of_growing(
    lonely_hub: Hub, tmp_path: Path, broker_port: int
) -> None:
    """Devices are held, not cut: when the broker is back everything they sent arrives."""
    await lonely_hub.register("car")
    count = 360  # of 250 kB each: more than the 64 MiB that the hub holds and what sockets hold beside it
    async with raw_client(lonely_hub, "car", issued_identity(tmp_path, lonely_hub.pki, "car")) as client:
        await client.connect()
        sending = asyncio.create_task(send_large(client, count))
        assert not (await asyncio.wait([sending], timeout=1.5))[0], "the hub has read everything"
        broker = await start(tmp_path, broker_port)
        assert [await client.receive(30) for _ in range(count)] == [Puback(number) for number in range(1, count + 1)]
        await sending
        await broker.stop()


async def send_unacknowledged(client: RawClient, numbers: range) -> None:
    """Sends and makes sure that nothing comes back for a while."""
    for number in numbers:
        client.telemetry(b"%d" % number, "type=telemetry", packet_id=number)
    with pytest.raises(TimeoutError):
        await client.receive(0.3)


async def send_large(client: RawClient, count: int) -> None:
    for number in range(1, count + 1):
        client.telemetry(b"x" * 250_000, "type=telemetry", packet_id=number)
        await client.drain()
