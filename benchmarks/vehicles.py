"""Vehicles that send telemetry as fast as they are answered, with as little work of their own as possible."""

import asyncio
import itertools
import ssl
from collections.abc import Sequence

from localcloud.fleet.link import API_VERSION
from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import Connect, Publish
from localcloud.layout import LOOPBACK

BODY = bytes(200)
_WINDOW = 4  # messages of one vehicle on their way
_ANSWER_BYTES = 4  # of a CONNACK or PUBACK, and nothing else comes
_BAG = "type=telemetry&%24.ct=application%2Fjson&%24.ce=utf-8"
_CONNECTING = 50  # vehicles at a time


class Vehicle(asyncio.Protocol):
    """One MQTT connection (QoS 1)."""

    def __init__(self, hostname: str, vehicle_id: str) -> None:
        user = f"{hostname}/{vehicle_id}/?api-version={API_VERSION}"
        self._hello = Connect(vehicle_id, user, None, 600, clean_session=True, will=None)
        topic = f"devices/{vehicle_id}/messages/events/{_BAG}"
        # Answers come in order, so that an id is free again when its turn comes.
        packets = [Publish(topic, BODY, 1, number, retain=False, duplicate=False) for number in range(1, _WINDOW + 1)]
        self._packets = itertools.cycle([encode(packet) for packet in packets])
        self._unsent = 0
        self._received_bytes = 0
        self.answered = asyncio.get_running_loop().create_future()
        self._awaited_bytes = _ANSWER_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(encode(self._hello))

    def send(self, messages: int) -> "asyncio.Future[None]":
        """Sends so many messages; the future is done when all are acknowledged."""
        self.answered = asyncio.get_running_loop().create_future()
        self._awaited_bytes += messages * _ANSWER_BYTES
        self._unsent = messages
        self._send(_WINDOW)
        return self.answered

    def data_received(self, data: bytes) -> None:
        before = self._received_bytes // _ANSWER_BYTES
        self._received_bytes += len(data)
        if self._received_bytes == self._awaited_bytes:
            self.answered.set_result(None)
        else:
            self._send(self._received_bytes // _ANSWER_BYTES - before)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionResetError("the hub ended the connection"))

    def close(self) -> None:
        self._transport.abort()

    def _send(self, messages: int) -> None:
        for _ in range(min(messages, self._unsent)):
            self._unsent -= 1
            self._transport.write(next(self._packets))


async def connect(vehicle_ids: Sequence[str], hostname: str, port: int, tls: ssl.SSLContext) -> list[Vehicle]:
    """The vehicles, once the hub has let all of them in. Raises `OSError`."""
    gate = asyncio.Semaphore(_CONNECTING)
    loop = asyncio.get_running_loop()

    async def one(vehicle_id: str) -> Vehicle:
        async with gate:
            _, vehicle = await loop.create_connection(
                lambda: Vehicle(hostname, vehicle_id), LOOPBACK, port, ssl=tls, server_hostname=hostname
            )
            await vehicle.answered
            return vehicle

    return await asyncio.gather(*map(one, vehicle_ids))
