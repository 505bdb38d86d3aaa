"""A whole vehicle against the hub: the same things happen with the light client and with the device SDK."""

import json
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest

from localcloud.fleet.cycle_drives import Departure, drive_cycle
from localcloud.fleet.cycles import CycleName, load_cycle
from localcloud.fleet.disorder import Disorder
from localcloud.fleet.factory import Factory
from localcloud.fleet.garage import Garage
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.identity import certificate_to_pem, key_to_pem, new_key
from localcloud.fleet.light_link import light_link
from localcloud.fleet.link import HubEndpoint, HubRefusedError, HubUnreachableError, LinkMaker
from localcloud.fleet.logbook import ShownMessage
from localcloud.fleet.powertrain import Electric
from localcloud.fleet.sdk_link import sdk_link
from localcloud.fleet.vehicle import Vehicle
from localcloud.pki import Pki, issue_device_certificate
from tests.fleet.conftest import PATIENCE, QUICK, Build
from tests.fleet.depot import ARTIFACT, running_depot
from tests.fleet.hub_calls import MESSAGE, call, messages, wish
from tests.fleet.waiting import eventually
from tests.iothub.events import EventLog

DEPARTURE = Departure(datetime(2026, 3, 1, 7, 30, tzinfo=UTC), 52.27, 10.52)


async def test_a_drive_arrives_whole_under_the_vehicles_name(build: Build, events: EventLog, vehicle_id: str) -> None:
    samples = drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric())
    async with build() as vehicle:
        drive = await vehicle.drive(samples, disorder=Disorder(seed=3))
    received = await events.wait(vehicle_id, drive.messages + drive.duplicated)
    assert len(received) == drive.messages + drive.duplicated == 26 + 5
    assert {event.event_hub for event in received} == {"telemetry"}
    assert {event.properties["type"] for event in received} == {"telemetry"}
    assert {event.system["content-type"] for event in received} == {"application/json"}
    bodies = {body["seq"]: body for body in (json.loads(event.body) for event in received)}
    assert sorted(bodies) == list(range(26))
    sent = [t for number in range(26) for t in accumulate(bodies[number]["t"])]
    assert sent == [sample.t for sample in samples]
    assert {body["boot"] for body in bodies.values()} == {drive.boot}


async def test_the_logbook_is_true(build: Build, vehicle_id: str) -> None:
    cycle = load_cycle(CycleName.HWFET)
    async with build() as vehicle:
        first = await vehicle.drive(drive_cycle(cycle, DEPARTURE, Electric()), disorder=Disorder(seed=3))
        second = await vehicle.drive(drive_cycle(cycle, DEPARTURE, Electric()))
    assert vehicle.log.drives == [first, second]
    assert first.boot != second.boot
    assert (first.started_at, first.ended_at) == (DEPARTURE.at, DEPARTURE.at + timedelta(seconds=765))
    assert first.distance_km == pytest.approx(16.51, rel=0.005)
    assert (vehicle.log.messages, vehicle.log.samples) == (52, 2 * 766)
    assert (vehicle.log.duplicated, vehicle.log.reordered) == (5, first.reordered)
    assert first.reordered > 0
    assert second.reordered == 0


async def test_an_alarm_says_where_and_keeps_its_id(build: Build, events: EventLog, vehicle_id: str) -> None:
    async with build() as vehicle:
        alarm_id = await vehicle.raise_alarm()
        await vehicle.drive(drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric()))
        assert await vehicle.raise_alarm(alarm_id=alarm_id) == alarm_id
    received = [event for event in await events.wait(vehicle_id, 28) if event.event_hub == "vehicle-alerts"]
    first, second = (json.loads(event.body) for event in received)
    assert first == {"v": 1, "alarm_id": alarm_id, "kind": "theft", "at": first["at"], "lat": None, "lon": None}
    assert second["alarm_id"] == alarm_id
    assert (second["lat"], second["lon"]) != (None, None)


async def test_a_message_is_shown_once(build: Build, service: HubService, vehicle_id: str) -> None:
    async with build() as vehicle:
        assert await call(service, vehicle_id, "showMessage", MESSAGE) == {"status": 200, "payload": {"shown": True}}
        assert await call(service, vehicle_id, "showMessage", MESSAGE) == {"status": 200, "payload": {"shown": False}}
        bad = await call(service, vehicle_id, "showMessage", {"message_id": 1})
        assert bad["status"] == 400
        assert (await call(service, vehicle_id, "openDoors", None))["status"] == 404
        assert vehicle.log.shown == [ShownMessage(**MESSAGE)]
        assert vehicle.log.repeated_messages == 1


