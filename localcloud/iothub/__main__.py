"""`python -m localcloud.iothub`: the IoT Hub of the local cloud, until it is told to stop."""

import argparse
import asyncio
import logging
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from localcloud.errors import Misconfigured, Unavailable
from localcloud.iothub.configuration import Configuration, load_configuration
from localcloud.iothub.endpoint import Backlog, EventHubEndpoint
from localcloud.iothub.hub import Hub
from localcloud.iothub.records import open_journal
from localcloud.iothub.rest import make_app
from localcloud.iothub.tls import TlsStream, server_context
from localcloud.journal import Journal
from localcloud.layout import LOOPBACK, SERVICE_KEY
from localcloud.lifetime import EXIT_DATA_LOST, EXIT_MISCONFIGURED, EXIT_PORT_TAKEN, stop_signal, until_stopped
from localcloud.pki import Pki, ensure_pki

BACKLOG_LIMIT_BYTES: Final = 64 * 1024 * 1024
DRAIN_TIMEOUT_S: Final = 2.0


class PortTakenError(Exception):
    """Someone else listens there."""


def main() -> int:
    """The exit code: 0 after a stop, 2 for a bad configuration, 3 if a port is taken, 4 if data cannot be kept."""
    options = _parse_options()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("azure").setLevel("CRITICAL")  # an outage is told once, by us, and not at every attempt
    try:
        asyncio.run(_run(options))
    except PortTakenError as error:
        print(error, file=sys.stderr)
        return EXIT_PORT_TAKEN
    except Misconfigured as error:
        print(f"misconfigured: {error}", file=sys.stderr)
        return EXIT_MISCONFIGURED
    except Unavailable as error:
        print(error, file=sys.stderr)
        return EXIT_DATA_LOST
    return 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localcloud.iothub", description=__doc__)
    parser.add_argument("--address", default=LOOPBACK, help="the address to listen on")
    parser.add_argument("--hostname", default="localhost", help="the name by which devices and services call the hub")
    parser.add_argument("--mqtt-port", type=int, default=8883, help="for devices; 0: any free one")
    parser.add_argument("--rest-port", type=int, default=8443, help="for services; 0: any free one")
    parser.add_argument("--pki", type=Path, required=True, help="the folder of certificates; made if absent")
    parser.add_argument("--event-hubs", required=True, help="the connection string of the namespace to route to")
    parser.add_argument(
        "--config", type=Path, required=True, action="append", help="a file with routes or Event Hubs; repeatable"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep devices and twins there through a crash")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    configuration = load_configuration(*options.config)
    pki = ensure_pki(options.pki, [options.hostname])
    journal = open_journal(options.data)
    try:
        await _serve(options, configuration, pki, journal)
    finally:
        await journal.close()


async def _serve(options: argparse.Namespace, configuration: Configuration, pki: Pki, journal: Journal) -> None:
    backlog = Backlog(BACKLOG_LIMIT_BYTES)
    endpoints = {
        name: EventHubEndpoint(options.event_hubs, name, count, backlog)
        for name, count in configuration.routing.partition_counts.items()
    }
    hub = Hub(options.hostname, configuration, endpoints, backlog, journal)
    stop = stop_signal()
    mqtt_server = await _serve_mqtt(hub, pki, options.address, options.mqtt_port)
    rest = web.AppRunner(make_app(hub, options.hostname, SERVICE_KEY), access_log=None)
    await rest.setup()
    try:
        rest_port = await _serve_rest(rest, pki, options.address, options.rest_port)
        delivery = [asyncio.create_task(endpoint.run()) for endpoint in endpoints.values()]
        ports = {"mqtt_port": mqtt_server.sockets[0].getsockname()[1], "rest_port": rest_port}
        print("ready", msgspec.json.encode(ports).decode(), flush=True)
        await until_stopped(stop, *delivery, asyncio.ensure_future(journal.failed()))
        mqtt_server.close()
        hub.close()
        await asyncio.sleep(0)  # for the connections to notice
        with suppress(TimeoutError):  # who sent at QoS 0 gets no second chance
            await asyncio.wait_for(backlog.drained(), DRAIN_TIMEOUT_S)
        for task in delivery:
            task.cancel()
        await asyncio.gather(*delivery, return_exceptions=True)
    finally:
        await rest.cleanup()


async def _serve_mqtt(hub: Hub, pki: Pki, address: str, port: int) -> asyncio.Server:
    context = server_context(pki)
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: TlsStream(context, hub.connection), address, port, backlog=1024)
    except OSError as error:
        raise PortTakenError(f"port {port} of {address} cannot be used (--mqtt-port): {error.strerror}") from error


async def _serve_rest(runner: web.AppRunner, pki: Pki, address: str, port: int) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.server, pki.server_key)
    try:
        await web.TCPSite(runner, address, port, ssl_context=context, shutdown_timeout=1).start()
    except OSError as error:
        raise PortTakenError(f"port {port} of {address} cannot be used (--rest-port): {error.strerror}") from error
    bound: int = runner.addresses[0][1]
    return bound


if __name__ == "__main__":
    sys.exit(main())
