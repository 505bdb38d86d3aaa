"""The kinds of damage that only AMQP knows. Pure."""

import random
import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from localcloud.broker.wire.amqp_types import (
    Array,
    Described,
    Encoded,
    Int,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)
from localcloud.broker.wire.decoder import decode
from localcloud.broker.wire.encoder import encode
from tests.soak.damage import ANY_PROTOCOL, Damage, Frames

_HEADER_BYTES = 8


def _split(frame: bytes) -> tuple[bytes, bytes] | None:
    """Header and body of a frame, unless it is a protocol header or broken already."""
    if frame.startswith(b"AMQP") or len(frame) <= _HEADER_BYTES:
        return None
    return frame[:_HEADER_BYTES], frame[_HEADER_BYTES:]


def _joined(header: bytes, body: bytes) -> bytes:
    """With the size that is true."""
    return struct.pack(">I", len(header) + len(body)) + header[4:] + body


def _encode(value: Any) -> bytes:
    """As `encode`; null for arrays of what it has no arrays of."""
    try:
        return bytes(encode(_with_descriptors(value)))
    except TypeError:
        return b"\x40"


def _with_descriptors(value: Any) -> Any:
    """Numbers are read as plain ones, and a descriptor is a ulong."""
    if isinstance(value, Described):
        descriptor = ULong(value.descriptor) if isinstance(value.descriptor, int) else value.descriptor
        return Described(descriptor, _with_descriptors(value.value))
    if isinstance(value, list) and not isinstance(value, Array):
        return [_with_descriptors(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_descriptors(item) for key, item in value.items()}
    return value


def _on_body(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    def damage(frames: Frames, index: int, chance: random.Random) -> None:
        if (parts := _split(frames[index])) is not None:
            frames[index] = _joined(parts[0], change(parts[1], chance))

    return damage


def _lie_about_size(frames: Frames, index: int, chance: random.Random) -> None:
    size = chance.choice((0, 1, 7, 8, 9, len(frames[index]) - 1, len(frames[index]) + 1, 1 << 20, 2**31, 2**32 - 1))
    frames[index] = struct.pack(">I", size) + frames[index][4:]


def _lie_about_offset(frames: Frames, index: int, chance: random.Random) -> None:
    frames[index] = frames[index][:4] + bytes((chance.choice((0, 1, 3, 63, 255)),)) + frames[index][5:]


def _change_type(frames: Frames, index: int, chance: random.Random) -> None:
    frames[index] = frames[index][:5] + bytes((chance.choice((0, 1, 2, 255)),)) + frames[index][6:]


def _change_channel(frames: Frames, index: int, chance: random.Random) -> None:
    frames[index] = frames[index][:6] + struct.pack(">H", chance.choice((0, 1, 2, 65535))) + frames[index][8:]


def _cut_body(body: bytes, chance: random.Random) -> bytes:
    return body[: chance.randrange(len(body))] or b"\x00"


def _change_body_byte(body: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(len(body))
    return body[:where] + chance.randbytes(1) + body[where + 1 :]


_SIZED = {0xC0: 1, 0xC1: 1, 0xE0: 1, 0xD0: 4, 0xD1: 4, 0xF0: 4, 0xA0: 1, 0xA1: 1, 0xA3: 1, 0xB0: 4, 0xB1: 4, 0xB3: 4}


def _lie_in_value(body: bytes, chance: random.Random) -> bytes:
    """Another size or count in what looks like a string, list, map or array."""
    places = [where for where, byte in enumerate(body) if byte in _SIZED]
    if not places:
        return body
    where = chance.choice(places)
    width = _SIZED[body[where]]
    start = where + 1 + width * chance.randrange(2)  # of the size or of the count
    lie = chance.choice((0, 1, 2, 255, 2**16, 2**31, 2**32 - 1, chance.randrange(256)))
    return body[:start] + (lie & ((1 << 8 * width) - 1)).to_bytes(width, "big") + body[start + width :]


def _nest(body: bytes, chance: random.Random) -> bytes:
    """A value of a value of a value … in place of what follows."""
    depth = chance.choice((3, 50, 300, 900, 5000))
    start = chance.randrange(len(body))
    if chance.random() < 0.5:
        return body[:start] + b"\x00" * depth
    return body[:start] + nested_list(depth) + body[start + 1 :]


def nested_list(depth: int) -> bytes:
    """A list of a list of a list …, with true sizes."""
    value = b"\x45"
    for _ in range(depth):
        value = b"\xd0" + struct.pack(">II", len(value) + 4, 1) + value
    return value


def _not_utf8(body: bytes, chance: random.Random) -> bytes:
    places = [where for where, byte in enumerate(body[:-2]) if byte in (0xA1, 0xA3)]
    if not places:
        return body
    where = chance.choice(places) + 2
    return body[:where] + chance.choice((b"\xff", b"\xc0", b"\xed", b"\x00")) + body[where + 1 :]


def _strange_value(chance: random.Random) -> Any:
    return chance.choice(
        (
            None,
            True,
            UByte(255),
            UShort(65535),
            UInt(2**32 - 1),
            ULong(2**64 - 1),
            Int(-(2**31)),
            -(2**63),
            2**63 - 1,
            Timestamp(-(2**63)),
            Timestamp(2**63 - 1),
            float("nan"),
            float("inf"),
            "",
            "x" * 70_000,
            "\0é€😀",
            "9" * 5000,
            Symbol("amqp:unheard-of"),
            b"\xff\x00",
            UUID(int=0),
            [],
            [None] * 40,
            [[], {}, [[]]],
            {},
            {"a": {"b": [1]}},
            Array([1, 2]),
            Described(ULong(0x99), [1]),
            Described("amqp:accepted:list", []),
            Described(Described(1, 2), {}),
            Encoded(b"\x73\x00\x00\xd8\x00"),  # a lone surrogate, which is no character
            Encoded(b"\x73\xff\xff\xff\xff"),
            Encoded(b"\xc1\x04\x02\x45\x40"),  # a map with a list for a key, of the wrong size
            Encoded(b"\xc1\x03\x02\x45\x40"),  # a map with a list for a key
            Encoded(b"\xf0\x00\x00\x00\x05\x00\x0f\xff\xff\x40"),  # an array of a million nulls
            Encoded(b"\x94" + bytes(16)),
            Encoded(nested_list(chance.choice((20, 200, 400)))),
        )
    )


def _mutated(value: Any, chance: random.Random) -> Any:
    """The value with one of the values in it replaced, whichever that is."""
    if chance.random() < 0.25 or not isinstance(value, list | dict | Described) or value in ([], {}):
        return _strange_value(chance)
    if isinstance(value, Described):
        return Described(value.descriptor, _mutated(value.value, chance))
    if isinstance(value, dict):
        key = chance.choice(list(value))
        return {**value, key: _mutated(value[key], chance)}
    index = chance.randrange(len(value))
    copy = list(value)
    copy[index] = _mutated(copy[index], chance)
    return copy


def _retype(body: bytes, chance: random.Random) -> bytes:
    """Well-formed, but with a value of another kind in the performative or in the message that it carries."""
    values: list[Any] = []
    position = 0
    while position < len(body):
        value, position = decode(body, position)
        values.append(value)
    index = chance.randrange(len(values))
    values[index] = _mutated(values[index], chance)
    return b"".join(map(_encode, values))


def _retype_if_whole(body: bytes, chance: random.Random) -> bytes:
    try:
        return _retype(body, chance)
    except Exception:  # noqa: BLE001 - other damage came first
        return _change_body_byte(body, chance)


KINDS: tuple[Damage, ...] = (
    *ANY_PROTOCOL,
    _lie_about_size,
    _lie_about_offset,
    _change_type,
    _change_channel,
    # These reach what is behind the framing, so they come more often.
    *map(_on_body, (_cut_body, _change_body_byte, _lie_in_value, _nest, _not_utf8) * 2),
    *[_on_body(_retype_if_whole)] * 8,
)
