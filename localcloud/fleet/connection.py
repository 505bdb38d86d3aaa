"""One MQTT connection over TLS, from CONNECT to its end."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from localcloud.fleet.identity import Credential
from localcloud.fleet.link import HubEndpoint, HubRefusedError, HubUnreachableError
from localcloud.iothub.mqtt.decoding import FrameReader, decode
from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import Connack, Connect, Disconnect, MalformedPacketError, Packet, Pingreq

_log = logging.getLogger(__name__)

# OASIS MQTT Version 3.1.1, table 3.1.
_REFUSALS: Final = {
    1: "unacceptable protocol version",
    2: "client identifier rejected",
    4: "malformed user name or password",
    5: "not authorized",
}
_SERVER_UNAVAILABLE: Final = 3
_MAX_PACKET_BYTES: Final = 1 << 20
_GOODBYE_TIMEOUT_S: Final = 2.0


def _client_context(credential: Credential, ca_file: str) -> ssl.SSLContext:
    """TLS that shows this certificate and accepts only a server vouched for by the CA, by its name."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(credential.pem_file)
    except OSError as error:  # as good as refused: the next certificate may do
        raise HubRefusedError(f"{credential.pem_file.name} cannot be used: {error}") from error
    return context


class Connection:
    """An accepted connection. The reader of `packets` learns of its end by the end of the packets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader(_MAX_PACKET_BYTES)
        self._heard_at = asyncio.get_running_loop().time()

    @classmethod
    async def open(
        cls, endpoint: HubEndpoint, credential: Credential, connect: Connect, timeout_s: float
    ) -> "Connection":
        """Raises `HubRefusedError` if the hub says no, `HubUnreachableError` if it says nothing."""
        context = _client_context(credential, str(endpoint.ca_file))
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(
                    endpoint.hostname, endpoint.port, ssl=context, ssl_shutdown_timeout=_GOODBYE_TIMEOUT_S
                )
                connection = cls(reader, writer)
                try:
                    await connection._introduce(connect)
                except BaseException:
                    connection.abort()
                    raise
        except TimeoutError:
            raise HubUnreachableError(f"{endpoint.hostname} did not answer within {timeout_s:g} s") from None
        except OSError as error:
            raise HubUnreachableError(f"{endpoint.hostname}:{endpoint.port}: {error}") from error
        return connection

    async def _introduce(self, connect: Connect) -> None:
        self.send(connect)
        async for packet in self.packets():
            if not isinstance(packet, Connack):
                raise HubUnreachableError(f"the hub answered CONNECT with {type(packet).__name__}")
            if packet.return_code in _REFUSALS:
                raise HubRefusedError(f"connection refused: {_REFUSALS[packet.return_code]}")
            if packet.return_code:
                unavailable = packet.return_code == _SERVER_UNAVAILABLE
                raise HubUnreachableError("server unavailable" if unavailable else f"code {packet.return_code}")
            return
        raise HubUnreachableError("the hub ended the connection before it answered CONNECT")

    def send(self, packet: Packet) -> None:
        self._writer.write(encode(packet))

    async def packets(self) -> AsyncIterator[Packet]:
        """What the hub sends, until the connection ends. May be left and taken up again."""
        try:
            while True:
                for first_byte, body in self._frames.frames():
                    yield decode(first_byte, body)
                data = await self._reader.read(65536)
                if not data:
                    return
                self._heard_at = asyncio.get_running_loop().time()
                self._frames.feed(data)
        except OSError as error:
            _log.info("the connection broke: %s", error)
        except MalformedPacketError as error:
            _log.warning("the hub sent what is no MQTT: %s", error)

    async def keep_alive(self, interval_s: float) -> None:
        """Pings for ever, and ends the connection when the hub has been silent for two intervals."""
        while True:
            await asyncio.sleep(interval_s)
            if asyncio.get_running_loop().time() - self._heard_at > 2 * interval_s:
                self.abort()
                return
            self.send(Pingreq())

    async def close(self) -> None:
        """Says goodbye: the hub is told that nothing is wrong."""
        with suppress(OSError, TimeoutError):
            self.send(Disconnect())
            self._writer.close()
            await asyncio.wait_for(self._writer.wait_closed(), _GOODBYE_TIMEOUT_S)

    def abort(self) -> None:
        self._writer.transport.abort()
