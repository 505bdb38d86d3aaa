"""Who may connect, seen by the unmodified device SDK."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from tests.iothub.devices import is_refused, issued_identity, raw_client, sdk_client, self_signed_identity
from tests.iothub.services import Hub

KEY = base64.b64encode(b"a device's own symmetric key").decode()


async def test_an_expired_certificate_is_refused_even_if_its_thumbprint_is_registered(
    hub: Hub, directory: Path, device_id: str
) -> None:
    identity = self_signed_identity(directory, valid_for_days=-1)
    thumbprints = {"primaryThumbprint": identity.thumbprint(hashes.SHA256())}
    await hub.register(device_id, type="selfSigned", x509Thumbprint=thumbprints)
    assert await is_refused(hub, device_id, identity)


async def test_a_device_without_any_proof_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, None) as client:
        assert await client.connect() == 5


async def test_a_device_cannot_use_its_certificate_under_another_client_id(
    hub: Hub, directory: Path, device_id: str
) -> None:
    await hub.register(device_id)
    await hub.register(f"{device_id}-victim")
    identity = issued_identity(directory, hub.pki, device_id)
    async with raw_client(hub, f"{device_id}-victim", identity) as client:
        assert await client.connect() == 5
    async with raw_client(hub, f"{device_id}-victim", identity) as client:
        assert await client.connect(username=f"{hub.address}/{device_id}/?api-version=2021-04-12") == 5


async def test_changed_thumbprints_count_from_the_next_connect_on(hub: Hub, directory: Path, device_id: str) -> None:
    old, new = self_signed_identity(directory), self_signed_identity(directory)
    identity = await hub.register(
        device_id, type="selfSigned", x509Thumbprint={"primaryThumbprint": old.thumbprint(hashes.SHA256())}
    )
    async with raw_client(hub, device_id, old) as client:
        assert await client.connect() == 0
        authentication = {
            "type": "selfSigned",
            "x509Thumbprint": {"primaryThumbprint": new.thumbprint(hashes.SHA256())},
        }
        status, _ = await hub.call(
            "PUT", f"/devices/{device_id}", {"authentication": authentication}, if_match=identity["etag"]
        )
        assert status == 200
        client.telemetry(b"still here", "type=telemetry")
        assert await client.receive() == (1,), "a PUBACK over the connection made with the old certificate"
    assert await is_refused(hub, device_id, old)
    async with sdk_client(hub, device_id, new) as client:
        assert client.connected


async def test_a_token_that_expires_ends_the_connection(hub: Hub, device_id: str) -> None:
    await hub.register(device_id, type="sas", symmetricKey={"primaryKey": KEY, "secondaryKey": KEY})
    token = hub.token(f"{hub.address}/devices/{device_id}", key=KEY, lifetime_s=2)
    async with raw_client(hub, device_id, None) as client:
        assert await client.connect(password=token.encode()) == 0
        assert await client.receive() is None


async def test_a_token_for_another_device_is_refused(hub: Hub, device_id: str) -> None:
    await hub.register(device_id, type="sas", symmetricKey={"primaryKey": KEY, "secondaryKey": KEY})
    token = hub.token(f"{hub.address}/devices/{device_id}x", key=KEY)
    async with raw_client(hub, device_id, None) as client:
        assert await client.connect(password=token.encode()) == 5


@pytest.mark.parametrize("password", [b"", b"\xff\xfe", b"SharedAccessSignature sr=a&sig=b&se=-1", b"x" * 60_000])
async def test_a_password_that_is_no_token_is_refused(hub: Hub, device_id: str, password: bytes) -> None:
    await hub.register(device_id, type="sas")
    async with raw_client(hub, device_id, None) as client:
        assert await client.connect(password=password) == 5


async def test_another_protocol_version_is_told_so(hub: Hub, directory: Path, device_id: str) -> None:
    """MQTT 5 clients fall back when they see return code 1 [MQTT-3.1.2-2]."""
    async with raw_client(hub, device_id, None) as client:
        client.send_bytes(bytes.fromhex("100d 00044d515454 05 02 0003 00 0000"))
        assert await client.receive() == (1, False)
        assert await client.receive() is None
