"""A light MQTT 3.1.1 client that stays connected: many of them fit in one process, unlike clients of the SDK."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final

from localcloud.fleet.connection import Connection
from localcloud.fleet.identity import Credential
from localcloud.fleet.link import CredentialSource, HubEndpoint, HubRefusedError, HubUnreachableError
from localcloud.iothub.mqtt.packets import Connect, Packet, Puback, Publish, Suback, Subscribe

_log = logging.getLogger(__name__)

_SUBSCRIPTION_FAILED: Final = 0x80
_LAST_PACKET_ID: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient and how hasty a client is."""

    connect_timeout_s: float = 20.0
    keep_alive_s: int = 60
    first_retry_s: float = 0.2
    longest_retry_s: float = 30.0
    in_flight: int = 20  # messages sent and not yet acknowledged

    def pause_s(self, failures: int, random: Random) -> float:
        """Exponential with full jitter, so that a fleet does not return all at once to a hub that restarted."""
        return random.uniform(0, min(self.longest_retry_s, self.first_retry_s * 2 ** min(failures, 16)))


@dataclass(slots=True)
class _InFlight:
    packet: Publish
    acknowledged: asyncio.Future[None]
    sent: bool = False


class MqttClient:
    """One session over as many connections as it takes.

    `on_message` gets topic and payload of what arrives; `on_connected` is called whenever subscriptions are in place.
    Neither may block or raise.
    """

    def __init__(
        self,
        endpoint: HubEndpoint,
        client_id: str,
        username: str,
        credentials: CredentialSource,
        *,
        filters: tuple[str, ...],
        on_connected: Callable[[], None],
        on_message: Callable[[str, bytes], None],
        random: Random,
        pace: Pace,
    ) -> None:
        self.credential: Credential | None = None
        self._endpoint = endpoint
        self._credentials = credentials
        self._filters = tuple((topic_filter, 1) for topic_filter in filters)
        self._on_connected = on_connected
        self._on_message = on_message
        self._random = random
        self._pace = pace
        # Not a clean session: the hub keeps subscriptions while the vehicle is away.
        self._hello = Connect(client_id, username, None, pace.keep_alive_s, clean_session=False, will=None)
        self._packet_ids = itertools.cycle(range(1, _LAST_PACKET_ID + 1))
        self._in_flight: dict[int, _InFlight] = {}
        self._window = asyncio.Semaphore(pace.in_flight)
        self._connection: Connection | None = None
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    async def connect(self) -> None:
        """Connects for the first time. Raises `HubRefusedError` and `HubUnreachableError`."""
        connection = await self._establish()
        self._keeper = asyncio.create_task(self._stay_connected(connection))
        await self._until_ready()

    async def reconnect(self) -> None:
        """Drops the connection and returns when there is one again. Raises `HubUnreachableError` if closed before."""
        connection = self._connection
        self._disconnected()
        if connection is not None:
            await connection.close()
        await self._until_ready()

    async def _until_ready(self) -> None:
        await self._ready.wait()
        if self._closed:
            raise HubUnreachableError("the link is closed")

    async def publish(self, topic: str, payload: bytes) -> None:
        """Returns when the hub has acknowledged (QoS 1). Raises `HubUnreachableError` if closed before."""
        async with self._window:
            if self._closed:
                raise HubUnreachableError("the link is closed")
            packet_id = next(packet_id for packet_id in self._packet_ids if packet_id not in self._in_flight)
            packet = Publish(topic, payload, 1, packet_id, retain=False, duplicate=False)
            message = _InFlight(packet, asyncio.get_running_loop().create_future())
            self._in_flight[packet_id] = message
            self._send_in_flight(message)
            try:
                await message.acknowledged
            finally:
                del self._in_flight[packet_id]

    def post(self, topic: str, payload: bytes) -> None:
        """Sends at most once (QoS 0), and not at all without a connection."""
        if self._connection is not None:
            self._connection.send(Publish(topic, payload, 0, 0, retain=False, duplicate=False))

    async def close(self) -> None:
        self._closed = True
        self._ready.set()
        if self._connection is not None:
            await self._connection.close()
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        for message in self._in_flight.values():
            if not message.acknowledged.done():
                message.acknowledged.set_exception(HubUnreachableError("the link is closed"))

    async def _establish(self) -> Connection:
        """Tries the certificates in turn: as long as the hub accepts one of them, the vehicle is reachable."""
        refusal = HubRefusedError("there is no certificate to connect with")
        for credential in self._credentials():
            try:
                connection = await Connection.open(
                    self._endpoint, credential, self._hello, self._pace.connect_timeout_s
                )
            except HubRefusedError as error:
                refusal = error
                continue
            self.credential = credential
            return connection
        raise refusal

    async def _stay_connected(self, connection: Connection) -> None:
        while not self._closed:
            await self._serve(connection)
            connection = await self._reestablish()

    async def _reestablish(self) -> Connection:
        for failures in itertools.count():
            await asyncio.sleep(self._pace.pause_s(failures, self._random))
            try:
                return await self._establish()
            except (HubRefusedError, HubUnreachableError) as error:
                _log.info("%s: not connected: %s", self._hello.client_id, error)
        raise AssertionError("unreachable: counting has no end")

    async def _serve(self, connection: Connection) -> None:
        self._connection = connection
        connection.send(Subscribe(next(self._packet_ids), self._filters))
        for message in self._in_flight.values():
            self._send_in_flight(message)
        pinger = asyncio.create_task(connection.keep_alive(self._pace.keep_alive_s / 2))
        try:
            async for packet in connection.packets():
                if not self._handle(packet, connection):
                    break
        finally:
            self._disconnected()
            pinger.cancel()
            connection.abort()

    def _disconnected(self) -> None:
        self._connection = None
        if not self._closed:
            self._ready.clear()

    def _handle(self, packet: Packet, connection: Connection) -> bool:
        """False if the connection is of no use."""
        match packet:
            case Puback(packet_id):
                message = self._in_flight.get(packet_id)
                if message is not None and not message.acknowledged.done():
                    message.acknowledged.set_result(None)
            case Publish():
                if packet.qos:
                    connection.send(Puback(packet.packet_id))
                self._on_message(packet.topic, packet.payload)
            case Suback():
                if _SUBSCRIPTION_FAILED in packet.return_codes:
                    _log.error("%s: the hub refused a subscription", self._hello.client_id)
                    return False
                if self._connection is connection:  # and not one that `reconnect` is dropping
                    self._ready.set()
                    self._on_connected()
            case _:
                pass
        return True

    def _send_in_flight(self, message: _InFlight) -> None:
        if self._connection is not None and not message.acknowledged.done():
            self._connection.send(message.packet._replace(duplicate=message.sent))
            message.sent = True
