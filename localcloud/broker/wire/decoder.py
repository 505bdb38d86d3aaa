"""Bytes to AMQP 1.0 values (OASIS AMQP 1.0, part 1), and ways to step over values without decoding them.

Every function takes the whole buffer and a position, and returns the position behind what it has read. Integers of all
widths become `int`; decimals, for which nobody here has a use, stay `Encoded`.
"""

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from localcloud.broker.wire.amqp_types import Array, Described, Encoded, Malformed, Symbol, Timestamp

Decoder = Callable[[bytes, int], tuple[Any, int]]

DESCRIBED = 0x00
EMPTY_LIST = 0x45
SMALL_LIST, SMALL_MAP, LIST, MAP = 0xC0, 0xC1, 0xD0, 0xD1

_uint32 = struct.Struct(">I").unpack_from
# What goes wrong in Python when bytes are cut off, nested without end or of the wrong kind.
_FAULTS = (IndexError, ValueError, TypeError, OverflowError, RecursionError, struct.error)


def decode(buffer: bytes, position: int = 0) -> tuple[Any, int]:
    """The value at `position` and the position behind it. Raises Malformed."""
    try:
        value, end = _value(buffer, position)
    except _FAULTS as error:
        raise Malformed(f"not an AMQP value: {error}") from error
    if end > len(buffer):
        raise Malformed("an AMQP value is cut off")
    return value, end


def skip(buffer: bytes, position: int = 0) -> int:
    """The position behind the value at `position`. Raises Malformed."""
    try:
        end = _end(buffer, position)
    except _FAULTS as error:
        raise Malformed(f"not an AMQP value: {error}") from error
    if end > len(buffer):
        raise Malformed("an AMQP value is cut off")
    return end


def content(buffer: bytes, position: int) -> tuple[int, int, int]:
    """Of the list or map at `position`: its number of items, where they start and where they end."""
    try:
        code = buffer[position]
        if code == EMPTY_LIST:
            return 0, position + 1, position + 1
        if code in (SMALL_LIST, SMALL_MAP):
            return buffer[position + 2], position + 3, position + 2 + buffer[position + 1]
        if code in (LIST, MAP):
            size, count = struct.unpack_from(">II", buffer, position + 1)
            return count, position + 9, position + 5 + size
    except _FAULTS as error:
        raise Malformed("a list or map is cut off") from error
    raise Malformed(f"expected a list or map, found constructor 0x{code:02x}")


def items(buffer: bytes, position: int) -> list[bytes]:
    """The encoded items of the list or map at `position`, keys and values in turn. Raises Malformed."""
    count, start, end = content(buffer, position)
    found: list[bytes] = []
    for _ in range(count):
        behind = skip(buffer, start)
        found.append(buffer[start:behind])
        start = behind
    if start != end:
        raise Malformed("a list or map has another size than it says")
    return found


def _value(buffer: bytes, position: int) -> tuple[Any, int]:
    return _DECODERS[buffer[position]](buffer, position + 1)


def _unknown(code: int) -> Decoder:
    def fail(_buffer: bytes, _position: int) -> tuple[Any, int]:
        raise ValueError(f"unknown constructor 0x{code:02x}")

    return fail


def _constant(value: object) -> Decoder:
    return lambda _buffer, position: (value, position)


def _fixed(form: str, convert: Callable[[Any], Any] | None = None) -> Decoder:
    unpack = struct.Struct(form).unpack_from
    width = struct.calcsize(form)
    if convert is None:
        return lambda buffer, position: (unpack(buffer, position)[0], position + width)
    return lambda buffer, position: (convert(unpack(buffer, position)[0]), position + width)


def _opaque(code: int, width: int) -> Decoder:
    head = bytes((code,))
    return lambda buffer, position: (
        Encoded(head + buffer[position : position + width]),
        position + width,
    )


def _unsigned_byte(buffer: bytes, position: int) -> tuple[int, int]:
    return buffer[position], position + 1


def _uuid(buffer: bytes, position: int) -> tuple[UUID, int]:
    return UUID(bytes=buffer[position : position + 16]), position + 16


def _boolean(value: int) -> bool:
    if value > 1:
        raise ValueError("a boolean is 0 or 1")
    return value == 1


def _character(code_point: int) -> str:
    if 0xD800 <= code_point < 0xE000:
        raise ValueError("a surrogate is no character")
    return chr(code_point)


def _symbol(data: bytes) -> Symbol:
    return Symbol(data.decode("ascii"))


def _short(convert: Callable[[bytes], Any]) -> Decoder:
    def read(buffer: bytes, position: int) -> tuple[Any, int]:
        end = position + 1 + buffer[position]
        return convert(buffer[position + 1 : end]), end

    return read


def _long(convert: Callable[[bytes], Any]) -> Decoder:
    def read(buffer: bytes, position: int) -> tuple[Any, int]:
        end = position + 4 + _uint32(buffer, position)[0]
        return convert(buffer[position + 4 : end]), end

    return read


