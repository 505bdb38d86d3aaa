"""Who may connect, seen by the unmodified device SDK."""

import base64
from pathlib import Path

import pytest
from azure.iot.device import exceptions
from azure.iot.device.aio import IoTHubDeviceClient
from cryptography.hazmat.primitives import hashes

from localcloud.pki import ensure_pki
from tests.iothub.devices import (
    Identity,
    eventually,
    issued_identity,
    raw_client,
    sdk_client,
    self_signed_identity,
)
from tests.iothub.services import Hub

KEY = base64.b64encode(b"a device's own symmetric key").decode()
OTHER_KEY = base64.b64encode(b"some other symmetric key....").decode()


async def is_refused(hub: Hub, device_id: str, identity: Identity) -> bool:
    """Whether the SDK is told that its credentials are no good, which it does not retry."""
    async with sdk_client(hub, device_id, identity, connect=False) as client:
        with pytest.raises(exceptions.CredentialError):
            await client.connect()
        return not client.connected


def sas_client(hub: Hub, device_id: str, key: str) -> IoTHubDeviceClient:
    return IoTHubDeviceClient.create_from_connection_string(
        f"HostName={hub.address};DeviceId={device_id};SharedAccessKey={key}",
        server_verification_cert=hub.pki.root.read_text(),
        connection_retry=False,
    )


async def test_a_certificate_of_the_trusted_ca_connects_the_device_it_names(
    hub: Hub, directory: Path, device_id: str
) -> None:
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        assert client.connected
        _, identity = await hub.call("GET", f"/devices/{device_id}")
        assert identity["connectionState"] == "Connected"


@pytest.mark.parametrize("place", ["primaryThumbprint", "secondaryThumbprint"])
@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])
async def test_a_registered_thumbprint_connects_whoever_signed_the_certificate(
    hub: Hub, directory: Path, device_id: str, place: str, algorithm: hashes.HashAlgorithm
) -> None:
    identity = self_signed_identity(directory)
    thumbprints = {"primaryThumbprint": "0" * 64, place: identity.thumbprint(algorithm)}
    await hub.register(device_id, type="selfSigned", x509Thumbprint=thumbprints)
    async with sdk_client(hub, device_id, identity) as client:
        assert client.connected


@pytest.mark.parametrize("place", ["primaryKey", "secondaryKey"])
async def test_a_symmetric_key_connects(hub: Hub, device_id: str, place: str) -> None:
    keys = {"primaryKey": OTHER_KEY, "secondaryKey": OTHER_KEY} | {place: KEY}
    await hub.register(device_id, type="sas", symmetricKey=keys)
    client = sas_client(hub, device_id, KEY)
    await client.connect()
    assert client.connected
    await client.shutdown()


async def test_a_wrong_key_is_refused(hub: Hub, device_id: str) -> None:
    await hub.register(device_id, type="sas", symmetricKey={"primaryKey": KEY, "secondaryKey": KEY})
    client = sas_client(hub, device_id, OTHER_KEY)
    with pytest.raises(exceptions.CredentialError):
        await client.connect()
    await client.shutdown()


async def test_a_certificate_that_names_another_device_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, "someone-else"))


async def test_an_expired_certificate_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, device_id, valid_for_days=-1))


async def test_an_expired_certificate_is_refused_even_if_its_thumbprint_is_registered(
    hub: Hub, directory: Path, device_id: str
) -> None:
    identity = self_signed_identity(directory, valid_for_days=-1)
    thumbprints = {"primaryThumbprint": identity.thumbprint(hashes.SHA256())}
    await hub.register(device_id, type="selfSigned", x509Thumbprint=thumbprints)
    assert await is_refused(hub, device_id, identity)


async def test_a_certificate_of_another_ca_is_refused(
    hub: Hub, directory: Path, tmp_path: Path, device_id: str
) -> None:
    await hub.register(device_id)
    assert await is_refused(hub, device_id, issued_identity(directory, ensure_pki(tmp_path, []), device_id))


async def test_a_thumbprint_that_is_not_registered_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    registered = self_signed_identity(directory).thumbprint(hashes.SHA256())
    await hub.register(device_id, type="selfSigned", x509Thumbprint={"primaryThumbprint": registered})
    assert await is_refused(hub, device_id, self_signed_identity(directory))
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, device_id))


async def test_an_unknown_device_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, device_id))


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


async def test_disabling_cuts_a_connected_device_and_keeps_it_out(hub: Hub, directory: Path, device_id: str) -> None:
    identity = await hub.register(device_id)
    certificate = issued_identity(directory, hub.pki, device_id)
    async with sdk_client(hub, device_id, certificate) as client:
        status, _ = await hub.call(
            "PUT", f"/devices/{device_id}", identity | {"status": "disabled"}, if_match=identity["etag"]
        )
        assert status == 200
        await eventually(lambda: not client.connected)
    assert await is_refused(hub, device_id, certificate)


async def test_deleting_cuts_a_connected_device_and_keeps_it_out(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    certificate = issued_identity(directory, hub.pki, device_id)
    async with sdk_client(hub, device_id, certificate) as client:
        assert (await hub.call("DELETE", f"/devices/{device_id}"))[0] == 204
        await eventually(lambda: not client.connected)
    assert await is_refused(hub, device_id, certificate)


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
