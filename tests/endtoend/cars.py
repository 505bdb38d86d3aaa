"""Cars whose every message the test writes itself, and what the app has to know of them beforehand."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from localcloud.app_client import AppClient
from localcloud.backlog import Backlog
from localcloud.configuration import load
from localcloud.fleet.factory import Factory
from localcloud.fleet.garage import Garage
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.light_link import light_link
from localcloud.fleet.link import Callbacks, HubEndpoint, HubLink, MethodAnswer
from localcloud.layout import Layout
from localcloud.pki import Pki
from shared import connections, settings
from shared.identity import registry
from shared.identity.vehicle import Vehicle as Registered
from shared.messaging.contracts import Artifact, EnrolCertificate, RotateCertificates, SetRecipient, StartCampaign

CAMPAIGN, VERSION = "spring", "2.0.0"
OWNER = "owner@example.com"
TIMEOUT_S = 60.0
_BRAND, _MODEL = "Test", "One"


@dataclass(frozen=True, slots=True)
class Car:
    """A car that does nothing by itself."""

    garage: Garage
    link: HubLink

    @property
    def vehicle_id(self) -> str:
        return self.garage.vehicle_id

    @property
    def certificate(self) -> str:
        return self.garage.credentials()[0].certificate.public_bytes(Encoding.PEM).decode()


@asynccontextmanager
async def connected(layout: Layout, service: HubService, vehicle_id: str) -> AsyncIterator[Car]:
    """A new car, connected to the hub, whose certificate is due for rotation."""
    garage = await Factory(layout.directory / "cars", Pki(layout.pki), service).build(vehicle_id, rotation_due=True)
    endpoint = HubEndpoint(layout.hostname, Pki(layout.pki).root, layout.mqtt_port)
    deaf = Callbacks(lambda: None, lambda _: None, _no_method)
    link = light_link(endpoint)(vehicle_id, garage.credentials, deaf)
    await link.connect()
    try:
        yield Car(garage, link)
    finally:
        await link.close()


async def _no_method(_name: str, _payload: Any) -> MethodAnswer:
    return MethodAnswer(404, None)


async def introduce(layout: Layout, app: AppClient, backlog: Backlog, honest: Car, rogue: Car) -> None:
    """Both are to rotate their certificate; only the honest one is registered, and so has an owner and an update."""
    await _register(layout, honest.vehicle_id)
    owner = SetRecipient(
        vehicle_id=honest.vehicle_id,
        recipient_id="owner",
        name="Erika Beispiel",
        email=OWNER,
        in_car=False,
        muted=("trip", "update"),
    )
    firmware = b"firmware" * 1000
    await app.upload(settings.ARTIFACTS_CONTAINER, "one.bin", firmware)
    artifact = Artifact(blob="one.bin", sha256=hashlib.sha256(firmware).hexdigest(), size_bytes=len(firmware))
    campaign = StartCampaign(
        campaign_id=CAMPAIGN, title="News", brand=_BRAND, model=_MODEL, version=VERSION, artifact=artifact
    )
    enrolments = [EnrolCertificate(vehicle_id=car.vehicle_id, certificate=car.certificate) for car in (honest, rogue)]
    await asyncio.gather(
        app.command(settings.CERTIFICATE_COMMANDS, *enrolments),
        app.command(settings.NOTIFICATION_COMMANDS, owner),
        app.command(settings.OTA_COMMANDS, campaign),
    )
    await backlog.until_empty(queues=settings.QUEUES, timeout_s=TIMEOUT_S)
    await app.command(settings.CERTIFICATE_COMMANDS, RotateCertificates())
    await backlog.until_empty(queues=settings.QUEUES, timeout_s=TIMEOUT_S)


async def _register(layout: Layout, vehicle_id: str) -> None:
    """By the app's own library, with the app's settings and with connections that nobody else gets."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in load().settings_for(layout).items():
            patch.setenv(name, value)
        await connections.close()
        try:
            await registry.register(Registered(vehicle_id, _BRAND, _MODEL, "DE"))
        finally:
            await connections.close()


async def rotation_id(service: HubService, car: Car) -> str:
    """Of the rotation that is offered to the car."""
    twin = await service.get_twin(car.vehicle_id)
    offer = twin["properties"]["desired"]["certificate"]
    assert offer["phase"] == "offered"
    return str(offer["rotation_id"])
