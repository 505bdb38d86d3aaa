"""One broker for the suite, and every test through both halves of azure-servicebus, on entities of its own."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusClient

from tests.broker.running import RunningBroker, start_broker
from tests.conformance.servicebus.entities import FLAVOURS, document
from tests.conformance.servicebus.flavours import new_client
from tests.conformance.servicebus.stations import Handlers, Station, open_stations

Arguments = Mapping[str, Any]  # of a test, by name

# More would be quicker still, but then what a second means to a test would depend on all the others.
AT_A_TIME = 8


def _items(session: pytest.Session) -> list[pytest.Function]:
    here = __package__ or ""
    functions = [item for item in session.items if isinstance(item, pytest.Function)]
    return [item for item in functions if item.module.__name__.startswith(here)]


def _of_module(request: pytest.FixtureRequest) -> list[pytest.Function]:
    return [item for item in _items(request.session) if item.path == request.path]


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """Nothing the tests do may make one of its handlers fail."""
    folder: Path = tmp_path_factory.mktemp("servicebus")
    config = folder / "Config.json"
    config.write_text(json.dumps(document(_items(request.session))), encoding="utf-8")
    broker = start_broker(config, folder / "broker.log")
    yield broker
    broker.stop()
    assert "Traceback" not in broker.log.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
async def clients(broker: RunningBroker) -> AsyncIterator[Mapping[str, ServiceBusClient]]:
    """By their flavour."""
    clients = {flavour: new_client(flavour, broker.connection_string) for flavour in FLAVOURS}
    yield clients
    for client in clients.values():
        await client.close()


@pytest.fixture(scope="session")
async def handlers(clients: Mapping[str, ServiceBusClient]) -> AsyncIterator[Handlers]:
    handlers = Handlers()
    yield handlers
    handlers.close_all_soon()
    await handlers.closed()


@pytest.fixture(scope="module")
async def opened(
    request: pytest.FixtureRequest, clients: Mapping[str, ServiceBusClient], handlers: Handlers
) -> AsyncIterator[Mapping[str, Arguments]]:
    """What the tests of the module work with, by test."""
    yield dict(await asyncio.gather(*(_open(item, clients, handlers) for item in _of_module(request))))
    handlers.close_all_soon()


async def _open(
    item: pytest.Function, clients: Mapping[str, ServiceBusClient], handlers: Handlers
) -> tuple[str, Arguments]:
    flavour = str(item.callspec.params["flavour"])
    stations = await open_stations(item, clients[flavour], handlers)
    return item.nodeid, {"client": clients[flavour], "stations": stations, "station": stations.get("")}


@pytest.fixture(scope="module")
async def under_way(
    request: pytest.FixtureRequest, opened: Mapping[str, Arguments]
) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    """The tests of the module, some of them at a time: nearly all that they do is to wait."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def run(item: pytest.Function, test: Callable[..., Awaitable[None]]) -> None:
        arguments = {**opened[item.nodeid], **item.callspec.params}
        async with turns:
            await test(**{name: arguments[name] for name in inspect.signature(test).parameters})

    # The test itself: `joined` may have put its wait in the place of one whose turn has not come.
    tasks = {item.nodeid: asyncio.create_task(run(item, item.obj)) for item in _of_module(request)}
    yield tasks
    for task in tasks.values():
        task.cancel()


@pytest.fixture(autouse=True)
def joined(request: pytest.FixtureRequest, under_way: Mapping[str, asyncio.Task[None]]) -> None:
    """To run a test is to wait for its end."""
    task = under_way[request.node.nodeid]

    async def join(**arguments: object) -> None:
        await task

    request.node.obj = join


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Which half of the SDK the test runs through."""
    return str(request.param)


@pytest.fixture
def client(request: pytest.FixtureRequest, flavour: str, opened: Mapping[str, Arguments]) -> ServiceBusClient:
    client: ServiceBusClient = opened[request.node.nodeid]["client"]
    return client


@pytest.fixture
def stations(request: pytest.FixtureRequest, flavour: str, opened: Mapping[str, Arguments]) -> Mapping[str, Station]:
    """The entities of the test, by the names that it gives them."""
    stations: Mapping[str, Station] = opened[request.node.nodeid]["stations"]
    return stations


@pytest.fixture
def station(stations: Mapping[str, Station]) -> Station:
    """The only entity of the test."""
    return stations[""]
