"""A connection (OASIS AMQP 1.0, part 2, section 2.4, and part 5 for SASL): from the first bytes to the close."""

import asyncio
import logging
import struct

from localcloud.broker.attach import Attachment
from localcloud.broker.errors import (
    CONNECTION_FORCED,
    DECODE_ERROR,
    FRAMING_ERROR,
    HANDLE_IN_USE,
    ILLEGAL_STATE,
    INTERNAL_ERROR,
    NOT_FOUND,
    AmqpError,
)
from localcloud.broker.namespace import Namespace
from localcloud.broker.session import HANDLE_MAX, Session
from localcloud.broker.wire.amqp_types import Array, Malformed, Symbol, UByte, UInt, UShort
from localcloud.broker.wire.frame_writer import FrameWriter
from localcloud.broker.wire.frames import (
    AMQP,
    AMQP_PROTOCOL,
    MAX_FRAME_BYTES,
    MIN_MAX_FRAME_BYTES,
    SASL,
    SASL_PROTOCOL,
    Frame,
    FrameReader,
    ProtocolHeader,
    protocol_header,
)
from localcloud.broker.wire.performatives import (
    ATTACH,
    BEGIN,
    CLOSE,
    DETACH,
    DISPOSITION,
    END,
    FLOW,
    OPEN,
    SASL_INIT,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Open,
    Transfer,
    error_value,
    parse_descriptor,
    parse_performative,
    performative,
)

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 10.0
CHANNEL_MAX = 4999  # as the service says
_MECHANISMS = ("MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL")
# Of answers that a peer does not read while it goes on asking. Much, as a client may well write before it reads.
_MAX_UNSENT_BYTES = 4 << 20
_VERSION = b"\x01\x00\x00"
_SEND_MODES, _RECEIVE_MODES = (None, 0, 1, 2), (None, 0, 1)
_SESSION_FRAMES = frozenset((ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END))

# One for all connections, as the loop fills it and hands it over in one step. Without one, the system would map and
# unmap a quarter of a megabyte for every piece that is read.
_INPUT = memoryview(bytearray(256 << 10))


