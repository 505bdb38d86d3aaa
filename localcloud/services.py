"""The services of the local cloud, each a process of its own: storage, broker, IoT Hub and Functions host.

Separate processes, so that one can be killed without the others, as in the cloud.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

from azure.core.exceptions import ResourceExistsError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from localcloud.configuration import ROOT, Configuration, load
from localcloud.layout import Layout, ServiceEnded, StartFailed
from localcloud.pki import ensure_pki
from localcloud.processes import Child, child_environment, python_module

_NOTICED_WITHIN_S = 1.0
AZURITE = Path(__file__).with_name("node_modules") / "azurite" / "dist" / "src" / "azurite.js"


class LocalCloud:
    """A running local cloud; its services can be stopped, killed and started again one by one."""

    def __init__(
        self,
        layout: Layout,
        *,
        configuration: Configuration | None = None,
        data: Path | None = None,
        app: Path = ROOT,
        settings: Mapping[str, str] | None = None,
        settings_file: Path | None = None,
    ) -> None:
        """`configuration` is that of our own app where none is given.

        `data` is the folder in which all services keep their state; without one it is gone with them. `settings` win
        over those of the configuration, and these over a local.settings.json, the `settings_file`.
        """
        self.layout = layout
        self.configuration = configuration or load()
        self.data = data
        self.app = app
        self.settings = settings or {}
        self.settings_file = settings_file
        self.children: dict[str, Child] = {}
        self._started = asyncio.Event()

    async def start_storage(self) -> None:
        """Azurite, with the tables, queues and containers that are declared."""
        layout = self.layout
        layout.check_free("blob_port", "queue_port", "table_port")
        node = shutil.which("node")
        if node is None or not AZURITE.exists():
            raise StartFailed("Azurite is not installed; `make setup` does it (Node 20 or newer is needed)")
        command = [node, str(AZURITE), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        for kind, port in (("blob", layout.blob_port), ("queue", layout.queue_port), ("table", layout.table_port)):
            command += [f"--{kind}Host", layout.address, f"--{kind}Port", str(port)]
        if self.data is None:
            command.append("--inMemoryPersistence")
        else:
            command += ["--location", str(self.data / "storage")]
        child = await self._start("storage", command)
        for port in (layout.blob_port, layout.queue_port, layout.table_port):
            await child.until_listening(layout.address, port)
        await _provision(layout, self.configuration)

    async def start_broker(self) -> None:
        layout = self.layout
        arguments = ["--address", layout.address, "--port", str(layout.amqp_port), *self._declared()]
        child = await self._start("broker", python_module("localcloud.broker", *arguments))
        await child.until_ready()

    async def start_iothub(self) -> None:
        layout = self.layout
        ensure_pki(layout.pki, [layout.hostname, layout.address])
        command = python_module(
            "localcloud.iothub",
            *("--address", layout.address),
            *("--hostname", layout.hostname),
            *("--mqtt-port", str(layout.mqtt_port)),
            *("--rest-port", str(layout.hub_rest_port)),
            *("--pki", str(layout.pki)),
            *("--event-hubs", layout.amqp_connection),
            *self._declared(),
        )
        child = await self._start("iothub", command)
        await child.until_ready()

    async def start_host(self) -> None:
        layout = self.layout
        arguments = ["--app-root", str(self.app), "--address", layout.address, "--port", str(layout.functions_port)]
        # Never the app's own file unless it is meant: a demo or a test must not depend on what lies there.
        arguments += ["--no-local-settings"] if self.settings_file is None else ["--settings", str(self.settings_file)]
        child = await self._start("host", python_module("localcloud.host", *arguments))
        await child.until_ready()

    async def watch(self) -> NoReturn:
        """Raises `ServiceEnded` as soon as one of the services that run now is gone."""
        waiting = {asyncio.create_task(child.until_ended()): child for child in self.children.values()}
        try:
            ended, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        raise ServiceEnded("; ".join(waiting[task].last_words("ended unexpectedly") for task in ended))

    async def stop(self) -> None:
        """Stops everything, last started first."""
        while self.children:
            _, child = self.children.popitem()
            await child.stop()

    async def start(self, *, host: bool = True) -> None:
        """Starts all services, or all but the host. Raises `StartFailed`, naming the service and why.

        What waits for another service waits long, since that may come up late: so one that ends is noticed here.
        """
        starting = asyncio.create_task(self._start_all(host=host))
        try:
            while not starting.done():
                if dead := await self._first_dead(starting):
                    raise StartFailed("; ".join(child.last_words("ended during the start") for child in dead))
            await starting
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

    async def _first_dead(self, starting: asyncio.Task[None]) -> list[Child]:
        """The services that ended; none once `starting` is over, or there is another service that can end."""
        self._started.clear()
        ends = {asyncio.create_task(child.until_ended()): child for child in self.children.values()}
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait((starting, started, *ends), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (started, *ends):
                task.cancel()
        return [child for task, child in ends.items() if task.done() and not task.cancelled()]

    async def _start_all(self, *, host: bool) -> None:
        storage = asyncio.create_task(self.start_storage())
        try:
            await self.start_broker()
            await self.start_iothub()
            await storage
        finally:
            storage.cancel()
            await asyncio.gather(storage, return_exceptions=True)
        if host:
            await self.start_host()

    def _declared(self) -> list[str]:
        """The options that tell broker and IoT Hub what there is and where to keep it."""
        options = [word for path in self.configuration.paths for word in ("--config", str(path))]
        return options if self.data is None else [*options, "--data", str(self.data)]

    async def _start(self, name: str, command: Sequence[str]) -> Child:
        environment = child_environment(**{**self.configuration.settings_for(self.layout), **self.settings})
        log = self.layout.directory / "logs" / f"{name}.log"
        child = await Child.start(name, command, log=log, environment=environment)
        self.children[name] = child
        self._started.set()
        return child


@asynccontextmanager
async def running(cloud: LocalCloud, *, host: bool = True) -> AsyncIterator[LocalCloud]:
    """The whole local cloud for the length of the block. Raises `StartFailed`, naming the service and why."""
    try:
        await cloud.start(host=host)
        yield cloud
    finally:
        await cloud.stop()


@asynccontextmanager
async def while_whole(cloud: LocalCloud) -> AsyncIterator[None]:
    """Cancels the block when a service ends, and raises `ServiceEnded` whatever else the block fails with then."""
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(cloud.watch())
            try:
                yield
            except Exception:
                await asyncio.wait({watch}, timeout=_NOTICED_WITHIN_S)  # the block may have noticed it first
                raise
            watch.cancel()
    except BaseExceptionGroup as failed:
        cause = failed.subgroup(ServiceEnded) or failed
        raise cause.exceptions[0] from None


async def _provision(layout: Layout, declared: Configuration) -> None:
    """Creates tables, queues and containers, which infrastructure code does in Azure."""
    async with TableServiceClient.from_connection_string(layout.storage_connection) as tables:
        for name in declared.tables:
            await tables.create_table_if_not_exists(name)
    async with QueueServiceClient.from_connection_string(layout.storage_connection) as queues:
        for name in declared.queues:
            with suppress(ResourceExistsError):
                await queues.create_queue(name)
    async with BlobServiceClient.from_connection_string(layout.storage_connection) as blobs:
        for name in declared.containers:
            with suppress(ResourceExistsError):
                await blobs.create_container(name)
