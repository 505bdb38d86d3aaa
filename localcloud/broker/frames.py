"""AMQP 1.0 frames (OASIS AMQP 1.0, part 2, section 2.3): a stream of bytes cut into protocol headers and frames."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from localcloud.broker.amqp_types import Malformed

MAX_FRAME_BYTES = 1 << 20
MIN_MAX_FRAME_BYTES = 512  # the specification lets nobody announce less
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"

AMQP, SASL = 0, 1  # frame types
AMQP_PROTOCOL, SASL_PROTOCOL = 0, 3  # protocol ids in headers

_HEADER = struct.Struct(">IBBH")


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
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[ProtocolHeader | Frame]:
        """The headers and non-empty frames that are complete now. Raises Malformed."""
        buffer = self._pending + data if self._pending else data
        position, available = 0, len(buffer)
        try:
            while available - position >= 8:
                if buffer.startswith(b"AMQP", position):
                    version = buffer[position + 5 : position + 8]
                    position += 8
                    yield ProtocolHeader(buffer[position - 4], version)
                    continue
                size, data_offset, frame_type, channel = _HEADER.unpack_from(buffer, position)
                if size > MAX_FRAME_BYTES:
                    raise Malformed(f"a frame of {size} bytes; the maximum is {MAX_FRAME_BYTES}")
                if data_offset < 2 or size < data_offset * 4:
                    raise Malformed("a frame header that contradicts itself")
                if available - position < size:
                    break
                start, position = position + data_offset * 4, position + size
                if start < position:
                    yield Frame(frame_type, channel, buffer[start:position])
        finally:
            self._pending = buffer[position:]