class Connection(asyncio.BufferedProtocol):
    def __init__(
        self,
        namespace: Namespace,
        connections: "set[Connection]",
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
    ) -> None:
        """Adds itself to `connections` as long as it lives."""
        self._namespace = namespace
        self._connections = connections
        self._handshake_timeout_s = handshake_timeout_s
        self._reader = FrameReader()
        self._writer: FrameWriter
        self._handshake: asyncio.TimerHandle
        self._sessions: dict[int, Session] = {}
        self._ended_channels: set[int] = set()
        self._choked = False
        self._protocol: int | None = None  # of the last header
        self._opened = False
        self._closed = False
        self.peer_max_frame_bytes = MIN_MAX_FRAME_BYTES

    @property
    def writable(self) -> bool:
        """Whether the peer keeps up with what is sent to it."""
        return not self._choked and not self._closed and not self._writer.congested

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        loop = asyncio.get_running_loop()
        self._transport = transport
        self._writer = FrameWriter(transport, loop, self._namespace.journal, self._pump)
        self._handshake = loop.call_later(self._handshake_timeout_s, self._give_up_handshake)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.discard(self)
        self._end()

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._transport.resume_reading()
        self._pump()

    def _pump(self) -> None:
        for session in list(self._sessions.values()):
            session.pump()

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return _INPUT

    def buffer_updated(self, nbytes: int) -> None:
        if self._closed:
            return  # what comes behind the end is nobody's
        try:
            with self._writer.answering():
                for received in self._reader.feed(bytes(_INPUT[:nbytes])):
                    self._on_received(received)
        except AmqpError as error:
            self.close(error)
        except (Malformed, struct.error) as error:
            self.close(AmqpError(DECODE_ERROR, str(error)))
        except Exception:
            logger.exception("A frame could not be handled")
            self.close(AmqpError(INTERNAL_ERROR, "The broker failed; its log says why."))
        if self._writer.unsent_bytes > _MAX_UNSENT_BYTES and not self._closed:
            self._transport.pause_reading()  # until `resume_writing` tells that it has taken them

    # ---- to the peer

    def send(self, channel: int, body: bytes, payload: bytes = b"") -> None:
        self._writer.send(channel, body, payload)

    def close(self, error: AmqpError | None = None) -> None:
        """Says why, and closes when all has been sent."""
        if self._closed:
            return
        if self._protocol != AMQP_PROTOCOL:
            self._hang_up()
            return
        if not self._opened:
            self.send(0, _open())  # a close is understood only behind an open
        self.send(0, performative(CLOSE, error_value(error) if error is not None else None))
        self._end()

    def _hang_up(self) -> None:
        """Part 2, section 2.2: answers a peer of another protocol with the header of this one, and closes."""
        if self._protocol is None:
            self._writer.write(protocol_header(SASL_PROTOCOL))
        self._end()

    def _end(self) -> None:
        self._closed = True
        self._handshake.cancel()
        self._writer.close()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _give_up_handshake(self) -> None:
        self.close(AmqpError(CONNECTION_FORCED, f"No open within {self._handshake_timeout_s:g} seconds."))

    # ---- from the peer

    def _on_received(self, received: ProtocolHeader | Frame) -> None:
        if self._closed:
            return  # what comes behind the end is nobody's
        if isinstance(received, ProtocolHeader):
            self._on_header(received)
        else:
            self._on_frame(received)

    def _on_header(self, header: ProtocolHeader) -> None:
        if self._protocol in (AMQP_PROTOCOL, header.protocol):
            raise AmqpError(FRAMING_ERROR, "A protocol header in the middle of the protocol.")
        if header.protocol not in (AMQP_PROTOCOL, SASL_PROTOCOL) or header.version != _VERSION:
            self._hang_up()
            return
        self._protocol = header.protocol
        self._writer.write(protocol_header(header.protocol))
        if header.protocol == SASL_PROTOCOL:
            mechanisms = Array([Symbol(mechanism) for mechanism in _MECHANISMS])
            self._writer.send(0, performative(SASL_MECHANISMS, mechanisms), frame_type=SASL)

    def _on_frame(self, frame: Frame) -> None:
        if self._protocol is None:
            raise AmqpError(FRAMING_ERROR, "A connection begins with a protocol header.")
        if frame.type != (SASL if self._protocol == SASL_PROTOCOL else AMQP):
            raise AmqpError(FRAMING_ERROR, f"A frame of type {frame.type} does not belong here.")
        code, position = parse_descriptor(frame.body)
        if frame.type == SASL:
            if code != SASL_INIT:
                raise AmqpError(ILLEGAL_STATE, "A client begins SASL with an init.")
            self._writer.send(0, performative(SASL_OUTCOME, UByte(0)), frame_type=SASL)
            return
        if code == CLOSE:
            self.close()
        elif code == OPEN:
            self._on_open(frame.body, position)
        elif not self._opened:
            raise AmqpError(ILLEGAL_STATE, "The first frame of a connection is an open.")
        elif code == BEGIN:
            self._on_begin(frame, position)
        else:
            self._on_session_frame(frame, code, position)

    def _on_open(self, body: bytes, position: int) -> None:
        opened, _ = parse_performative(Open, body, position)
        if self._opened:
            raise AmqpError(ILLEGAL_STATE, "The connection is open already.")
        self._opened = True
        size = MAX_FRAME_BYTES if opened.max_frame_size is None else opened.max_frame_size
        self.peer_max_frame_bytes = max(MIN_MAX_FRAME_BYTES, min(size, MAX_FRAME_BYTES))
        self._handshake.cancel()
        self.send(0, _open())
        if opened.idle_timeout_ms:
            self._writer.keep_alive(max(opened.idle_timeout_ms / 2000, 0.1))

    def _on_begin(self, frame: Frame, position: int) -> None:
        begin, _ = parse_performative(Begin, frame.body, position)
        if frame.channel > CHANNEL_MAX:
            raise AmqpError(FRAMING_ERROR, f"Channel {frame.channel} is above {CHANNEL_MAX}.")
        if frame.channel in self._sessions:
            raise AmqpError(ILLEGAL_STATE, f"Channel {frame.channel} has a session already.")
        self._ended_channels.discard(frame.channel)
        session = self._sessions[frame.channel] = Session(self, frame.channel, begin)
        session.begin()

    def _on_session_frame(self, frame: Frame, code: int, position: int) -> None:
        if code not in _SESSION_FRAMES:
            raise Malformed(f"unknown performative 0x{code:02x}")
        session = self._sessions.get(frame.channel)
        if session is None:
            # SDKs detach their links after they have ended the session, and what was under way may come later.
            if frame.channel not in self._ended_channels:
                raise AmqpError(NOT_FOUND, f"There is no session on channel {frame.channel}.")
            return
        if code == END:
            self._end_session(session)
            return
        try:
            self._dispatch(session, frame.body, code, position)
        except AmqpError as error:
            self._end_session(session, error)

    def _dispatch(self, session: Session, body: bytes, code: int, position: int) -> None:
        if code == TRANSFER:
            transfer, end = parse_performative(Transfer, body, position)
            session.on_transfer(transfer, body[end:])
        elif code == DISPOSITION:
            session.on_disposition(parse_performative(Disposition, body, position)[0])
        elif code == FLOW:
            session.on_flow(parse_performative(Flow, body, position)[0])
        elif code == ATTACH:
            self._on_attach(session, parse_performative(Attach, body, position)[0], body, position)
        else:
            session.on_detach(parse_performative(Detach, body, position)[0])

    def _on_attach(self, session: Session, attach: Attach, body: bytes, position: int) -> None:
        if not 0 <= attach.handle <= HANDLE_MAX:
            raise AmqpError(FRAMING_ERROR, f"Handle {attach.handle} is above {HANDLE_MAX}.")
        if attach.send_settle_mode not in _SEND_MODES or attach.receive_settle_mode not in _RECEIVE_MODES:
            raise Malformed("an attach with a settle mode that does not exist")  # which the answer could not repeat
        existing = session.links.get(attach.handle)
        if existing is not None and not existing.closed:
            raise AmqpError(HANDLE_IN_USE, f"Handle {attach.handle} is in use.")
        Attachment(session, self._namespace, attach, body, position).answer()

    def _end_session(self, session: Session, error: AmqpError | None = None) -> None:
        del self._sessions[session.channel]
        self._ended_channels.add(session.channel)
        session.close()
        self.send(session.channel, performative(END, error_value(error) if error is not None else None))


def _open() -> bytes:
    return performative(
        OPEN, "local-broker", None, UInt(MAX_FRAME_BYTES), UShort(CHANNEL_MAX), None, None, None, None, None, None
    )
