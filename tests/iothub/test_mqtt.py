"""The MQTT codec alone: what is encoded decodes to the same, and nothing else gets through."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50)
topics = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=50)
packet_ids = st.integers(1, 0xFFFF)
payloads = st.binary(max_size=300)
wills = st.builds(Will, topics, payloads, st.integers(0, 2), st.booleans())


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    username = draw(st.none() | texts)
    password = None if username is None else draw(st.none() | payloads)
    keep_alive_s = draw(st.integers(0, 0xFFFF))
    return Connect(draw(texts), username, password, keep_alive_s, draw(st.booleans()), draw(st.none() | wills))


@st.composite
def publishes(draw: st.DrawFn) -> Publish:
    qos = draw(st.integers(0, 2))
    packet_id, duplicate = (draw(packet_ids), draw(st.booleans())) if qos else (0, False)
    return Publish(draw(topics), draw(payloads), qos, packet_id, draw(st.booleans()), duplicate)


packets: st.SearchStrategy[Packet] = st.one_of(
    connects(),
    publishes(),
    st.builds(Connack, st.integers(0, 5), st.booleans()),
    st.builds(Puback, packet_ids),
    st.builds(Subscribe, packet_ids, st.lists(st.tuples(names, st.integers(0, 2)), min_size=1).map(tuple)),
    st.builds(Suback, packet_ids, st.binary(min_size=1, max_size=5)),
    st.builds(Unsubscribe, packet_ids, st.lists(names, min_size=1).map(tuple)),
    st.builds(Unsuback, packet_ids),
    st.sampled_from([Pingreq(), Pingresp(), Disconnect()]),
)


def read(data: bytes, max_length: int = 300_000_000) -> list[Packet]:
    reader = FrameReader(max_length)
    reader.feed(data)
    return [decode(*frame) for frame in reader.frames()]


@given(packets)
def test_a_packet_survives_the_wire(packet: Packet) -> None:
    [read_back] = read(encode(packet))
    assert read_back == packet
    assert type(read_back) is type(packet)


@given(st.lists(packets, min_size=1, max_size=5), st.data())
def test_packets_survive_being_cut_anywhere_and_glued_together(sent: list[Packet], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    reader = FrameReader()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:end])
        received += [decode(*frame) for frame in reader.frames()]
    assert received == sent


@settings(max_examples=400)
@given(packets, st.data())
def test_a_mutated_packet_is_read_or_refused_but_never_breaks_the_reader(packet: Packet, data: st.DataObject) -> None:
    stream = bytearray(encode(packet))
    for position, value in data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)):
        stream[position % len(stream)] = value
    with suppress(MalformedPacketError, UnsupportedProtocolError):
        read(bytes(stream))


@given(st.binary(max_size=200))
def test_what_is_read_from_arbitrary_bytes_can_be_written_again(data: bytes) -> None:
    with suppress(MalformedPacketError, UnsupportedProtocolError):
        for packet in read(data):
            assert read(encode(packet)) == [packet]


@pytest.mark.parametrize(("length", "header"), [(127, 2), (128, 3), (16_383, 3), (16_384, 4), (2_097_152, 5)])
def test_lengths_at_the_edges_of_their_encoding(length: int, header: int) -> None:
    publish = Publish("t", b"x" * (length - 3), 0, 0, retain=False, duplicate=False)
    encoded = encode(publish)
    assert len(encoded) == length + header
    assert read(encoded) == [publish]


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("a length of five bytes", "30ffffffff01"),
        ("a longer packet than allowed", "30ff7f"),
        ("packet type 0", "0000"),
        ("packet type 15", "f000"),
        ("SUBSCRIBE with wrong flags", "80060001000161 00"),
        ("PINGREQ with a body", "c00100"),
        ("QoS 3", "3605000174 0001"),
        ("a duplicate at QoS 0", "38030001 74"),
        ("packet identifier 0", "32050001740000"),
        ("an empty topic", "30020000"),
        ("a wildcard in a topic", "30030001 23"),
        ("a null character", "30030001 00"),
        ("text that is not UTF-8", "3003 0001ff"),
        ("a surrogate", "3005 0003 eda080"),
        ("a topic that is cut off", "30030005 74"),
        ("SUBSCRIBE without a filter", "82020001"),
        ("SUBSCRIBE at QoS 3", "82060001 0001 61 03"),
        ("UNSUBSCRIBE without a filter", "a2020001"),
        ("CONNECT with the reserved flag", "100c 00044d515454 04 01 0000 0000"),
        ("CONNECT with a password but no user name", "100e 00044d515454 04 40 0000 0000 0000"),
        ("CONNECT with the QoS of a will it has not", "100c 00044d515454 04 08 0000 0000"),
        ("CONNECT with more than its fields", "100d 00044d515454 04 02 0000 0000 00"),
    ],
)
def test_what_the_standard_forbids_is_malformed(reason: str, data: str) -> None:
    with pytest.raises(MalformedPacketError):
        read(bytes.fromhex(data), max_length=10_000)


@pytest.mark.parametrize("start", ["00044d515454 05", "00064d514973647003", "00044d515454 03"])
def test_other_protocol_versions_are_told_apart_from_broken_packets(start: str) -> None:
    body = bytes.fromhex(start) + b"whatever else"
    with pytest.raises(UnsupportedProtocolError):
        decode(0x10, body)
