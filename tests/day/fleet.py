"""The cars' way into the hub: each connects, sends its whole day as fast as the hub takes it, and leaves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from localcloud.fleet.hub_service import HubService
from localcloud.fleet.identity import Credential, certificate_to_pem, key_to_pem, new_key, thumbprint
from localcloud.fleet.light_link import light_link
from localcloud.fleet.link import Callbacks, HubEndpoint, HubLink, MessageType, MethodAnswer
from localcloud.layout import Layout
from localcloud.pki import Pki, issue_device_certificate


class Fleet:
    """Cars that share a certificate: the hub asks for the thumbprint that is registered; making many tests nothing."""

    def __init__(self, layout: Layout, registry: HubService) -> None:
        pki = Pki(layout.pki)
        self._registry = registry
        self._credential = _new_credential(pki, layout.directory / "car.pem")
        self._make_link = light_link(HubEndpoint(layout.hostname, pki.root, layout.mqtt_port))

    async def register(self, vehicle_id: str) -> None:
        """Lets the car in."""
        await self._registry.register(vehicle_id, thumbprint(self._credential.certificate))

    async def send(self, vehicle_id: str, bodies: Sequence[bytes]) -> None:
        """Returns when the hub has taken all of them, over however many connections."""
        async with self._connected(vehicle_id) as link, asyncio.TaskGroup() as sending:
            for body in bodies:
                sending.create_task(link.send(MessageType.TELEMETRY, body))

    @asynccontextmanager
    async def _connected(self, vehicle_id: str) -> AsyncIterator[HubLink]:
        link = self._make_link(vehicle_id, lambda: [self._credential], Callbacks(_ignore, _ignore, _no_method))
        await link.connect()
        try:
            yield link
        finally:
            await link.close()


def _new_credential(pki: Pki, file: Path) -> Credential:
    key, now = new_key(), datetime.now(UTC)
    certificate = issue_device_certificate(
        pki, "car", key.public_key(), not_before=now - timedelta(hours=1), not_after=now + timedelta(days=1)
    )
    file.write_bytes(key_to_pem(key) + certificate_to_pem(certificate))
    return Credential.load(file)


def _ignore(*_: object) -> None:
    """Cars here have no wish of the cloud's to fulfil."""


async def _no_method(_: str, __: Any) -> MethodAnswer:
    return MethodAnswer(404, None)
