"""One broker and one hub for all behaviours of IoT Hub, and a second hub that keeps the limits of a tier."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.iothub.conftest import device_id, directory, event_hubs_connection, events, hub, new_device_id
from tests.iothub.events import EventLog, consuming
from tests.iothub.services import Hub, running_hub

__all__ = ["device_id", "directory", "event_hubs_connection", "events", "hub", "new_device_id"]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def hub_config() -> Path:
    return HERE / "cloud.toml"


@pytest.fixture(scope="session")
async def changes(event_hubs_connection: str) -> AsyncIterator[EventLog]:
    """What the hub tells of devices, apart from what they say themselves."""
    async with consuming(event_hubs_connection, "changes", "chosen") as log:
        yield log


@pytest.fixture(scope="session")
async def limited_hub(tmp_path_factory: pytest.TempPathFactory, event_hubs_connection: str) -> AsyncIterator[Hub]:
    """A hub of tier S1 that has nearly no patience with bursts."""
    directory = tmp_path_factory.mktemp("limited")
    async with running_hub(directory, event_hubs_connection, HERE / "limited.toml") as hub:
        yield hub
