"""A mail server for the session, and one desk for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.servicebus.aio import ServiceBusReceiver

from localcloud.layout import Layout
from localcloud.services import LocalCloud
from tests.notifications.car import Car, make_car
from tests.notifications.desk import Desk, commands_of
from tests.notifications.mail_server import MailServer


@pytest.fixture(scope="session")
def mail_server(environment: Layout) -> Iterator[MailServer]:
    """Where the settings say that the mail server is."""
    server = MailServer(environment.address, environment.smtp_port)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
async def commands(local_services: LocalCloud) -> AsyncIterator[ServiceBusReceiver]:
    async with commands_of(local_services) as receiver:
        yield receiver


@pytest.fixture
def desk(local_services: LocalCloud, commands: ServiceBusReceiver, mail_server: MailServer) -> Desk:
    """A vehicle of this test's own, of which nobody knows yet."""
    return Desk(local_services, commands, mail_server)


@pytest.fixture
async def car(desk: Desk, iot_hub: LocalCloud, tmp_path: Path) -> Car:
    """The desk's vehicle, known to the hub and offline."""
    return await make_car(desk.vehicle_id, iot_hub.layout, tmp_path)
