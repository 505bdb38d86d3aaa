"""Thousands of connections that come and go: what of a server's memory they leave behind."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from localcloud.broker.wire.frames import SASL_PROTOCOL, protocol_header
from localcloud.broker.wire.performatives import CLOSE, SASL_OUTCOME, performative
from localcloud.layout import LOOPBACK
from tests.broker.wire import SASL_PLAIN, put, wire_client
from tests.iothub.devices import RawClient
from tests.iothub.services import CONFIG, MQTT_PORT, Hub, event_hubs, running_hub, start_broker
from tests.soak import amqp_talk
from tests.soak.amqp_frames import empty
from tests.soak.figures import MIB, Report, cpu_s, mib, open_connections, rss_bytes
from tests.soak.mqtt_frames import RegisteredDevice
from tests.soak.rounds import AT_A_TIME

DEVICES = 64
ROUND = 250  # connections; what they have sent is taken away behind each
WARM_UP = 500  # connections until all is loaded and every pool of memory has its size
CLOSED_S = 20.0
MAX_GROWTH_BYTES = 10 * MIB


async def _open_and_close(count: int, connect: Callable[[int], Awaitable[None]]) -> None:
    """Some at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await connect(number)

    await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))


async def _measure(
    report: Report,
    pid: int,
    count: int,
    some: Callable[[int], Awaitable[None]],
    still_open: Callable[[], int],
) -> None:
    """Warms up, does `some` connections at a time until there were enough, and compares."""
    loop = asyncio.get_running_loop()

    async def all_closed() -> None:
        deadline_s = loop.time() + CLOSED_S
        while still_open() and loop.time() < deadline_s:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        report.check(not still_open(), f"{still_open()} connections that the server has not closed")

    for _ in range(max(min(WARM_UP, count) // ROUND, 1)):
        await some(min(ROUND, count))
    await all_closed()
    before, sizes = rss_bytes(pid), []
    started_s, cpu_before_s = loop.time(), cpu_s(pid)
    for start in range(0, count, ROUND):
        await some(min(ROUND, count - start))
        sizes.append(rss_bytes(pid))
    elapsed_s = loop.time() - started_s
    cpu_used_s = cpu_s(pid) - cpu_before_s
    await all_closed()
    after = rss_bytes(pid)
    report.check(after - before < MAX_GROWTH_BYTES, f"memory did not return: {mib(after - before)} MiB more")
    report.figures = {
        "connections": count,
        "a second": round(count / elapsed_s),
        "server's CPU": f"{cpu_used_s:.1f} s",
        "memory before and after": f"{mib(before)}/{mib(after)} MiB",
        "on the way": "/".join(str(mib(size)) for size in sizes[:: max(len(sizes) // 5, 1)]),
    }


async def run_amqp(directory: Path, count: int) -> Report:
    """Each with SASL, an open, a session, a link, a message that is acknowledged, and mostly a proper close."""
    report = Report("AMQP connections")
    config, log = directory / "entities.toml", directory / "broker.log"
    config.write_text(amqp_talk.CONFIG, encoding="utf-8")
    broker = await start_broker(config, log)
    port = broker.ports["port"]

    async def connect(number: int) -> None:
        async with wire_client(port) as client:
            client.writer.write(protocol_header(SASL_PROTOCOL) + SASL_PLAIN)
            await client.expect(SASL_OUTCOME)
            await client.begin()
            await client.produce(0, amqp_talk.QUEUE)
            await put(client, 0, b"message")
            if number % 4:
                client.send(performative(CLOSE, None), channel=0)
                await client.expect(CLOSE)
            else:
                client.writer.transport.abort()

    async def some(number: int) -> None:
        await _open_and_close(number, connect)
        report.check(await empty(port, amqp_talk.QUEUE) == number, "not as many messages as connections")

    try:
        await _measure(report, broker.pid, count, some, lambda: open_connections(LOOPBACK, port))
    finally:
        await broker.stop()
    report.check("Traceback" not in log.read_text(encoding="utf-8"), f"a traceback in {log}")
    return report


async def run_mqtt(directory: Path, count: int) -> Report:
    """Each with TLS, the certificate of a device, CONNECT, a message that is acknowledged, and mostly a DISCONNECT."""
    report = Report("MQTT connections")
    broker = await start_broker(CONFIG, directory / "broker.log")
    try:
        async with running_hub(directory, event_hubs(broker.ports["port"]), CONFIG) as hub:
            await _run_mqtt(hub, directory, count, report)
        report.check("Traceback" not in hub.log.read_text(encoding="utf-8"), f"a traceback in {hub.log}")
    finally:
        await broker.stop()
    return report


async def _run_mqtt(hub: Hub, directory: Path, count: int, report: Report) -> None:
    devices = [await RegisteredDevice.register(hub, directory, f"device-{number}") for number in range(DEVICES)]

    async def connect(number: int) -> None:
        device = devices[number % DEVICES]
        streams = await asyncio.open_connection(hub.address, MQTT_PORT, ssl=device.tls)
        client = RawClient(hub, device.device_id, *streams)
        report.check(await client.connect(keep_alive_s=60) == 0, f"{device.device_id} was refused")
        client.telemetry(b"here", "type=telemetry")
        report.check(await client.receive() is not None, f"{device.device_id} got no PUBACK")
        if number % 4:
            await client.close()
        else:
            client.abort()

    async def some(number: int) -> None:
        await _open_and_close(number, connect)

    await _measure(report, hub.service.pid, count, some, lambda: open_connections(hub.address, MQTT_PORT))
