"""Who may connect, seen by the unmodified device SDK."""

import base64
from pathlib import Path

import pytest
from azure.iot.device import exceptions
from cryptography.hazmat.primitives import hashes

from localcloud.pki import ensure_pki
from tests.conformance.documented import documented
from tests.iothub.devices import (
    eventually,
    is_refused,
    issued_identity,
    raw_client,
    sas_client,
    sdk_client,
    self_signed_identity,
    telemetry,
)
from tests.iothub.events import EventLog
from tests.iothub.services import Hub

KEY = base64.b64encode(b"a device's own symmetric key").decode()
OTHER_KEY = base64.b64encode(b"some other symmetric key....").decode()


@documented("azure/iot-hub/authenticate-authorize-x509#x509-ca-signed-authentication")
async def test_a_certificate_of_the_trusted_ca_connects_the_device_it_names(
    hub: Hub, directory: Path, device_id: str
) -> None:
    """A device of type certificateAuthority proves itself by a chain to a trusted root and by its common name."""
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        assert client.connected
        _, identity = await hub.call("GET", f"/devices/{device_id}")
        assert identity["connectionState"] == "Connected"


@documented("azure/iot-hub/authenticate-authorize-x509#x509-self-signed-authentication")
@pytest.mark.parametrize("place", ["primaryThumbprint", "secondaryThumbprint"])
@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])
async def test_a_registered_thumbprint_connects_whoever_signed_the_certificate(
    hub: Hub, directory: Path, device_id: str, place: str, algorithm: hashes.HashAlgorithm
) -> None:
    """SHA-1 or SHA-256, primary or secondary."""
    identity = self_signed_identity(directory)
    thumbprints = {"primaryThumbprint": "0" * 64, place: identity.thumbprint(algorithm)}
    await hub.register(device_id, type="selfSigned", x509Thumbprint=thumbprints)
    async with sdk_client(hub, device_id, identity) as client:
        assert client.connected


@documented("azure/iot-hub/authenticate-authorize-sas#authenticating-a-device-to-iot-hub")
@pytest.mark.parametrize("place", ["primaryKey", "secondaryKey"])
async def test_a_symmetric_key_connects(hub: Hub, device_id: str, place: str) -> None:
    """The SDK signs its token with either of the two keys."""
    keys = {"primaryKey": OTHER_KEY, "secondaryKey": OTHER_KEY} | {place: KEY}
    await hub.register(device_id, type="sas", symmetricKey=keys)
    client = sas_client(hub, device_id, KEY)
    await client.connect()
    assert client.connected
    await client.shutdown()


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#connect-to-iot-hub")
async def test_a_wrong_key_is_refused(hub: Hub, device_id: str) -> None:
    """The SDK hears of it as of bad credentials, which it does not try again."""
    await hub.register(device_id, type="sas", symmetricKey={"primaryKey": KEY, "secondaryKey": KEY})
    client = sas_client(hub, device_id, OTHER_KEY)
    with pytest.raises(exceptions.CredentialError):
        await client.connect()
    await client.shutdown()


@documented("azure/iot-hub/authenticate-authorize-x509#x509-ca-signed-authentication")
async def test_a_certificate_that_names_another_device_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    """The common name of the certificate must be the device id."""
    await hub.register(device_id)
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, "someone-else"))


@documented("azure/iot-hub/authenticate-authorize-x509")
async def test_an_expired_certificate_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    """However good its chain is."""
    await hub.register(device_id)
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, device_id, valid_for_days=-1))


@documented("azure/iot-hub/authenticate-authorize-x509#x509-ca-signed-authentication")
async def test_a_certificate_of_another_ca_is_refused(
    hub: Hub, directory: Path, tmp_path: Path, device_id: str
) -> None:
    """Only a chain to a root that the hub trusts counts."""
    await hub.register(device_id)
    assert await is_refused(hub, device_id, issued_identity(directory, ensure_pki(tmp_path, []), device_id))


@documented("azure/iot-hub/troubleshoot-error-codes#401003-iothubunauthorized")
async def test_a_thumbprint_that_is_not_registered_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    """Thumbprint does not match configuration."""
    registered = self_signed_identity(directory).thumbprint(hashes.SHA256())
    await hub.register(device_id, type="selfSigned", x509Thumbprint={"primaryThumbprint": registered})
    assert await is_refused(hub, device_id, self_signed_identity(directory))
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, device_id))


@documented("azure/iot-hub/troubleshoot-error-codes#401003-iothubunauthorized")
async def test_an_unknown_device_is_refused(hub: Hub, directory: Path, device_id: str) -> None:
    """The hub does not contain the specified device."""
    assert await is_refused(hub, device_id, issued_identity(directory, hub.pki, device_id))


@documented("azure/iot-hub/iot-hub-devguide-identity-registry#disable-devices")
async def test_disabling_cuts_a_connected_device_and_keeps_it_out(hub: Hub, directory: Path, device_id: str) -> None:
    """If disabled, a device cannot access any device-facing endpoint."""
    identity = await hub.register(device_id)
    certificate = issued_identity(directory, hub.pki, device_id)
    async with sdk_client(hub, device_id, certificate) as client:
        status, _ = await hub.call(
            "PUT", f"/devices/{device_id}", identity | {"status": "disabled"}, if_match=identity["etag"]
        )
        assert status == 200
        await eventually(lambda: not client.connected)
    assert await is_refused(hub, device_id, certificate)


@documented("azure/iot-hub/iot-hub-devguide-identity-registry#identity-registry-operations")
async def test_deleting_cuts_a_connected_device_and_keeps_it_out(hub: Hub, directory: Path, device_id: str) -> None:
    """Without an identity there is no connection."""
    await hub.register(device_id)
    certificate = issued_identity(directory, hub.pki, device_id)
    async with sdk_client(hub, device_id, certificate) as client:
        assert (await hub.call("DELETE", f"/devices/{device_id}"))[0] == 204
        await eventually(lambda: not client.connected)
    assert await is_refused(hub, device_id, certificate)


@documented("azure/iot-hub/troubleshoot-error-codes#401003-iothubunauthorized")
async def test_a_token_that_expires_ends_the_connection(hub: Hub, device_id: str) -> None:
    """IoT Hub recognises the expiry and disconnects the device."""
    await hub.register(device_id, type="sas", symmetricKey={"primaryKey": KEY, "secondaryKey": KEY})
    token = hub.token(f"{hub.address}/devices/{device_id}", key=KEY, lifetime_s=2)
    async with raw_client(hub, device_id, None) as client:
        assert await client.connect(password=token.encode()) == 0
        assert await client.receive() is None


@documented("azure/iot-hub/authenticate-authorize-sas#sas-tokens")
async def test_the_sdk_renews_its_token_and_goes_on_sending(
    hub: Hub, events: EventLog, changes: EventLog, device_id: str
) -> None:
    """Two minutes before the expiry it connects again with a new one."""
    await hub.register(device_id, type="sas", symmetricKey={"primaryKey": KEY, "secondaryKey": KEY})
    client = sas_client(hub, device_id, KEY, sastoken_ttl=123)
    await client.connect()
    await client.send_message(telemetry("with the first token"))
    await changes.wait(device_id, 4)  # it was made, connected, disconnected and connected again
    await eventually(lambda: bool(client.connected))
    await client.send_message(telemetry("with the second token"))
    await client.shutdown()
    assert [event.body for event in await events.wait(device_id, 2)] == [
        b"with the first token",
        b"with the second token",
    ]
