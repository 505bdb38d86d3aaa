"""One broker and one hub for all tests of this folder."""

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.iothub.events import EventLog, consuming
from tests.iothub.services import CONFIG, Hub, event_hubs, running_hub, start_broker


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("iothub")


@pytest.fixture(scope="session")
def hub_config() -> Path:
    return CONFIG


@pytest.fixture(scope="session")
async def event_hubs_connection(directory: Path, hub_config: Path) -> AsyncIterator[str]:
    broker = await start_broker(hub_config, directory / "broker.log")
    yield event_hubs(broker.ports["port"])
    await broker.stop()


@pytest.fixture(scope="session")
async def hub(directory: Path, event_hubs_connection: str, hub_config: Path) -> AsyncIterator[Hub]:
    async with running_hub(directory, event_hubs_connection, hub_config) as hub:
        yield hub


@pytest.fixture(scope="session")
async def events(event_hubs_connection: str) -> AsyncIterator[EventLog]:
    async with consuming(event_hubs_connection, "telemetry", "urgent", "others") as log:
        yield log


@pytest.fixture(scope="session")
def new_device_id() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"car-{next(numbers)}"


@pytest.fixture
def device_id(new_device_id: Callable[[], str]) -> str:
    """An id that no other test uses."""
    return new_device_id()
