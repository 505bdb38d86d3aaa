"""The IoT Hub's service API: whose trouble an error is, and what a change leaves alone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ClientAuthenticationError

from localcloud.services import LocalCloud
from shared import connections, settings
from shared.errors import Unavailable
from shared.messaging import vehicle_link
from shared.messaging.vehicle_link import Thumbprints

NO_THUMBPRINTS = Thumbprints("AB" * 32)


@dataclass
class Hub:
    """One whose gateway gives up, as Azure's does now and then and the local one never."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    async def read(self) -> bytes:
        return b""

    @asynccontextmanager
    async def request(self, *_: Any, **__: Any) -> AsyncIterator["Hub"]:
        yield self


@pytest.mark.parametrize(
    "call",
    [
        lambda: vehicle_link.set_desired("car-1", {}),
        lambda: vehicle_link.desired("car-1"),
        lambda: vehicle_link.reported("car-1"),
        lambda: vehicle_link.thumbprints("car-1"),
        lambda: vehicle_link.allow_certificates("car-1", NO_THUMBPRINTS),
    ],
    ids=["set_desired", "desired", "reported", "thumbprints", "allow_certificates"],
)
async def test_a_hub_that_does_not_answer_in_time_is_unavailable(
    iot_hub: LocalCloud, monkeypatch: pytest.MonkeyPatch, call: Callable[[], Awaitable[Any]]
) -> None:
    """So that the work is tried again later, and not given up after ten deliveries within a second."""
    assert iot_hub
    monkeypatch.setattr(connections, "http", lambda: Hub(504))
    with pytest.raises(Unavailable, match="504"):
        await call()


async def test_a_vehicle_that_does_not_answer_in_time_has_no_answer(
    iot_hub: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert iot_hub
    monkeypatch.setattr(connections, "http", lambda: Hub(504))
    assert await vehicle_link.invoke("car-1", "showMessage", {}) is None


async def test_without_a_token_the_hub_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoIdentity:
        async def get_token(self, _: str) -> None:
            raise ClientAuthenticationError("the identity endpoint is away")

    monkeypatch.setenv(f"{settings.IOT_HUB_CONNECTION}__hostName", "hub.example")
    monkeypatch.setattr(connections, "credential", NoIdentity)
    with pytest.raises(Unavailable, match="ClientAuthenticationError"):
        await vehicle_link.desired("car-1")


async def test_allowing_certificates_keeps_the_rest_of_the_identity(iot_hub: LocalCloud) -> None:
    assert iot_hub
    vehicle_id = f"car-{uuid4().hex}"
    identity = {
        "deviceId": vehicle_id,
        "status": "disabled",
        "statusReason": "stolen",
        "authentication": {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "CD" * 32}},
    }
    await vehicle_link._call("PUT", f"/devices/{vehicle_id}", identity)
    await vehicle_link.allow_certificates(vehicle_id, Thumbprints("AB" * 32, "CD" * 32))
    after = await vehicle_link._call("GET", f"/devices/{vehicle_id}")
    assert (after["status"], after["statusReason"]) == ("disabled", "stolen")
    assert await vehicle_link.thumbprints(vehicle_id) == Thumbprints("AB" * 32, "CD" * 32)
