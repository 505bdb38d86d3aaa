"""The hub is killed and started again: a vehicle comes back by itself and has lost nothing."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.fleet.cycle_drives import Departure, drive_cycle
from localcloud.fleet.cycles import CycleName, load_cycle
from localcloud.fleet.factory import Factory
from localcloud.fleet.identity import thumbprint
from localcloud.fleet.link import HubUnreachableError, LinkMaker
from localcloud.fleet.powertrain import Electric
from localcloud.fleet.vehicle import Vehicle
from localcloud.services import LocalCloud
from tests.fleet.waiting import eventually
from tests.iothub.events import EventLog

DEPARTURE = Departure(datetime(2026, 3, 1, 7, 30, tzinfo=UTC), 52.27, 10.52)


async def test_what_was_under_way_when_the_hub_died_arrives_later(
    cloud: LocalCloud, factory: Factory, make_link: LinkMaker, events: EventLog, vehicle_id: str
) -> None:
    """The new hub knows no device at first: being refused for a while is part of it."""
    samples = drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric())
    garage = await factory.build(vehicle_id)
    [credential] = garage.credentials()
    async with Vehicle(garage, make_link) as vehicle:
        driving = asyncio.create_task(vehicle.drive(samples, pause_s=0.05))
        await asyncio.sleep(0.3)
        await cloud.children["iothub"].kill()
        await cloud.start_iothub()
        alarm = asyncio.create_task(vehicle.raise_alarm())
        await asyncio.sleep(0.5)
        assert not driving.done()
        await factory.service.register(vehicle_id, thumbprint(credential.certificate))
        drive = await driving
        await alarm

    def arrived() -> set[Any]:
        bodies = [json.loads(event.body) for event in events.of(vehicle_id)]
        return {body["seq"] if "seq" in body else body["alarm_id"] for body in bodies}

    await eventually(lambda: arrived() == {alarm.result(), *range(drive.messages)})
    twin = await factory.service.get_twin(vehicle_id)
    assert twin["properties"]["reported"]["software"] == {"version": "1.0.0"}


async def test_a_vehicle_can_be_switched_off_while_the_hub_is_away(
    cloud: LocalCloud, factory: Factory, make_link: LinkMaker, vehicle_id: str
) -> None:
    """It takes what it had not sent with it and does not pretend otherwise."""
    samples = drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric())
    vehicle = Vehicle(await factory.build(vehicle_id), make_link)
    await vehicle.connect()
    await cloud.children["iothub"].kill()
    try:
        driving = asyncio.create_task(vehicle.drive(samples))
        await asyncio.sleep(0.3)
        await asyncio.wait_for(vehicle.close(), 20)
        with pytest.raises(HubUnreachableError):
            await driving
        assert vehicle.log.drives == []
    finally:
        await cloud.start_iothub()


async def test_a_hub_that_is_not_there_is_a_clear_error(
    cloud: LocalCloud, factory: Factory, make_link: LinkMaker, vehicle_id: str
) -> None:
    garage = await factory.build(vehicle_id)
    vehicle = Vehicle(garage, make_link)
    await cloud.children["iothub"].kill()
    try:
        with pytest.raises(HubUnreachableError, match=cloud.layout.hostname):
            await vehicle.connect()
        await vehicle.close()
    finally:
        await cloud.start_iothub()
