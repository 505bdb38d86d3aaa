"""The AMQP types: what is encoded comes back, and what is not AMQP is refused as such."""

import random
import string
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.broker.wire.amqp_types import (
    Array,
    Described,
    Encoded,
    Int,
    Malformed,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)
from localcloud.broker.wire.decoder import decode, items, skip
from localcloud.broker.wire.encoder import encode
from localcloud.broker.wire.frames import Frame, FrameReader, ProtocolHeader, frame_header, protocol_header

settings.register_profile("broker", deadline=timedelta(seconds=2), max_examples=60)
settings.load_profile("broker")

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
SYMBOLS = st.text(string.printable, max_size=300).map(Symbol)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    INT64,
    st.floats(allow_nan=False),
    st.text(max_size=300),
    st.binary(max_size=300),
    st.uuids(),
    SYMBOLS,
    INT64.map(Timestamp),
    st.integers(0, 255).map(UByte),
    st.integers(0, (1 << 16) - 1).map(UShort),
    st.integers(0, (1 << 32) - 1).map(UInt),
    st.integers(0, (1 << 64) - 1).map(ULong),
    st.integers(-(1 << 31), (1 << 31) - 1).map(Int),
)
ARRAYS = st.one_of(
    *(
        st.lists(scalars, min_size=1, max_size=20).map(Array)
        for scalars in (
            INT64,
            st.text(max_size=40),
            SYMBOLS,
            st.uuids(),
            st.binary(max_size=40),
            st.booleans(),
            INT64.map(Timestamp),
            st.integers(0, (1 << 32) - 1).map(UInt),
            st.integers(0, (1 << 64) - 1).map(ULong),
        )
    )
)
KEYS = st.one_of(st.text(max_size=20), SYMBOLS)
VALUES = st.recursive(
    st.one_of(SCALARS, ARRAYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(KEYS, inner, max_size=6),
        st.builds(Described, st.integers(0, 255).map(ULong), inner),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_comes_back(value: Any) -> None:
    """The bytes end where the value ends, whether it is decoded or stepped over."""
    encoded = encode(value)
    assert decode(encoded + b"\x40") == (value, len(encoded))
    assert skip(encoded + b"\x40") == len(encoded)


@given(st.lists(SCALARS, max_size=300))
def test_items_of_a_list_are_found_without_decoding(values: list[Any]) -> None:
    assert items(encode(values), 0) == [encode(value) for value in values]


@given(st.binary(max_size=200))
def test_bytes_are_decoded_or_refused(data: bytes) -> None:
    """Never anything else, however they come."""
    for read in (decode, skip):
        try:
            read(data)
        except Malformed:
            continue


@given(VALUES, st.integers(0, 1 << 32), st.integers(0, 255))
def test_damaged_values_are_decoded_or_refused(value: Any, where: int, byte: int) -> None:
    damaged = bytearray(encode(value))
    damaged[where % len(damaged)] = byte
    for data in (bytes(damaged), bytes(damaged[: where % len(damaged)])):
        try:
            decode(data)
        except Malformed:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 5000,  # descriptors of descriptors
        b"\xc0\xff\x01" * 2000,  # lists of lists
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # four billion nulls in ten bytes
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",  # a list of four billion items that are not there
        b"\xc1\x02\x01\x40",  # a key without a value
        b"\xc1\x04\x02\x45\x40",  # a key that is a list
        b"\xa1\x02\xff\xfe",  # not UTF-8
        b"\xa3\x02\xc3\xbc",  # not ASCII
        b"\x56\x02",  # neither true nor false
        b"\x73\xff\xff\xff\xff",  # no character
        b"\xb0\xff\xff\xff\xff\x00",  # longer than what is there
        b"\x3f",  # no type
    ],
)
def test_what_is_no_amqp_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x60\x01\x00", 256),
        (b"\x51\xff", -1),
        (b"\x54\xff", -1),
        (b"\x72\x3f\x80\x00\x00", 1.0),
        (b"\x73\x00\x00\x00\xfc", "ü"),
        (b"\x94" + bytes(16), Encoded(b"\x94" + bytes(16))),
        (b"\x98" + bytes(15) + b"\x01", UUID(int=1)),
        (b"\xe0\x04\x02\x50\x01\x02", [1, 2]),
        (b"\xe0\x07\x02\x00\x53\x07\x50\x01\x02", [Described(7, 1), Described(7, 2)]),
        (b"\x45", []),
        (b"\xc0\x01\x00", []),
    ],
)
def test_encodings_that_only_others_use_are_understood(data: bytes, value: object) -> None:
    """Part 1, section 1.6."""
    assert decode(data) == (value, len(data))


@given(st.lists(st.binary(max_size=400), max_size=8), st.integers(0, 1 << 30))
def test_frames_are_found_however_the_stream_is_cut(bodies: list[bytes], seed: int) -> None:
    """Empty frames are left out."""
    stream = protocol_header(0) + b"".join(frame_header(len(body), 3) + body for body in bodies)
    reader, found, chance = FrameReader(), [], random.Random(seed)
    while stream:
        cut = chance.randint(1, 50)
        found += list(reader.feed(stream[:cut]))
        stream = stream[cut:]
    assert found == [ProtocolHeader(0, b"\x01\x00\x00"), *(Frame(0, 3, body) for body in bodies if body)]
