"""Fixtures for the whole suite: real local services, started once, on ports that nobody else uses."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from localcloud.configuration import load
from localcloud.layout import Layout
from localcloud.pki import ensure_pki
from localcloud.services import LocalCloud
from shared import connections
from shared.settings import settings
from tests.witness import with_witnesses

WITNESSES = ("ota-witness", "certificates-witness")


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A local cloud of the test session's own."""
    return Layout(tmp_path_factory.mktemp("cloud")).on_free_ports()


@pytest.fixture(scope="session")
def environment(layout: Layout) -> Iterator[Layout]:
    """The app's settings, as the host would set them."""
    ensure_pki(layout.pki, [layout.hostname, layout.address])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in load().settings_for(layout).items():
            patch.setenv(name, value)
        patch.setenv("COMMAND_RETRY_S", "0.05")
        settings.cache_clear()
        yield layout
    settings.cache_clear()


@pytest.fixture(scope="session")
async def local_services(environment: Layout) -> AsyncIterator[LocalCloud]:
    """Storage and broker, with every table, container, queue and Event Hub."""
    cloud = LocalCloud(environment, configuration=load([with_witnesses(environment.directory, *WITNESSES)]))
    try:
        await cloud.start_storage()
        await cloud.start_broker()
        yield cloud
    finally:
        await connections.close()
        await cloud.stop()


@pytest.fixture(scope="session")
async def iot_hub(local_services: LocalCloud) -> LocalCloud:
    """The same with the IoT Hub stand-in: MQTT on `layout.mqtt_port`, service REST on `layout.hub_rest_port`."""
    await local_services.start_iothub()
    return local_services


@pytest.fixture(scope="session")
def drives() -> Path:
    """The folder of recorded drives, which the project does not contain."""
    folder = Path(os.environ.get("DRIVES_DIR", Path(__file__).parents[2] / "shared" / "data" / "drives"))
    if not folder.is_dir():
        pytest.skip(f"no recorded drives in {folder}; set DRIVES_DIR")
    return folder