async def test_an_update_goes_from_wish_to_reported_version(
    build: Build, service: HubService, events: EventLog, factory: Factory, vehicle_id: str
) -> None:
    async with running_depot() as depot, build() as vehicle:
        await wish(service, vehicle_id, update=depot.offer())
        reports = await messages(events, vehicle_id, 4)
        assert [report["status"] for report in reports] == ["downloading", "downloaded", "installing", "succeeded"]
        await vehicle.settle()
        assert vehicle.software_version == "2.0.0"
        twin = await service.get_twin(vehicle_id)
        assert twin["properties"]["reported"]["software"]["version"] == "2.0.0"
        assert [status for _, _, status in vehicle.log.ota_reports][-1] == "succeeded"
        software = Garage(factory.directory / vehicle_id).software
        assert (factory.directory / vehicle_id / "artifacts" / str(software.sha256)).read_bytes() == ARTIFACT


async def test_a_corrupt_update_fails_and_a_withdrawn_one_is_given_up(
    build: Build, service: HubService, events: EventLog, vehicle_id: str
) -> None:
    async with running_depot() as depot, build() as vehicle:
        depot.content = ARTIFACT[::-1]
        await wish(service, vehicle_id, update=depot.offer())
        assert [report["status"] for report in await messages(events, vehicle_id, 2)] == ["downloading", "failed"]
        await wish(service, vehicle_id, update=None)
        assert vehicle.software_version == "1.0.0"


async def test_a_wish_from_before_the_vehicle_came_is_fulfilled(
    factory: Factory, make_link: LinkMaker, service: HubService, events: EventLog, vehicle_id: str
) -> None:
    garage = await factory.build(vehicle_id)
    async with running_depot() as depot:
        await wish(service, vehicle_id, update=depot.offer())
        async with Vehicle(garage, make_link, patience=PATIENCE) as vehicle:
            await vehicle.settle()
            assert vehicle.software_version == "2.0.0"
    assert (await messages(events, vehicle_id, 4))[-1]["status"] == "succeeded"


async def test_a_restarted_vehicle_goes_on_from_its_disk(
    build: Build, factory: Factory, make_link: LinkMaker, service: HubService, vehicle_id: str
) -> None:
    async with running_depot() as depot, build() as vehicle:
        await wish(service, vehicle_id, update=depot.offer())
        await eventually(lambda: vehicle.software_version == "2.0.0")
        await vehicle.settle()
        await call(service, vehicle_id, "showMessage", MESSAGE)
        first = await vehicle.drive(drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric()))
    async with Vehicle(Garage(factory.directory / vehicle_id), make_link) as vehicle:
        assert vehicle.software_version == "2.0.0"
        assert await call(service, vehicle_id, "showMessage", MESSAGE) == {"status": 200, "payload": {"shown": False}}
        second = await vehicle.drive(drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric()))
    assert second.boot != first.boot


async def test_a_vehicle_with_a_strange_certificate_is_refused(
    factory: Factory, make_link: LinkMaker, hub_pki: Pki, vehicle_id: str
) -> None:
    """A certificate of the right CA with the right name is not enough: the registry has another thumbprint."""
    garage = await factory.build(vehicle_id)
    key, now = new_key(), datetime.now(UTC)
    stranger = issue_device_certificate(
        hub_pki, vehicle_id, key.public_key(), not_before=now, not_after=now + timedelta(days=1)
    )
    (garage.directory / "identity.pem").write_bytes(key_to_pem(key) + certificate_to_pem(stranger))
    vehicle = Vehicle(garage, make_link)
    with pytest.raises(HubRefusedError):
        await vehicle.connect()
    await vehicle.close()


async def test_a_closed_vehicle_does_not_pretend_to_send(build: Build) -> None:
    async with build() as vehicle:
        pass
    with pytest.raises(HubUnreachableError):
        await vehicle.drive(drive_cycle(load_cycle(CycleName.HWFET), DEPARTURE, Electric()))
    assert vehicle.log.drives == []


async def test_an_empty_drive_is_a_mistake(build: Build) -> None:
    async with build() as vehicle:
        with pytest.raises(ValueError, match="at least one sample"):
            await vehicle.drive([])


async def test_a_fleet_of_light_vehicles_drives_at_once(
    factory: Factory, endpoint: HubEndpoint, events: EventLog
) -> None:
    samples = drive_cycle(load_cycle(CycleName.UDDS), DEPARTURE, Electric())
    vehicles = []
    for vehicle_id in factory.vehicle_ids(12):
        vehicles.append(Vehicle(await factory.build(vehicle_id), light_link(endpoint, pace=QUICK)))
        await vehicles[-1].connect()
    for vehicle in vehicles:
        drive = await vehicle.drive(samples, disorder=Disorder(1))
        assert len(await events.wait(vehicle.vehicle_id, drive.messages + drive.duplicated)) == 46 + 9
    for vehicle in vehicles:
        await vehicle.close()


async def test_the_sdk_has_only_one_port(endpoint: HubEndpoint, factory: Factory, vehicle_id: str) -> None:
    elsewhere = HubEndpoint(endpoint.hostname, endpoint.ca_file, 1234)
    with pytest.raises(ValueError, match="8883"):
        Vehicle(await factory.build(vehicle_id), sdk_link(elsewhere))
