"""The local cloud, up until it is interrupted: with the host, or without it for Azure Functions Core Tools."""

import asyncio
import signal

from rich.console import Console
from rich.table import Table

from localcloud.layout import Layout, make_folder
from localcloud.mail import MailSink
from localcloud.services import LocalCloud, running, while_whole


async def up(cloud: LocalCloud, *, host: bool) -> None:
    """Runs until SIGINT or SIGTERM. Raises `StartFailed`, `ServiceEnded` and `Misconfigured`."""
    console, layout = Console(), cloud.layout
    layout.check_free(*(name for name, _ in layout.ports() if host or name != "functions_port"))
    make_folder(layout.directory)
    stopped = asyncio.Event()
    with MailSink(layout.address, layout.smtp_port, layout.directory / "mail"), console.status("Starting …") as status:
        async with running(cloud, host=host), while_whole(cloud):
            # Not before: during the start, which may wait for long, a signal interrupts.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
            status.stop()
            console.print(_endpoints(layout, host=host))
            if host:
                console.print(_keys(cloud), soft_wrap=True)
            console.print(_advice(cloud, host=host))
            try:
                await stopped.wait()
            finally:
                status.update("Stopping …")
                status.start()


def _endpoints(layout: Layout, *, host: bool) -> Table:
    table = Table(title="The local cloud is up", title_justify="left")
    table.add_column("service")
    table.add_column("where")
    table.add_row("Service Bus and Event Hubs", f"amqp://{layout.hostname}:{layout.amqp_port}")
    table.add_row("IoT Hub for devices", f"mqtts://{layout.hostname}:{layout.mqtt_port}")
    table.add_row("IoT Hub for services", f"https://{layout.hostname}:{layout.hub_rest_port}")
    for name, port in (("Blob", layout.blob_port), ("Queue", layout.queue_port), ("Table", layout.table_port)):
        table.add_row(f"{name} storage", f"http://{layout.address}:{port}")
    table.add_row("SMTP", f"{layout.address}:{layout.smtp_port} → {layout.directory / 'mail'}")
    if host:
        table.add_row("Functions host", f"http://{layout.hostname}:{layout.functions_port}")
    return table


def _keys(cloud: LocalCloud) -> str:
    key, page = cloud.children["host"].ready["key"], cloud.configuration.console
    if page is None:
        return f"Key for functions: {key}"
    return f"Console: http://{cloud.layout.hostname}:{cloud.layout.functions_port}{page}?code={key}"


def _advice(cloud: LocalCloud, *, host: bool) -> str:
    kept = f"state is kept in {cloud.data}" if cloud.data else "state is gone then (--data DIR keeps it)"
    stop = f"Ctrl-C stops everything, {kept}; logs are in {cloud.layout.directory / 'logs'}"
    if host:
        return stop
    return "Write these places into the app's local.settings.json, then run `func start` in another terminal.\n" + stop
