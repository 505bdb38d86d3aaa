"""What `azure-iot-device` and `azure-iothub` see of the IoT Hub."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from localcloud.pki import Pki, ensure_pki
from localcloud.services import LocalCloud
from tests.iothub.devices import issued_identity, self_signed_identity
from tests.witnesses.conftest import CERTIFICATES, Witnesses, gateway_of
from tests.witnesses.listing import Behaviour
from tests.witnesses.parameters import each_behaviour
from tests.witnesses.running import Run

# File names and subjects of certificates of the local CA.
_ISSUED: Final = {"issued": "issued-car", "certified": "certified-car", "expired": "expired-car"}


async def _start(cloud: LocalCloud) -> None:
    layout = cloud.layout
    pki = ensure_pki(layout.pki, [layout.hostname, gateway_of(layout)])
    _make_certificates(layout.directory / CERTIFICATES, pki)
    await cloud.start_broker()
    await cloud.start_iothub()


def _make_certificates(folder: Path, pki: Pki) -> None:
    folder.mkdir()
    identities = {
        name: issued_identity(folder, pki, subject, valid_for_days=-1 if name == "expired" else 30)
        for name, subject in _ISSUED.items()
    }
    for name, identity in {**identities, "self-signed": self_signed_identity(folder)}.items():
        identity.certificate_file.rename(folder / f"{name}.pem")
        identity.key_file.rename(folder / f"{name}.key")


@pytest.fixture(scope="module")
async def run(witnesses: Witnesses) -> AsyncIterator[Run]:
    async with witnesses("iot-hub", _start) as run:
        yield run


@each_behaviour("iot-hub")
async def test_iot_hub(behaviour: Behaviour, run: Run) -> None:
    """Shown by the JavaScript that states it."""
    await run.require(behaviour)
