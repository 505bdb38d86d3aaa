"""A host of its own for the test app: its broker has the entities of cloud.toml beside this file."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from localcloud.layout import Layout
from localcloud.processes import Child, child_environment, python_module
from localcloud.services import LocalCloud
from tests.host import real_worker
from tests.host.observer import Observer

APP = Path(__file__).with_name("app")
CONFIG = Path(__file__).with_name("cloud.toml")


@dataclass
class Bench:
    """The services that the host under test needs, and ways to feed it."""

    layout: Layout
    observer: Observer
    observed_at: Path
    app: Path = APP
    config: Path = CONFIG
    app_settings: Mapping[str, str] = field(default_factory=dict)
    hosts: list[Child] = field(default_factory=list)
    broker: Child = field(init=False)
    _producers: dict[str, EventHubProducerClient] = field(default_factory=dict)
    _bus_senders: dict[str, ServiceBusSender] = field(default_factory=dict)
    _clients: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self._queues = QueueServiceClient.from_connection_string(self.layout.storage_connection)
        self._bus = ServiceBusClient.from_connection_string(self.layout.amqp_connection)

    async def start_broker(self) -> None:
        layout = self.layout
        arguments = ("--address", layout.address, "--port", str(layout.amqp_port), "--config", str(self.config))
        log = layout.directory / "logs" / f"{self.app.name}-broker.log"
        command = python_module("localcloud.broker", *arguments)
        self.broker = await Child.start("broker", command, log=log, environment=child_environment())
        await self.broker.until_ready()

    async def start_host(self, *options: str, **settings: str) -> Child:
        """A running host of the app, on a free port unless `options` say otherwise."""
        environment = child_environment(
            AzureWebJobsStorage=self.layout.storage_connection,
            OBSERVED=str(self.observed_at),
            **{**self.app_settings, **settings},
        )
        log = self.layout.directory / "logs" / f"{self.app.name}-host-{len(self.hosts)}.log"
        command = python_module("localcloud.host", "--app-root", str(self.app), *(options or ("--port", "0")))
        host = await Child.start("host", command, log=log, environment=environment)
        self.hosts.append(host)
        await host.until_ready()
        return host

    async def send_events(self, event_hub: str, *bodies: bytes, partition: str = "0", **properties: Any) -> None:
        producer = self._producers.get(event_hub)
        if producer is None:
            producer = EventHubProducerClient.from_connection_string(
                self.layout.amqp_connection, eventhub_name=event_hub
            )
            self._producers[event_hub] = producer
            self._clients.push_async_callback(producer.close)
        batch = await producer.create_batch(partition_id=partition)
        for body in bodies:
            event = EventData(body)
            event.properties.update(properties)
            batch.add(event)
        await producer.send_batch(batch)

    async def warm_up(self) -> None:
        """Opens links side by side, because the SDK takes a second for each."""
        partitions = (("many", "1"), ("one", "0"), ("text", "0"), ("retried", "0"), ("retried", "1"))
        async with asyncio.TaskGroup() as group:
            for event_hub, partition in partitions:
                group.create_task(self.send_events(event_hub, b"warm-up", partition=partition))
            group.create_task(self.send_messages(ServiceBusMessage(b"warm-up"), queue="commands"))
            group.create_task(self.send_messages(ServiceBusMessage(b"warm-up"), topic="happenings"))

    async def send_messages(self, *messages: ServiceBusMessage, queue: str = "", topic: str = "") -> None:
        sender = self._bus_senders.get(queue or topic)
        if sender is None:
            sender = self._bus.get_queue_sender(queue) if queue else self._bus.get_topic_sender(topic)
            self._bus_senders[queue or topic] = sender
            self._clients.push_async_callback(sender.close)
        await sender.send_messages(list(messages))

    def storage_queue(self, name: str) -> QueueClient:
        """A queue whose messages the test encodes itself."""
        return self._queues.get_queue_client(name)

    @asynccontextmanager
    async def receiver(self, queue: str, *, dead_letters: bool = False) -> AsyncIterator[ServiceBusReceiver]:
        """A receiver beside the host's."""
        sub_queue = ServiceBusSubQueue.DEAD_LETTER if dead_letters else None
        async with self._bus.get_queue_receiver(queue, sub_queue=sub_queue) as receiver:
            yield receiver

    async def close_clients(self) -> None:
        await self._clients.aclose()
        await self._queues.close()
        await self._bus.close()

    async def close(self) -> None:
        await self.close_clients()
        await self.stop_hosts()
        await self.broker.stop()

    async def stop_hosts(self) -> None:
        """Two hosts at once would take the partitions from each other."""
        for host in self.hosts:
            await host.stop()


@pytest.fixture(scope="session")
def worker_python() -> Path:
    """The interpreter that has Microsoft's worker library and the app's requirements."""
    python = real_worker.make_environment()
    if python is None:
        pytest.skip("no Python 3.13 here, which azure-functions-runtime needs (python3.13 or pyenv)")
    return python


@pytest.fixture(scope="session")
def services(local_services: LocalCloud) -> Layout:
    """The suite's storage, and a free port for a broker of our own."""
    return replace(local_services.layout, amqp_port=local_services.layout.on_free_ports().amqp_port)


@pytest.fixture(scope="session")
async def bench(services: Layout) -> AsyncIterator[Bench]:
    observer, transport, path = await Observer.listen()
    settings = {
        "Events": services.amqp_connection,
        "Bus": services.amqp_connection,
        "ManyHub": "many",
        "Errands": "errands",
        "Every": "0 0 3 1 1 *",
        "AzureFunctionsWebHost__hostid": "bench",  # keeps its timers apart from other tests'
    }
    bench = Bench(services, observer, path, app_settings=settings)
    try:
        await bench.start_broker()
        await asyncio.gather(bench.start_host(), bench.warm_up())
        yield bench
    finally:
        await bench.close()
        transport.close()
        shutil.rmtree(path.parent)


@pytest.fixture
async def host(bench: Bench) -> Child:
    """One host for all tests that do not stop it; started anew after one that did."""
    running = [each for each in bench.hosts if each.running]
    return running[0] if running else await bench.start_host()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def url(host: Child) -> str:
    return f"http://127.0.0.1:{host.ready['port']}"


@pytest.fixture
def key(host: Child) -> dict[str, str]:
    return {"x-functions-key": host.ready["key"]}
