"""One broker and one hub for all tests of this folder, at an address of their own because the SDK insists on a port."""

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from localcloud.fleet.factory import Factory
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.light_link import light_link
from localcloud.fleet.link import MQTT_TLS_PORT, HubEndpoint, LinkMaker
from localcloud.fleet.mqtt import Pace
from localcloud.fleet.sdk_link import sdk_link
from localcloud.fleet.vehicle import Patience, Vehicle
from localcloud.layout import Layout
from localcloud.pki import Pki, ensure_pki
from localcloud.services import LocalCloud
from tests.fleet.power import PowerSwitch
from tests.iothub.events import EventLog, consuming

# Tests do not wait where a vehicle would.
PATIENCE = Patience(download_s=(0, 0), twin_s=0.05, certificate_s=0.05, longest_certificate_s=0.2)
QUICK = Pace(connect_timeout_s=10, first_retry_s=0.05, longest_retry_s=0.3)


@pytest.fixture(scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    address = f"127.12.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    layout = Layout(tmp_path_factory.mktemp("fleet"), hostname=address, address=address)
    cloud = LocalCloud(replace(layout.on_free_ports(), mqtt_port=MQTT_TLS_PORT))
    try:
        await cloud.start_broker()
        await cloud.start_iothub()
        yield cloud
    finally:
        await cloud.stop()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates for tests that need no hub."""
    return ensure_pki(tmp_path_factory.mktemp("pki"), [])


@pytest.fixture(scope="session")
def hub_pki(cloud: LocalCloud) -> Pki:
    return Pki(cloud.layout.pki)


@pytest.fixture(scope="session")
async def service(cloud: LocalCloud, hub_pki: Pki) -> AsyncIterator[HubService]:
    async with HubService(cloud.layout.iothub_service_connection, hub_pki.root) as service:
        yield service


@pytest.fixture(scope="session")
async def events(cloud: LocalCloud) -> AsyncIterator[EventLog]:
    hubs = ("telemetry", "ota-events", "certificate-events", "vehicle-alerts")
    async with consuming(cloud.layout.amqp_connection, *hubs) as log:
        yield log


@pytest.fixture(scope="session")
def endpoint(cloud: LocalCloud, hub_pki: Pki) -> HubEndpoint:
    return HubEndpoint(cloud.layout.hostname, hub_pki.root)


@pytest.fixture(params=["light", "sdk"])
def make_link(request: pytest.FixtureRequest, endpoint: HubEndpoint) -> LinkMaker:
    """The tests that use this hold for both clients."""
    maker = {"light": light_link, "sdk": sdk_link}[request.param]
    return maker(endpoint, pace=QUICK)


@pytest.fixture
def factory(tmp_path: Path, hub_pki: Pki, service: HubService) -> Factory:
    return Factory(tmp_path, hub_pki, service)


@pytest.fixture
def vehicle_id() -> str:
    """An id that no other test uses."""
    return f"car-{random.getrandbits(48):012x}"


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> PowerSwitch:
    switch = PowerSwitch()
    monkeypatch.setattr("os.fsync", switch.fsync)
    return switch


class Build(Protocol):
    def __call__(self, **options: Any) -> AbstractAsyncContextManager[Vehicle]: ...


@pytest.fixture
def build(factory: Factory, make_link: LinkMaker, vehicle_id: str) -> Build:
    """Makes the one vehicle of a test, connected."""

    @asynccontextmanager
    async def built(**options: Any) -> AsyncIterator[Vehicle]:
        garage = await factory.build(vehicle_id)
        async with Vehicle(garage, make_link, patience=PATIENCE, **options) as vehicle:
            yield vehicle

    return built
