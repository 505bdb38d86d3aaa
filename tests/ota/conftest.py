from collections.abc import AsyncIterator

import pytest
from azure.servicebus.aio import ServiceBusReceiver

from localcloud.services import LocalCloud
from tests.ota import stage as staging
from tests.ota.stage import Running, Stage


@pytest.fixture(scope="session")
async def receivers(iot_hub: LocalCloud) -> AsyncIterator[tuple[ServiceBusReceiver, ServiceBusReceiver]]:
    async with staging.receivers(iot_hub) as opened:
        yield opened


@pytest.fixture
async def stage(iot_hub: LocalCloud, receivers: tuple[ServiceBusReceiver, ServiceBusReceiver]) -> Stage:
    """The local cloud, ready for one test's campaign."""
    stage = Stage(iot_hub, *receivers)
    await stage.upload_artifact()
    return stage


@pytest.fixture(scope="session")
async def running(iot_hub: LocalCloud, receivers: tuple[ServiceBusReceiver, ServiceBusReceiver]) -> Running:
    stage = Stage(iot_hub, *receivers)
    await stage.upload_artifact()
    vehicle_ids = await stage.vehicles(8)
    await stage.start()
    await stage.work()
    return Running(stage, vehicle_ids)
