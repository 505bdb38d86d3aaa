"""One broker and one Azurite for all tests here."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from localcloud.configuration import load
from localcloud.layout import Layout
from localcloud.services import LocalCloud
from tests.conformance.eventhubs.clients import CONTAINER
from tests.conformance.eventhubs.hub import Runner, declarations, identity

_STORAGE = f'[storage]\ntables = []\ncontainers = ["{CONTAINER}"]'


@pytest.fixture(scope="session")
async def event_hubs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Layout]:
    layout = Layout(tmp_path_factory.mktemp("event-hubs")).on_free_ports()
    config = layout.directory / "cloud.toml"
    config.write_text("\n".join((_STORAGE, *declarations())), encoding="utf-8")
    cloud = LocalCloud(layout, configuration=load([config]))
    try:
        await asyncio.gather(cloud.start_storage(), cloud.start_broker())
        yield layout
    finally:
        await cloud.stop()
    assert "Traceback" not in (layout.directory / "logs" / "broker.log").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
async def runner(request: pytest.FixtureRequest, event_hubs: Layout) -> AsyncIterator[Runner]:
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    selected = [identity(item.function, str(item.callspec.params["flavour"])) for item in items if _has_hub(item)]
    runner = Runner(event_hubs.amqp_connection, event_hubs.storage_connection, frozenset(selected))
    yield runner
    await runner.close()


def _has_hub(item: pytest.Function) -> bool:
    return hasattr(item, "callspec") and "flavour" in item.callspec.params
