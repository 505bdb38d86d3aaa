"""The local cloud for the witnesses: one for each service, so that they can be looked at side by side."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from localcloud.configuration import load
from localcloud.layout import Layout
from localcloud.services import LocalCloud
from tests.witnesses.listing import HERE, Behaviour, behaviours
from tests.witnesses.running import Run, running

CERTIFICATES: Final = "certificates"  # the folder of those of devices
_MQTT_PORT: Final = 8883  # the device SDK knows no other

StartServices = Callable[[LocalCloud], Awaitable[None]]
Witnesses = Callable[[str, StartServices], AbstractAsyncContextManager[Run]]


@pytest.fixture(scope="session")
def witnesses(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Witnesses:
    """Runs the witnesses of a service that were chosen, against services that a function starts."""

    @asynccontextmanager
    async def run(service: str, start: StartServices) -> AsyncIterator[Run]:
        directory = tmp_path_factory.mktemp(service)
        layout = _layout(directory)
        cloud = LocalCloud(layout, configuration=load([_config(directory)]))
        try:
            await start(cloud)
            async with running(_chosen(request.session, service), _environment(layout), directory) as run:
                yield run
        finally:
            await cloud.stop()

    return run


def _chosen(session: pytest.Session, service: str) -> list[Behaviour]:
    """Those among the tests of this run; with any of a file, node runs the whole file."""
    given = (item.callspec.params.get("behaviour") for item in session.items if hasattr(item, "callspec"))
    files = {one.file for one in given if isinstance(one, Behaviour)}
    return [one for one in behaviours(service) if one.file in files]


def _layout(directory: Path) -> Layout:
    # An address of its own: every hub needs the same port, and several test runs may be under way.
    address = f"127.12.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    layout = Layout(directory, hostname=address, address=address).on_free_ports()
    return replace(layout, mqtt_port=_MQTT_PORT)


def gateway_of(layout: Layout) -> str:
    """An address beside the hub's own, for a second way to it."""
    return layout.address.replace("127.12.", "127.13.", 1)


def _config(directory: Path) -> Path:
    """`entities.toml` with a queue, or an event hub with two partitions, for every behaviour."""
    lines = [(HERE / "entities.toml").read_text(encoding="utf-8")]
    for service, table in (("service-bus", "servicebus.queues"), ("event-hubs", "eventhubs")):
        properties = "PartitionCount = 2" if table == "eventhubs" else ""
        features = [one.feature for one in behaviours(service)]
        for feature in sorted(set(features)):
            lines += [f"[{table}.{feature}-{number}]\n{properties}" for number in range(features.count(feature))]
    config = directory / "cloud.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    return config


def _environment(layout: Layout) -> dict[str, str]:
    return {
        "SERVICE_BUS": layout.amqp_connection,
        "EVENT_HUBS": layout.amqp_connection,
        "STORAGE": layout.storage_connection,
        "IOT_HUB": layout.iothub_service_connection,
        "IOT_HUB_CA": str(layout.pki / "root.pem"),
        "IOT_GATEWAY": gateway_of(layout),
        "IOT_CERTIFICATES": str(layout.directory / CERTIFICATES),
    }
