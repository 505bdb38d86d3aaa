"""Devices: their certificates, the unmodified SDK, and a bare MQTT client for what the SDK would never do."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from azure.iot.device import X509, Message, MethodRequest, MethodResponse, exceptions
from azure.iot.device.aio import IoTHubDeviceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localcloud.iothub.methods import METHODS_FILTER
from localcloud.iothub.mqtt.decoding import FrameReader, decode
from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import Connack, Connect, Packet, Publish, Suback, Subscribe, Will
from localcloud.pki import Pki, issue_device_certificate
from tests.iothub.services import MQTT_PORT, Hub

API_VERSION = "2021-04-12"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key, as files."""

    certificate: x509.Certificate
    certificate_file: Path
    key_file: Path

    def thumbprint(self, algorithm: hashes.HashAlgorithm) -> str:
        return self.certificate.fingerprint(algorithm).hex().upper()


def issued_identity(directory: Path, pki: Pki, device_id: str, *, valid_for_days: int = 30) -> Identity:
    """A certificate of a local CA; a negative validity makes one that has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    not_after = datetime.now(UTC) + timedelta(days=valid_for_days)
    not_before = not_after - timedelta(days=60)
    certificate = issue_device_certificate(pki, device_id, key.public_key(), not_before=not_before, not_after=not_after)
    return _saved(directory, key, certificate)


def self_signed_identity(directory: Path, *, valid_for_days: int = 30) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self")])
    not_after = datetime.now(UTC) + timedelta(days=valid_for_days)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(not_after - timedelta(days=60)).not_valid_after(not_after)
    return _saved(directory, key, builder.sign(key, hashes.SHA256()))


def _saved(directory: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Identity:
    stem = directory / f"{certificate.serial_number:x}"
    pem = serialization.Encoding.PEM
    stem.with_suffix(".pem").write_bytes(certificate.public_bytes(pem))
    stem.with_suffix(".key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Identity(certificate, stem.with_suffix(".pem"), stem.with_suffix(".key"))


@asynccontextmanager
async def sdk_client(
    hub: Hub, device_id: str, identity: Identity, *, connect: bool = True, **options: Any
) -> AsyncIterator[IoTHubDeviceClient]:
    """The device SDK with a certificate, without retries unless asked for."""
    client = IoTHubDeviceClient.create_from_x509_certificate(
        X509(str(identity.certificate_file), str(identity.key_file)),  # type: ignore[no-untyped-call] # not annotated
        hub.address,
        device_id,
        server_verification_cert=hub.pki.root.read_text(),
        **{"connection_retry": False} | options,
    )
    try:
        if connect:
            await client.connect()
        yield client
    finally:
        await client.shutdown()


def into(queue: asyncio.Queue[Any]) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """A handler for the SDK, which calls it from a thread and an event loop of its own."""
    loop = asyncio.get_running_loop()

    async def put(item: Any) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, item)

    return put


async def handle(client: IoTHubDeviceClient, name: str, handler: Any) -> None:
    """Sets a handler of the SDK, whose setters block their caller until the hub has answered."""
    await asyncio.to_thread(setattr, client, name, handler)


def answering(client: IoTHubDeviceClient, status: int = 200) -> Any:
    """A handler of direct methods that tells what it was called with."""

    async def answer(request: MethodRequest) -> None:
        payload = {"called": request.name, "with": request.payload}
        await client.send_method_response(MethodResponse.create_from_method_request(request, status, payload))

    return answer


async def is_refused(hub: Hub, device_id: str, identity: Identity) -> bool:
    """Whether the SDK is told that its credentials are no good, which it does not try again."""
    async with sdk_client(hub, device_id, identity, connect=False) as client:
        with pytest.raises(exceptions.CredentialError):
            await client.connect()
        return not client.connected


def sas_client(hub: Hub, device_id: str, key: str, **options: Any) -> IoTHubDeviceClient:
    """The device SDK with a symmetric key."""
    return IoTHubDeviceClient.create_from_connection_string(
        f"HostName={hub.address};DeviceId={device_id};SharedAccessKey={key}",
        server_verification_cert=hub.pki.root.read_text(),
        **{"connection_retry": False} | options,
    )


async def eventually(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    """Returns when the condition holds; for state of the SDK that cannot be awaited."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the SDK offers nothing to await
            await asyncio.sleep(0.02)


def telemetry(body: bytes | str, **properties: str) -> Message:
    message = Message(body)  # type: ignore[no-untyped-call] # not annotated
    message.custom_properties |= properties
    return message


class RawClient:
    """MQTT without manners."""

    def __init__(self, hub: Hub, device_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._hub, self._device_id = hub, device_id
        self._reader, self._writer = reader, writer
        self._frames = FrameReader()
        self._packets: list[Packet] = []

    @classmethod
    async def open(cls, hub: Hub, device_id: str, identity: Identity | None) -> Self:
        context = ssl.create_default_context(cafile=hub.pki.root)
        if identity is not None:
            context.load_cert_chain(identity.certificate_file, identity.key_file)
        return cls(hub, device_id, *await asyncio.open_connection(hub.address, MQTT_PORT, ssl=context))

    async def connect(
        self,
        *,
        keep_alive_s: int = 60,
        clean_session: bool = False,
        will: Will | None = None,
        password: bytes | None = None,
        username: str | None = None,
    ) -> int:
        """The return code of CONNACK."""
        username = username or f"{self._hub.address}/{self._device_id}/?api-version={API_VERSION}"
        self.send(Connect(self._device_id, username, password, keep_alive_s, clean_session, will))
        answer = await self.receive()
        assert isinstance(answer, Connack)
        return answer.return_code

    def send(self, *packets: Packet) -> None:
        self.send_bytes(b"".join(encode(packet) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        """Returns when the hub has taken most of what was sent."""
        await self._writer.drain()

    def publish(self, topic: str, payload: bytes = b"", *, qos: int = 1, packet_id: int = 1) -> None:
        self.send(Publish(topic, payload, qos, packet_id if qos else 0, retain=False, duplicate=False))

    def telemetry(self, payload: bytes, bag: str = "", **options: int) -> None:
        self.publish(f"devices/{self._device_id}/messages/events/{bag}", payload, **options)

    async def receive(self, timeout_s: float = 15) -> Packet | None:
        """The next packet, or None when the hub has ended the connection."""
        async with asyncio.timeout(timeout_s):
            while not self._packets:
                try:
                    data = await self._reader.read(65536)
                except OSError:  # the hub cuts without a TLS goodbye
                    return None
                if not data:
                    return None
                self._frames.feed(data)
                self._packets += [decode(*frame) for frame in self._frames.frames()]
        return self._packets.pop(0)

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


@asynccontextmanager
async def raw_client(hub: Hub, device_id: str, identity: Identity | None) -> AsyncIterator[RawClient]:
    client = await RawClient.open(hub, device_id, identity)
    try:
        yield client
    finally:
        await client.close()


async def subscribe_to_methods(client: RawClient) -> None:
    assert await client.connect() == 0
    client.send(Subscribe(1, ((METHODS_FILTER, 0),)))
    assert await client.receive() == Suback(1, b"\x00")
