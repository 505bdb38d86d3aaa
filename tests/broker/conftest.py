"""One broker for all tests here, as a process of its own, with entities that no other test uses."""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

Handler = ServiceBusSender | ServiceBusReceiver
H = TypeVar("H", ServiceBusSender, ServiceBusReceiver)

PLAIN_QUEUES, SHORT_LOCK_QUEUES, HUBS = 40, 12, 16

_CONFIG = "\n".join(
    (
        *(f"[servicebus.queues.plain-{number}]\nMaxDeliveryCount = 3" for number in range(PLAIN_QUEUES)),
        *(f'[servicebus.queues.short-lock-{number}]\nLockDuration = "PT1S"' for number in range(SHORT_LOCK_QUEUES)),
        *(f'[eventhubs.hub-{number}]\nPartitionCount = 2\nConsumerGroups = ["second"]' for number in range(HUBS)),
        """
        [servicebus.queues.expiring]
        DefaultMessageTimeToLive = "PT1S"
        [servicebus.queues.expiring-to-dead-letters]
        DeadLetteringOnMessageExpiration = true
        [servicebus.queues.without-duplicates]
        RequiresDuplicateDetection = true
        DuplicateDetectionHistoryTimeWindow = "PT1S"
        [servicebus.queues.sessions]
        RequiresSession = true
        [servicebus.queues.short-sessions]
        RequiresSession = true
        LockDuration = "PT1S"
        [servicebus.queues.fuzzed]
        [servicebus.topics.news]
        Subscriptions = ["first", "second"]
        [servicebus.topics.later]
        Subscriptions = ["first", "second"]
        [servicebus.topics.strict]
        RequiresDuplicateDetection = true
        [servicebus.topics.strict.Subscriptions.only]
        MaxDeliveryCount = 1
        [eventhubs.fuzzed-hub]
        PartitionCount = 2
        """,
    )
)


@dataclass(frozen=True)
class RunningBroker:
    process: "subprocess.Popen[str]"
    port: int

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=bG9jYWw=;UseDevelopmentEmulator=true;"
        )


StartBroker = Callable[[], RunningBroker]


@pytest.fixture(scope="session")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broker") / "entities.toml"
    path.write_text(_CONFIG, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def start_broker(config_path: Path) -> Iterator[StartBroker]:
    """Starts a broker on a free port; all are stopped at the end."""
    started: list[subprocess.Popen[str]] = []

    def start() -> RunningBroker:
        process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.broker", "--port", "0", "--config", str(config_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        word, _, facts = process.stdout.readline().partition(" ")
        assert word == "ready"
        return RunningBroker(process, json.loads(facts)["port"])

    yield start
    for process in started:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def broker(start_broker: StartBroker) -> RunningBroker:
    return start_broker()


@pytest.fixture(scope="session")
def connection_string(broker: RunningBroker) -> str:
    return broker.connection_string


@dataclass(frozen=True)
class Station:
    """A queue of a test's own, with a sender and a receiver that are open already."""

    queue: str
    sender: ServiceBusSender
    receiver: ServiceBusReceiver


@pytest.fixture(scope="session")
async def client(connection_string: str) -> AsyncIterator[ServiceBusClient]:
    async with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client:
        yield client


class Handlers:
    """Senders and receivers that stay open until all tests are done.

    The SDK takes half a second to open one and half a second to close one, nearly all of it asleep: done together, it
    costs that once.
    """

    def __init__(self) -> None:
        self._opened: list[Handler] = []

    async def open(self, handler: H) -> H:
        await handler.__aenter__()
        self._opened.append(handler)
        return handler

    async def close(self) -> None:
        await asyncio.gather(*(handler.close() for handler in self._opened))


@pytest.fixture(scope="session")
async def handlers() -> AsyncIterator[Handlers]:
    handlers = Handlers()
    yield handlers
    await handlers.close()


async def _stations(
    request: pytest.FixtureRequest, fixture: str, client: ServiceBusClient, handlers: Handlers, prefix: str
) -> Iterator[Station]:
    """As many as tests ask for by a fixture, opened all at once."""
    wanted = sum(fixture in getattr(item, "fixturenames", ()) for item in request.session.items)

    async def open_station(queue: str) -> Station:
        sender, receiver = await asyncio.gather(
            handlers.open(client.get_queue_sender(queue)), handlers.open(client.get_queue_receiver(queue))
        )
        return Station(queue, sender, receiver)

    return iter(await asyncio.gather(*(open_station(f"{prefix}-{number}") for number in range(wanted))))


@pytest.fixture(scope="session")
async def plain_stations(
    request: pytest.FixtureRequest, client: ServiceBusClient, handlers: Handlers
) -> Iterator[Station]:
    return await _stations(request, "plain", client, handlers, "plain")


@pytest.fixture(scope="session")
async def short_lock_stations(
    request: pytest.FixtureRequest, client: ServiceBusClient, handlers: Handlers
) -> Iterator[Station]:
    return await _stations(request, "short_lock", client, handlers, "short-lock")


@pytest.fixture
def plain(plain_stations: Iterator[Station]) -> Station:
    """An empty queue with the default lock of a minute and three deliveries."""
    return next(plain_stations)


@pytest.fixture
def short_lock(short_lock_stations: Iterator[Station]) -> Station:
    """An empty queue with a lock of one second and ten deliveries."""
    return next(short_lock_stations)


_hubs = itertools.count()


@pytest.fixture
def hub() -> str:
    """An empty event hub with two partitions and the consumer groups $Default and `second`."""
    return f"hub-{next(_hubs)}"
