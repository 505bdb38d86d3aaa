"""One device's MQTT connection: who is at the other end, is it still there, what it sends and what it is told."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from localcloud.errors import Rejected
from localcloud.iothub.acknowledgements import Acknowledgements
from localcloud.iothub.credentials import Authenticated
from localcloud.iothub.mqtt.decoding import FrameReader, decode
from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    MalformedPacketError,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    UnsupportedProtocolError,
    Will,
)
from localcloud.iothub.session import MAX_MESSAGE_BYTES, ForbiddenError, Services, Session
from localcloud.iothub.throttling import Throttle, ThrottledError
from localcloud.iothub.tls import Peer, SecureStream

_MAX_PACKET_BYTES: Final = MAX_MESSAGE_BYTES + 65_540  # a topic more, so that what is too large is recognised
_CONNECT_TIMEOUT_S: Final = 30.0
_MAX_SILENCE_S: Final = 1767.0  # 1.5 times the longest keep-alive that the service grants
_UNACCEPTABLE_PROTOCOL: Final = 1
_SERVER_UNAVAILABLE: Final = 3
_NOT_AUTHORIZED: Final = 5

log = logging.getLogger(__name__)


class Host(Services, Protocol):
    """What a connection needs of the hub."""

    def authenticate(self, connect: Connect, peer: Peer) -> Authenticated:
        """Raises `Rejected`."""

    def take_over_wait_s(self, device_id: str) -> float:
        """How long a new connection of a connected device has to wait before it may replace the old."""

    def attach(self, connection: "Connection") -> None: ...
    def detach(self, connection: "Connection") -> None: ...
    def is_overloaded(self) -> bool: ...
    def call_when_relieved(self, callback: Callable[[], None]) -> None: ...


class Connection:
    """The server's end of one MQTT connection."""

    def __init__(self, host: Host, stream: SecureStream) -> None:
        self._host = host
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(_MAX_PACKET_BYTES)
        self._acknowledgements = Acknowledgements(stream.write)
        self._sender: Authenticated | None = None
        self._session: Session | None = None
        self._will: Will | None = None
        self._is_held = False  # nothing is read for the time being
        self._is_over = False
        self._max_silence_s = _CONNECT_TIMEOUT_S
        self._heard_at = self._loop.time()
        self._silence_timer = self._loop.call_later(self._max_silence_s, self._check_silence)
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def device_id(self) -> str:
        assert self._sender is not None, "only an attached connection has a device"
        return self._sender.device.device_id

    @property
    def session(self) -> Session:
        assert self._session is not None, "only an attached connection has a session"
        return self._session

    def cut(self, reason: str) -> None:
        """Ends the connection without a word, which is all that MQTT 3.1.1 allows a server to say."""
        if not self._is_over:
            log.warning("%s is cut: %s", self.device_id if self._sender else "an unknown peer", reason)
        self._is_over = True
        self._stream.abort()

    # -- called by the stream ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._reader.feed(data)
        self._process()

    def closed(self) -> None:
        self._is_over = True
        self._silence_timer.cancel()
        for timer in self._timers:
            timer.cancel()
        if self._session is None:
            return
        if self._will is not None:
            self._session.last_will(self._will)
        self._host.detach(self)

    # -- packets ----------------------------------------------------------------------------------------------------

    def _process(self) -> None:
        if not self._listens():
            return
        try:
            for first_byte, body in self._reader.frames():
                self._handle(decode(first_byte, body))
                if not self._listens():
                    return  # the rest stays with the reader
        except UnsupportedProtocolError:
            self._refuse(_UNACCEPTABLE_PROTOCOL)
        except (MalformedPacketError, ForbiddenError) as error:
            self.cut(str(error))

    def _listens(self) -> bool:
        return not (self._is_held or self._is_over)

    def _handle(self, packet: Packet) -> None:
        if self._session is None:
            if not isinstance(packet, Connect):
                raise MalformedPacketError("the first packet is no CONNECT")  # [MQTT-3.1.0-1]
            self._enter(packet)
            return
        match packet:
            case Publish():
                self._publish(packet, self._session)
            case Subscribe(packet_id, filters):
                self._session.subscribe(tuple(name for name, _ in filters))
                self._write(Suback(packet_id, bytes(min(qos, 1) for _, qos in filters)))
            case Unsubscribe(packet_id, filters):
                self._session.unsubscribe(filters)
                self._write(Unsuback(packet_id))
            case Pingreq():
                self._write(Pingresp())
            case Disconnect():
                self._will = None  # [MQTT-3.14.4-3]
                self._is_over = True
                self._stream.close()
            case Puback():
                pass  # the hub's messages go out at QoS 0 and wait for none
            case _:
                raise MalformedPacketError(f"{type(packet).__name__} is not for a server")

    def _publish(self, message: Publish, session: Session) -> None:
        if message.qos == 2:
            raise ForbiddenError("published at QoS 2")
        accepted = self._acknowledgements.expect(message.packet_id) if message.qos else lambda: None
        session.publish(message, accepted)
        if self._host.is_overloaded():
            self._hold()
            self._host.call_when_relieved(self._release)

    def _write(self, packet: Packet) -> None:
        self._stream.write(encode(packet))

    def _send(self, topic: str, payload: bytes) -> None:
        self._write(Publish(topic, payload, qos=0, packet_id=0, retain=False, duplicate=False))

    # -- beginning --------------------------------------------------------------------------------------------------

    def _enter(self, connect: Connect) -> None:
        try:
            is_first = self._host.shaper.admits(Throttle.CONNECT, later=lambda: self._connect_later(connect))
        except ThrottledError:
            self._refuse(_SERVER_UNAVAILABLE)
            return
        if is_first:
            self._connect(connect)
        else:
            self._hold()

    def _connect(self, connect: Connect) -> None:
        try:
            sender = self._host.authenticate(connect, self._stream.peer)
        except Rejected:
            self._refuse(_NOT_AUTHORIZED)
            return
        wait_s = self._host.take_over_wait_s(sender.device.device_id)
        if wait_s > 0:
            self._hold()
            self._timers.append(self._loop.call_later(wait_s, self._connect_later, connect))
            return
        self._begin(connect, sender)

    def _connect_later(self, connect: Connect) -> None:
        if self._is_over:
            return
        self._is_held = False
        try:
            self._connect(connect)  # authenticates anew: the device may have been disabled meanwhile
        except ForbiddenError as error:
            self.cut(str(error))
        if not self._is_held:
            self._release()

    def _begin(self, connect: Connect, sender: Authenticated) -> None:
        session = Session(sender, self._host, self._send)
        if connect.will is not None:
            session.check_will(connect.will)
        subscriptions = sender.device.subscriptions
        if connect.clean_session:
            subscriptions.clear()
        self._sender, self._session, self._will = sender, session, connect.will
        self._watch(connect.keep_alive_s, sender.expires_at_s)
        self._host.attach(self)  # which keeps that: what the device is told next waits for it
        self._write(Connack(0, session_present=bool(subscriptions)))

    def _refuse(self, return_code: int) -> None:
        self._is_over = True
        self._write(Connack(return_code, session_present=False))
        self._stream.close()

    # -- silence and rest -------------------------------------------------------------------------------------------

    def _watch(self, keep_alive_s: int, expires_at_s: float | None) -> None:
        self._max_silence_s = min(keep_alive_s * 1.5 or _MAX_SILENCE_S, _MAX_SILENCE_S)  # [MQTT-3.1.2-24]
        self._silence_timer.cancel()
        self._check_silence()
        if expires_at_s is not None:
            remaining_s = expires_at_s - datetime.now(UTC).timestamp()
            self._timers.append(self._loop.call_later(remaining_s, self.cut, "its token has expired"))

    def _check_silence(self) -> None:
        if self._is_held:
            self._heard_at = self._loop.time()  # who is not listened to is not silent
        remaining_s = self._heard_at + self._max_silence_s - self._loop.time()
        if remaining_s <= 0:
            self.cut("it has fallen silent")
        else:
            self._silence_timer = self._loop.call_later(remaining_s, self._check_silence)

    def _hold(self) -> None:
        self._is_held = True
        self._stream.pause_reading()

    def _release(self) -> None:
        self._is_held = False
        if not self._is_over:
            self._heard_at = self._loop.time()
            self._stream.resume_reading()
            self._process()
