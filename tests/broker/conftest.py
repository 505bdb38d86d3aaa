"""One broker for all tests here, as a process of its own, with entities that no other test uses."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from azure.servicebus.aio import ServiceBusClient

from tests.broker import running
from tests.broker.running import RunningBroker

_CONFIG = """
[servicebus.queues.fuzzed]
[servicebus.queues.fuzzed-sessions]
RequiresSession = true
[servicebus.queues.wire]
LockDuration = "PT1S"
[servicebus.queues.slow]
[servicebus.queues.cut]
[servicebus.queues.sessions]
RequiresSession = true
[servicebus.queues.small]
MaxMessageSizeInKilobytes = 1
[servicebus.topics.orders.Subscriptions.large]
[[servicebus.topics.orders.Subscriptions.large.Rules]]
Name = "large"
Properties = { FilterType = "Sql", SqlFilter = { SqlExpression = "amount >= 100" } }
[servicebus.topics.ruled]
Subscriptions = ["managed"]
[eventhubs.fuzzed-hub]
PartitionCount = 2
[eventhubs.wire-hub]
PartitionCount = 1
"""

StartBroker = Callable[[], RunningBroker]


@pytest.fixture(scope="session")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("broker") / "entities.toml"
    path.write_text(_CONFIG, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def start_broker(config_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartBroker]:
    """Starts a broker on a free port; all are stopped at the end."""
    started: list[RunningBroker] = []

    def start() -> RunningBroker:
        started.append(running.start_broker(config_path, tmp_path_factory.mktemp("log") / "broker.log"))
        return started[-1]

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture(scope="session")
def broker(start_broker: StartBroker) -> Iterator[RunningBroker]:
    """The one that all tests share; nothing they do may make one of its handlers fail."""
    broker = start_broker()
    yield broker
    assert "Traceback" not in broker.log.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def connection_string(broker: RunningBroker) -> str:
    return broker.connection_string


@pytest.fixture(scope="session")
async def client(connection_string: str) -> AsyncIterator[ServiceBusClient]:
    async with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client:
        yield client
