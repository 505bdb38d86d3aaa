"""Rotating a certificate over the real hub, with either client."""

from localcloud.fleet.factory import Factory
from localcloud.fleet.garage import Garage
from localcloud.fleet.hub_service import HubService
from localcloud.pki import Pki
from tests.fleet.cloud import check_proof, issue, issued
from tests.fleet.conftest import Build
from tests.fleet.hub_calls import MESSAGE, accept, call, message_of_kind, wish
from tests.fleet.waiting import eventually
from tests.iothub.events import EventLog


async def test_a_certificate_is_rotated_while_the_vehicle_stays_reachable(
    build: Build, service: HubService, events: EventLog, factory: Factory, hub_pki: Pki, vehicle_id: str
) -> None:
    async with build() as vehicle:
        garage = Garage(factory.directory / vehicle_id)
        [old] = garage.credentials()
        assert vehicle.certificate_serial == old.serial

        await wish(service, vehicle_id, certificate={"rotation_id": "r1", "phase": "offered"})
        csr = await message_of_kind(events, vehicle_id, "csr")
        assert (csr["v"], csr["kind"], csr["rotation_id"]) == (1, "csr", "r1")
        new = issue(hub_pki, vehicle_id, csr["csr"])

        await accept(service, vehicle_id, old.certificate, new)
        await wish(service, vehicle_id, certificate=issued(hub_pki, "r1", new))
        proof = await message_of_kind(events, vehicle_id, "proof")
        assert proof["v"] == 1
        check_proof(new, proof)
        assert vehicle.certificate_serial == new.serial_number
        assert len(garage.credentials()) == 2

        await accept(service, vehicle_id, new)
        gone = dict.fromkeys(("certificate", "issuer", "nonce"))
        await wish(service, vehicle_id, certificate={"rotation_id": "r1", "phase": "completed", **gone})
        await eventually(lambda: len(garage.credentials()) == 1)
        assert garage.credentials()[0].certificate == new
        await eventually(lambda: garage.pending_rotation() is None)
        assert (await call(service, vehicle_id, "showMessage", MESSAGE))["status"] == 200


async def test_a_new_certificate_that_the_hub_does_not_know_yet_costs_nothing(
    build: Build, service: HubService, events: EventLog, factory: Factory, hub_pki: Pki, vehicle_id: str
) -> None:
    """The vehicle stays reachable with the old one, and proves the new one as soon as it is let in with it."""
    async with build() as vehicle:
        garage = Garage(factory.directory / vehicle_id)
        [old] = garage.credentials()
        await wish(service, vehicle_id, certificate={"rotation_id": "r1", "phase": "offered"})
        csr = await message_of_kind(events, vehicle_id, "csr")
        new = issue(hub_pki, vehicle_id, csr["csr"])
        await wish(service, vehicle_id, certificate=issued(hub_pki, "r1", new))
        await eventually(lambda: len(garage.credentials()) == 2)
        await vehicle.raise_alarm()
        assert vehicle.certificate_serial == old.serial
        await accept(service, vehicle_id, old.certificate, new)
        check_proof(new, await message_of_kind(events, vehicle_id, "proof"))
