"""Where vehicles come from."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcloud.fleet.factory import CERTIFICATE_LIFETIME, Factory
from localcloud.fleet.hub_service import HubService, HubServiceError
from localcloud.fleet.identity import thumbprint
from localcloud.pki import Pki


def test_vehicle_ids_follow_from_the_seed(hub_pki: Pki, service: HubService) -> None:
    ids = Factory(Path(), hub_pki, service, seed=1).vehicle_ids(50)
    assert len(set(ids)) == 50
    assert ids[:8] == Factory(Path(), hub_pki, service, seed=1).vehicle_ids(8)
    assert not set(ids) & set(Factory(Path(), hub_pki, service, seed=2).vehicle_ids(50))


async def test_the_factory_makes_certificates_that_are_due_or_not(factory: Factory, vehicle_id: str) -> None:
    now = datetime.now(UTC)
    [fresh] = (await factory.build(vehicle_id)).credentials()
    assert fresh.certificate.not_valid_after_utc - now > timedelta(days=80)
    [due] = (await factory.build(vehicle_id, rotation_due=True)).credentials()
    assert timedelta(days=5) < due.certificate.not_valid_after_utc - now < timedelta(days=8)
    assert due.certificate.not_valid_after_utc - due.certificate.not_valid_before_utc > CERTIFICATE_LIFETIME
    device = await factory.service.get_device(vehicle_id)
    assert device["authentication"]["x509Thumbprint"]["primaryThumbprint"] == thumbprint(due.certificate)


async def test_the_service_api_names_what_it_refuses(service: HubService) -> None:
    with pytest.raises(HubServiceError, match="DeviceNotFound") as caught:
        await service.get_twin("nobody")
    assert caught.value.status == 404
