"""A car that is connected to the hub and shows messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from localcloud.fleet.identity import Credential, certificate_to_pem, key_to_pem, new_key, thumbprint
from localcloud.fleet.light_link import light_link
from localcloud.fleet.link import Callbacks, HubEndpoint, HubLink, MethodAnswer
from localcloud.layout import Layout
from localcloud.pki import Pki, issue_device_certificate
from shared.clock import utc_now
from shared.messaging import vehicle_link


@dataclass
class Car:
    """Its screen shows each message once, as the vehicle protocol asks for; `answers` are given instead if set."""

    vehicle_id: str
    layout: Layout
    credential: Credential
    shown: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def online(self) -> AsyncIterator[HubLink]:
        endpoint = HubEndpoint(self.layout.hostname, Pki(self.layout.pki).root, self.layout.mqtt_port)
        callbacks = Callbacks(lambda: None, lambda _: None, self._show)
        link = light_link(endpoint)(self.vehicle_id, lambda: [self.credential], callbacks)
        await link.connect()
        try:
            yield link
        finally:
            await link.close()

    async def _show(self, method: str, message: Any) -> MethodAnswer:
        if method != "showMessage":
            return MethodAnswer(404, None)
        if self.answers:
            return MethodAnswer(self.answers.pop(), None)
        known = message["message_id"] in [shown["message_id"] for shown in self.shown]
        if not known:
            self.shown.append(message)
        return MethodAnswer(200, {"shown": not known})


async def make_car(vehicle_id: str, layout: Layout, directory: Path) -> Car:
    """A car that the hub knows."""
    key, now = new_key(), utc_now()
    certificate = issue_device_certificate(
        Pki(layout.pki),
        vehicle_id,
        key.public_key(),
        not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=1),
    )
    pem_file = directory / f"{vehicle_id}.pem"
    pem_file.write_bytes(key_to_pem(key) + certificate_to_pem(certificate))
    identity = {
        "deviceId": vehicle_id,
        "status": "enabled",
        "authentication": {
            "type": "selfSigned",
            "x509Thumbprint": {"primaryThumbprint": thumbprint(certificate), "secondaryThumbprint": None},
        },
    }
    await vehicle_link._call("PUT", f"/devices/{vehicle_id}", identity)
    return Car(vehicle_id, layout, Credential.load(pem_file))