def _list_items(buffer: bytes, start: int, count: int, end: int) -> list[Any]:
    values = []
    for _ in range(count):
        value, start = _DECODERS[buffer[start]](buffer, start + 1)
        values.append(value)
    if start != end:
        raise ValueError("a list or map has another size than it says")
    return values


def _small_list(buffer: bytes, position: int) -> tuple[list[Any], int]:
    end = position + 1 + buffer[position]
    return _list_items(buffer, position + 2, buffer[position + 1], end), end


def _large_list(buffer: bytes, position: int) -> tuple[list[Any], int]:
    end = position + 4 + _uint32(buffer, position)[0]
    return _list_items(buffer, position + 8, _uint32(buffer, position + 4)[0], end), end


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(values[::2], values[1::2], strict=True))


def _small_map(buffer: bytes, position: int) -> tuple[dict[Any, Any], int]:
    values, end = _small_list(buffer, position)
    return _pairs(values), end


def _large_map(buffer: bytes, position: int) -> tuple[dict[Any, Any], int]:
    values, end = _large_list(buffer, position)
    return _pairs(values), end


def _array_items(buffer: bytes, start: int, count: int, end: int) -> Array:
    # Items may take no bytes at all (null, true): without a bound ten bytes could ask for any amount of memory.
    if count > min(end, len(buffer)) - start:
        raise ValueError("an array claims more items than bytes")
    if not count:
        return Array()
    descriptor = None
    code = buffer[start]
    start += 1
    described = code == DESCRIBED
    if described:
        descriptor, start = _value(buffer, start)
        code = buffer[start]
        start += 1
    read = _DECODERS[code]
    values = Array()
    for _ in range(count):
        value, start = read(buffer, start)
        values.append(Described(descriptor, value) if described else value)
    if start != end:
        raise ValueError("an array has another size than it says")
    return values


def _small_array(buffer: bytes, position: int) -> tuple[Array, int]:
    end = position + 1 + buffer[position]
    return _array_items(buffer, position + 2, buffer[position + 1], end), end


def _large_array(buffer: bytes, position: int) -> tuple[Array, int]:
    end = position + 4 + _uint32(buffer, position)[0]
    return _array_items(buffer, position + 8, _uint32(buffer, position + 4)[0], end), end


def _described(buffer: bytes, position: int) -> tuple[Described, int]:
    descriptor, position = _value(buffer, position)
    value, position = _value(buffer, position)
    return Described(descriptor, value), position


_DECODERS: list[Decoder] = [_unknown(code) for code in range(256)]
for _code, _decoder in {
    DESCRIBED: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(0),
    0x44: _constant(0),
    EMPTY_LIST: lambda _buffer, position: ([], position),
    0x50: _unsigned_byte,
    0x51: _fixed(">b"),
    0x52: _unsigned_byte,
    0x53: _unsigned_byte,
    0x54: _fixed(">b"),
    0x55: _fixed(">b"),
    0x56: _fixed(">B", _boolean),
    0x60: _fixed(">H"),
    0x61: _fixed(">h"),
    0x70: _fixed(">I"),
    0x71: _fixed(">i"),
    0x72: _fixed(">f"),
    0x73: _fixed(">I", _character),
    0x74: _opaque(0x74, 4),
    0x80: _fixed(">Q"),
    0x81: _fixed(">q"),
    0x82: _fixed(">d"),
    0x83: _fixed(">q", Timestamp),
    0x84: _opaque(0x84, 8),
    0x94: _opaque(0x94, 16),
    0x98: _uuid,
    0xA0: _short(bytes),
    0xA1: _short(bytes.decode),
    0xA3: _short(_symbol),
    0xB0: _long(bytes),
    0xB1: _long(bytes.decode),
    0xB3: _long(_symbol),
    SMALL_LIST: _small_list,
    SMALL_MAP: _small_map,
    LIST: _large_list,
    MAP: _large_map,
    0xE0: _small_array,
    0xF0: _large_array,
}.items():
    _DECODERS[_code] = _decoder

# The upper half of a constructor tells the width of what follows (part 1, section 1.2.2).
_FIXED_WIDTH = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_ONE_BYTE_SIZE = frozenset((0xA, 0xC, 0xE))
_FOUR_BYTE_SIZE = frozenset((0xB, 0xD, 0xF))


def _end(buffer: bytes, position: int) -> int:
    code = buffer[position]
    if code == DESCRIBED:
        return _end(buffer, _end(buffer, position + 1))
    kind = code >> 4
    if kind in _FIXED_WIDTH:
        return position + 1 + _FIXED_WIDTH[kind]
    if kind in _ONE_BYTE_SIZE:
        return position + 2 + buffer[position + 1]
    if kind in _FOUR_BYTE_SIZE:
        return position + 5 + int(_uint32(buffer, position + 1)[0])
    raise ValueError(f"unknown constructor 0x{code:02x}")
