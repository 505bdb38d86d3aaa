"""AMQP 1.0 frames (OASIS AMQP 1.0, part 2, section 2.3): a stream of bytes cut into protocol headers and frames."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from localcloud.broker.errors import FRAMING_ERROR, AmqpError

MAX_FRAME_BYTES = 1 << 20
MIN_MAX_FRAME_BYTES = 512  # the specification lets nobody announce less
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"

AMQP, SASL = 0, 1  # frame types
AMQP_PROTOCOL, SASL_PROTOCOL = 0, 3  # protocol ids in headers

_HEADER = struct.Struct(">IBBH")
_HEADER_BYTES = 8


class ProtocolHeader(NamedTuple):
    protocol: int
    version: bytes


class Frame(NamedTuple):
    type: int
    channel: int
    body: bytes


def protocol_header(protocol: int) -> bytes:
    return b"AMQP" + bytes((protocol, 1, 0, 0))


def frame_header(body_bytes: int, channel: int, frame_type: int = AMQP) -> bytes:
    """What precedes a body of that size."""
    return _HEADER.pack(body_bytes + 8, 2, frame_type, channel)


class FrameReader:
    """Collects bytes until they are a whole frame. Never holds more than one frame of the maximum size."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._available = 0
        self._needed = _HEADER_BYTES

    def feed(self, data: bytes) -> Iterator[ProtocolHeader | Frame]:
        """The headers and non-empty frames that are complete now. Raises AmqpError."""
        self._parts.append(data)
        self._available += len(data)
        if self._available < self._needed:
            return
        buffer = b"".join(self._parts)
        position = 0
        while self._available - position >= _HEADER_BYTES:
            if buffer.startswith(b"AMQP", position):
                position += _HEADER_BYTES
                yield ProtocolHeader(buffer[position - 4], buffer[position - 3 : position])
                continue
            size, data_offset, frame_type, channel = _HEADER.unpack_from(buffer, position)
            if size > MAX_FRAME_BYTES:
                raise AmqpError(FRAMING_ERROR, f"A frame of {size} bytes; the maximum is {MAX_FRAME_BYTES}.")
            if data_offset < 2 or size < data_offset * 4:
                raise AmqpError(FRAMING_ERROR, "A frame header contradicts itself.")
            if self._available - position < size:
                break
            start, position = position + data_offset * 4, position + size
            if start < position:
                yield Frame(frame_type, channel, buffer[start:position])
        rest = buffer[position:]
        self._parts, self._available = [rest], len(rest)
        self._needed = _HEADER_BYTES if len(rest) < _HEADER_BYTES else _HEADER.unpack_from(rest)[0]
