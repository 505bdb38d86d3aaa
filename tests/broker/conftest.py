"""One broker for all tests here, as a process of its own, with entities that no other test uses."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from azure.servicebus import ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

Handler = ServiceBusSender | ServiceBusReceiver
H = TypeVar("H", bound=Handler)

PLAIN_QUEUES, SHORT_LOCK_QUEUES = 40, 10

_CONFIG = "\n".join(
    (
        *(f"[servicebus.queues.plain-{number}]\nMaxDeliveryCount = 3" for number in range(PLAIN_QUEUES)),
        *(f'[servicebus.queues.short-lock-{number}]\nLockDuration = "PT1S"' for number in range(SHORT_LOCK_QUEUES)),
        """
        [servicebus.queues.expiring]
        DefaultMessageTimeToLive = "PT1S"
        [servicebus.queues.expiring-to-dead-letters]
        DeadLetteringOnMessageExpiration = true
        [servicebus.queues.held]
        [servicebus.queues.without-duplicates]
        RequiresDuplicateDetection = true
        DuplicateDetectionHistoryTimeWindow = "PT1S"
        [servicebus.queues.sessions]
        RequiresSession = true
        [servicebus.queues.short-sessions]
        RequiresSession = true
        LockDuration = "PT1S"
        [servicebus.queues.fuzzed]
        [servicebus.queues.fuzzed-sessions]
        RequiresSession = true
        [servicebus.queues.wire]
        LockDuration = "PT1S"
        [servicebus.queues.sync]
        [servicebus.topics.news]
        Subscriptions = ["first", "second"]
        [servicebus.topics.later]
        Subscriptions = ["first", "second"]
        [servicebus.topics.strict]
        RequiresDuplicateDetection = true
        [servicebus.topics.strict.Subscriptions.only]
        MaxDeliveryCount = 1
        [servicebus.topics.orders.Subscriptions.large]
        [[servicebus.topics.orders.Subscriptions.large.Rules]]
        Name = "large"
        Properties = { FilterType = "Sql", SqlFilter = { SqlExpression = "amount >= 100" } }
        [servicebus.topics.orders.Subscriptions.labelled]
        [[servicebus.topics.orders.Subscriptions.labelled.Rules]]
        Name = "labelled"
        [servicebus.topics.orders.Subscriptions.labelled.Rules.Properties]
        FilterType = "Correlation"
        CorrelationFilter = { Label = "express", Properties = { country = "FI" } }
        [servicebus.topics.orders.Subscriptions.changed]
        [[servicebus.topics.orders.Subscriptions.changed.Rules]]
        Name = "taxed"
        [servicebus.topics.orders.Subscriptions.changed.Rules.Properties]
        FilterType = "Sql"
        SqlFilter = { SqlExpression = "EXISTS(amount)" }
        Action = { SqlExpression = "SET Amount = amount * 2; SET from = sys.Label REMOVE country" }
        [[servicebus.topics.orders.Subscriptions.changed.Rules]]
        Name = "plain"
        Properties = { FilterType = "True" }
        [servicebus.topics.orders.Subscriptions.none]
        Rules = [{ Name = "none", Properties = { FilterType = "False" } }]
        [servicebus.queues.collected]
        [servicebus.queues.all-dead]
        [servicebus.queues.forwarding]
        ForwardTo = "collected"
        [servicebus.queues.forwarding-dead]
        ForwardDeadLetteredMessagesTo = "All-Dead"
        [servicebus.queues.to-sessions]
        ForwardTo = "sessions-only"
        [servicebus.queues.sessions-only]
        RequiresSession = true
        [servicebus.topics.forwarded.Subscriptions.forwarding]
        ForwardTo = "chain-1"
        [servicebus.queues.chain-1]
        ForwardTo = "chain-2"
        [servicebus.queues.chain-2]
        ForwardTo = "chain-topic"
        [servicebus.topics.chain-topic.Subscriptions.forwarding]
        ForwardTo = "chain-4"
        [servicebus.topics.chain-topic.Subscriptions.kept]
        [servicebus.queues.chain-4]
        ForwardTo = "chain-5"
        [servicebus.queues.chain-5]
        [servicebus.topics.ruled]
        Subscriptions = ["managed"]
        [eventhubs.readable]
        PartitionCount = 2
        ConsumerGroups = ["second"]
        [eventhubs.keyed]
        PartitionCount = 4
        [eventhubs.even]
        PartitionCount = 2
        [eventhubs.contested]
        PartitionCount = 2
        [eventhubs.fuzzed-hub]
        PartitionCount = 2
        [eventhubs.sync-hub]
        [eventhubs.wire-hub]
        PartitionCount = 1
        """,
    )
)


@dataclass(frozen=True)
class RunningBroker:
    process: "subprocess.Popen[str]"
    port: int
    log: Path

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
def start_broker(config_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartBroker]:
    """Starts a broker on a free port; all are stopped at the end."""
    started: list[subprocess.Popen[str]] = []

    def start() -> RunningBroker:
        log = tmp_path_factory.mktemp("log") / "broker.log"
        process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.broker", "--port", "0", "--config", str(config_path)],
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        word, _, details = process.stdout.readline().partition(" ")
        assert word == "ready"
        return RunningBroker(process, json.loads(details)["port"], log)

    yield start
    for process in started:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def broker(start_broker: StartBroker) -> Iterator[RunningBroker]:
    """The one that all tests share; nothing they do may make one of its handlers fail."""
    broker = start_broker()
    yield broker
    assert "Traceback" not in broker.log.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def connection_string(broker: RunningBroker) -> str:
    return broker.connection_string


@dataclass(frozen=True)
class Station:
    """A queue of a test's own, with a sender, a receiver and what else its fixtures ask for, open already."""

    queue: str
    sender: ServiceBusSender
    receiver: ServiceBusReceiver
    more: Mapping[str, ServiceBusReceiver]


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
        self._closing: list[asyncio.Task[None]] = []

    async def open(self, handler: H) -> H:
        await handler.__aenter__()
        self._opened.append(handler)
        return handler

    def close_soon(self, handler: Handler) -> None:
        """The broker hears of it at once, the SDK is busy with it for longer."""
        self._closing.append(asyncio.create_task(handler.close()))

    async def close(self) -> None:
        await asyncio.gather(*self._closing, *(handler.close() for handler in self._opened))


