"""AMQP 1.0 values to bytes (OASIS AMQP 1.0, part 1)."""

import struct
from collections.abc import Callable, Iterable
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

NULL = b"\x40"

_uint8 = struct.Struct(">B").pack
_uint16 = struct.Struct(">H").pack
_uint32 = struct.Struct(">I").pack
_uint64 = struct.Struct(">Q").pack
_int32 = struct.Struct(">i").pack
_int64 = struct.Struct(">q").pack
_float64 = struct.Struct(">d").pack


def encode(value: Any) -> bytes:
    """The value with its constructor. Raises TypeError for a type that AMQP does not have."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"AMQP has no type for {type(value).__name__}")
    return encoder(value)


def encode_list(encoded: Iterable[bytes]) -> bytes:
    """A list of items that are encoded already."""
    parts = tuple(encoded)
    return compound(0xC0, 0xD0, b"".join(parts), len(parts)) if parts else b"\x45"


def encode_map(items: bytes, count: int) -> bytes:
    """A map of encoded keys and values in turn, `count` of both together."""
    return compound(0xC1, 0xD1, items, count)


def described(code: int, value: bytes) -> bytes:
    """An encoded value below one of the descriptors of the specification, which are all below 256."""
    return b"\x00\x53" + _uint8(code) + value


def compound(small: int, large: int, data: bytes, count: int) -> bytes:
    if len(data) < 255 and count < 256:
        return bytes((small, len(data) + 1, count)) + data
    return _uint8(large) + _uint32(len(data) + 4) + _uint32(count) + data


def _variable(small: int, large: int, data: bytes) -> bytes:
    if len(data) < 256:
        return bytes((small, len(data))) + data
    return _uint8(large) + _uint32(len(data)) + data


def _uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return b"\x52" + _uint8(value) if value < 256 else b"\x70" + _uint32(value)


def _ulong(value: int) -> bytes:
    if value == 0:
        return b"\x44"
    return b"\x53" + _uint8(value) if value < 256 else b"\x80" + _uint64(value)


def _integer(value: int) -> bytes:
    # What does not fit came as a ulong, the only type that holds more.
    return b"\x81" + _int64(value) if value < 1 << 63 else b"\x80" + _uint64(value)


def _array(values: Array) -> bytes:
    if not values:
        return b"\x45"  # an empty list: the SDKs' decoder loses its place in an empty array
    encoded = [_wide(value) for value in values]
    constructor = encoded[0][:1]
    if any(part[:1] != constructor for part in encoded):
        raise TypeError("an array holds values of one type")
    return compound_array(constructor, b"".join(part[1:] for part in encoded), len(values))


def compound_array(constructor: bytes, data: bytes, count: int) -> bytes:
    return b"\xf0" + _uint32(len(data) + 5) + _uint32(count) + constructor + data


def _wide(value: Any) -> bytes:
    """The encoding that fits every value of the type, as the items of an array share one constructor."""
    encoder = _WIDE_ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"no arrays of {type(value).__name__}")
    return encoder(value)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: NULL,
    bool: lambda value: b"\x41" if value else b"\x42",
    int: _integer,
    float: lambda value: b"\x82" + _float64(value),
    str: lambda value: _variable(0xA1, 0xB1, value.encode()),
    bytes: lambda value: _variable(0xA0, 0xB0, value),
    UUID: lambda value: b"\x98" + value.bytes,
    Symbol: lambda value: _variable(0xA3, 0xB3, value.encode("ascii")),
    Timestamp: lambda value: b"\x83" + _int64(value),
    UByte: lambda value: b"\x50" + _uint8(value),
    UShort: lambda value: b"\x60" + _uint16(value),
    UInt: _uint,
    ULong: _ulong,
    Int: lambda value: b"\x71" + _int32(value),
    Encoded: bytes,
    Array: _array,
    list: lambda value: encode_list(map(encode, value)),
    dict: lambda value: encode_map(b"".join(encode(part) for pair in value.items() for part in pair), 2 * len(value)),
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
}
_WIDE_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"\x56\x01" if value else b"\x56\x00",
    int: _ENCODERS[int],
    float: _ENCODERS[float],
    UUID: _ENCODERS[UUID],
    Timestamp: _ENCODERS[Timestamp],
    Int: _ENCODERS[Int],
    UInt: lambda value: b"\x70" + _uint32(value),
    ULong: lambda value: b"\x80" + _uint64(value),
    str: lambda value: b"\xb1" + _uint32(len(value.encode())) + value.encode(),
    Symbol: lambda value: b"\xb3" + _uint32(len(value)) + value.encode("ascii"),
    bytes: lambda value: b"\xb0" + _uint32(len(value)) + value,
}
