"""From bytes to MQTT 3.1.1 packets. Bracketed numbers are the normative statements of OASIS MQTT Version 3.1.1."""

from collections.abc import Callable, Iterator
from typing import Final

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

MAX_REMAINING_LENGTH: Final = 268_435_455


class FrameReader:
    """Cuts a byte stream into packets, each as its first byte and its body."""

    def __init__(self, max_length: int = MAX_REMAINING_LENGTH) -> None:
        self._max_length = max_length
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """The whole packets received so far. Raises `MalformedPacketError` for an impossible or excessive length."""
        while (frame := self._take()) is not None:
            yield frame

    def _take(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        length = 0
        for position in range(1, min(5, len(buffer))):
            length |= (buffer[position] & 0x7F) << 7 * (position - 1)
            if not buffer[position] & 0x80:
                break
        else:
            if len(buffer) >= 5:
                raise MalformedPacketError("the remaining length has more than four bytes")
            return None
        if length > self._max_length:
            raise MalformedPacketError(f"a packet of {length} bytes is larger than {self._max_length}")
        start, end = position + 1, position + 1 + length
        if len(buffer) < end:
            return None
        frame = buffer[0], bytes(buffer[start:end])
        del buffer[:end]
        return frame


class _Body:
    """Reads the fields of a packet's body one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        if self._position > len(self._data):
            raise MalformedPacketError("the packet ends within a field")
        return self._data[start : self._position]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        packet_id = self.number()
        if not packet_id:
            raise MalformedPacketError("a packet identifier of 0")  # [MQTT-2.3.1-1]
        return packet_id

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError as error:
            raise MalformedPacketError("a string is not UTF-8") from error  # [MQTT-1.5.3-1]
        if "\0" in text:
            raise MalformedPacketError("a string holds a null character")  # [MQTT-1.5.3-2]
        return text

    def topic(self) -> str:
        topic = self.text()
        if not topic or "+" in topic or "#" in topic:
            raise MalformedPacketError("a topic is empty or has wildcards")  # [MQTT-3.3.2-2]
        return topic

    def more(self) -> bool:
        return self._position < len(self._data)

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._position)

    def end(self) -> None:
        if self.more():
            raise MalformedPacketError("the packet is longer than its fields")


def decode(first_byte: int, body: bytes) -> Packet:
    """The packet of a frame. Raises `MalformedPacketError`, for CONNECT also `UnsupportedProtocolError`."""
    kind, flags = first_byte >> 4, first_byte & 0x0F
    if kind == 3:
        return _decode_publish(flags, _Body(body))
    decoder = _DECODERS.get(first_byte)
    if decoder is None:
        raise MalformedPacketError(f"packet type {kind} with flags {flags}")
    fields = _Body(body)
    packet = decoder(fields)
    fields.end()
    return packet


def _decode_publish(flags: int, body: _Body) -> Publish:
    qos, duplicate = flags >> 1 & 3, bool(flags & 8)
    if qos == 3 or (duplicate and not qos):
        raise MalformedPacketError(f"PUBLISH with flags {flags}")  # [MQTT-3.3.1-2] [MQTT-3.3.1-4]
    topic = body.topic()
    packet_id = body.packet_id() if qos else 0
    return Publish(topic, body.rest(), qos, packet_id, retain=bool(flags & 1), duplicate=duplicate)


def _decode_connect(body: _Body) -> Connect:
    protocol, level = body.text(), body.byte()
    if (protocol, level) != ("MQTT", 4):
        body.rest()
        raise UnsupportedProtocolError(f"{protocol} level {level}")
    flags = body.byte()
    will_qos, will_retain = flags >> 3 & 3, bool(flags & 0x20)
    has_will, has_username, has_password = bool(flags & 4), bool(flags & 0x80), bool(flags & 0x40)
    # [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-14] [MQTT-3.1.2-22]
    stray_will = not has_will and (will_qos or will_retain)
    if flags & 1 or will_qos == 3 or stray_will or (has_password and not has_username):
        raise MalformedPacketError(f"CONNECT with flags {flags}")
    keep_alive_s, client_id = body.number(), body.text()
    will = Will(body.topic(), body.binary(), will_qos, will_retain) if has_will else None
    username = body.text() if has_username else None
    password = body.binary() if has_password else None
    return Connect(client_id, username, password, keep_alive_s, bool(flags & 2), will)


def _decode_connack(body: _Body) -> Connack:
    flags, return_code = body.byte(), body.byte()
    if flags & 0xFE:
        raise MalformedPacketError(f"CONNACK with flags {flags}")
    return Connack(return_code, session_present=bool(flags))


def _decode_subscribe(body: _Body) -> Subscribe:
    packet_id = body.packet_id()
    filters = []
    while body.more():
        topic_filter, qos = body.text(), body.byte()
        if not topic_filter or qos > 2:
            raise MalformedPacketError("a subscription without a filter or with an impossible QoS")  # [MQTT-3.8.3-4]
        filters.append((topic_filter, qos))
    if not filters:
        raise MalformedPacketError("SUBSCRIBE without a filter")  # [MQTT-3.8.3-3]
    return Subscribe(packet_id, tuple(filters))


def _decode_unsubscribe(body: _Body) -> Unsubscribe:
    packet_id = body.packet_id()
    filters = []
    while body.more():
        filters.append(body.text())
    if not all(filters) or not filters:
        raise MalformedPacketError("UNSUBSCRIBE without a filter")  # [MQTT-3.10.3-2]
    return Unsubscribe(packet_id, tuple(filters))


_DECODERS: Final[dict[int, Callable[[_Body], Packet]]] = {
    0x10: _decode_connect,
    0x20: _decode_connack,
    0x40: lambda body: Puback(body.packet_id()),
    0x82: _decode_subscribe,
    0x90: lambda body: Suback(body.packet_id(), body.rest()),
    0xA2: _decode_unsubscribe,
    0xB0: lambda body: Unsuback(body.packet_id()),
    0xC0: lambda _: Pingreq(),
    0xD0: lambda _: Pingresp(),
    0xE0: lambda _: Disconnect(),
}