@pytest.fixture(scope="session")
async def handlers() -> AsyncIterator[Handlers]:
    handlers = Handlers()
    yield handlers
    await handlers.close()


_MORE: dict[str, dict[str, Any]] = {
    "dead_letters": {"sub_queue": ServiceBusSubQueue.DEAD_LETTER},
    "second_receiver": {},
    "deleting_receiver": {"receive_mode": ServiceBusReceiveMode.RECEIVE_AND_DELETE},
    "prefetching_receiver": {"prefetch_count": 10},
}


@pytest.fixture(scope="session")
async def stations(
    request: pytest.FixtureRequest, client: ServiceBusClient, handlers: Handlers
) -> Mapping[str, Station]:
    """The stations of all tests that ask for one by its fixture, opened at once, by test."""

    async def open_station(test: str, queue: str, fixtures: Sequence[str]) -> tuple[str, Station]:
        more = [name for name in _MORE if name in fixtures]
        sender = client.get_queue_sender(queue)
        receiver = client.get_queue_receiver(queue)
        others = {name: client.get_queue_receiver(queue, **_MORE[name]) for name in more}
        opened: list[Handler] = [sender, receiver, *others.values()]
        await asyncio.gather(*map(handlers.open, opened))
        return test, Station(queue, sender, receiver, others)

    opening = []
    for fixture, prefix in (("plain", "plain"), ("short_lock", "short-lock")):
        items = [item for item in request.session.items if fixture in getattr(item, "fixturenames", ())]
        for number, item in enumerate(items):
            opening.append(open_station(item.nodeid, f"{prefix}-{number}", getattr(item, "fixturenames", ())))
    return dict(await asyncio.gather(*opening))


@pytest.fixture
def plain(request: pytest.FixtureRequest, stations: Mapping[str, Station]) -> Station:
    """An empty queue with the default lock of a minute and three deliveries."""
    return stations[request.node.nodeid]


@pytest.fixture
def short_lock(request: pytest.FixtureRequest, stations: Mapping[str, Station]) -> Station:
    """An empty queue with a lock of one second and ten deliveries."""
    return stations[request.node.nodeid]


@pytest.fixture
def dead_letters(request: pytest.FixtureRequest, stations: Mapping[str, Station]) -> ServiceBusReceiver:
    """Receives from the dead-letter queue of the test's queue."""
    return stations[request.node.nodeid].more["dead_letters"]


@pytest.fixture
def second_receiver(request: pytest.FixtureRequest, stations: Mapping[str, Station]) -> ServiceBusReceiver:
    """Receives from the test's queue too."""
    return stations[request.node.nodeid].more["second_receiver"]


@pytest.fixture
def deleting_receiver(request: pytest.FixtureRequest, stations: Mapping[str, Station]) -> ServiceBusReceiver:
    """Receives and deletes from the test's queue."""
    return stations[request.node.nodeid].more["deleting_receiver"]


@pytest.fixture
def prefetching_receiver(request: pytest.FixtureRequest, stations: Mapping[str, Station]) -> ServiceBusReceiver:
    """Takes ten messages of the test's queue ahead of being asked."""
    return stations[request.node.nodeid].more["prefetching_receiver"]
