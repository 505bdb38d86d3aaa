"""One broker for the suite, and every test through both halves of azure-servicebus, on entities of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
from azure.servicebus.aio import ServiceBusClient

from tests.broker.running import RunningBroker, start_broker
from tests.conformance.servicebus.entities import FLAVOURS, document
from tests.conformance.servicebus.flavours import new_client
from tests.conformance.servicebus.stations import Handlers, Station, open_stations

Stations = Mapping[str, Station]


def _items(session: pytest.Session) -> list[pytest.Function]:
    here = __package__ or ""
    functions = [item for item in session.items if isinstance(item, pytest.Function)]
    return [item for item in functions if item.module.__name__.startswith(here)]


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


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Which half of the SDK the test runs through."""
    return str(request.param)


@pytest.fixture(scope="module")
async def stations_by_test(
    request: pytest.FixtureRequest, clients: Mapping[str, ServiceBusClient], handlers: Handlers
) -> AsyncIterator[Mapping[str, Stations]]:
    items = [item for item in _items(request.session) if item.path == request.path]
    opening = [
        open_stations(item, clients[str(item.callspec.params["flavour"])], handlers)
        for item in items
        if "stations" in item.fixturenames
    ]
    yield dict(await asyncio.gather(*opening))
    handlers.close_all_soon()


@pytest.fixture
def client(clients: Mapping[str, ServiceBusClient], flavour: str) -> ServiceBusClient:
    return clients[flavour]


@pytest.fixture
def stations(request: pytest.FixtureRequest, flavour: str, stations_by_test: Mapping[str, Stations]) -> Stations:
    """The entities of the test, by the names that it gives them."""
    return stations_by_test[request.node.nodeid]


@pytest.fixture
def station(stations: Stations) -> Station:
    """The only entity of the test."""
    return stations[""]
