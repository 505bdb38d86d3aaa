"""What devices say to an IoT hub, and the kinds of damage that only MQTT knows. Pure."""

import json
import random
import struct
from collections.abc import Callable

from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import (
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
)
from tests.soak.damage import ANY_PROTOCOL, Damage, Frames

API_VERSION = "2021-04-12"
HANDSHAKE_FRAMES = 1  # CONNECT: damaged more rarely than the rest
_TWIN_ANSWERS, _DESIRED = "$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#"
_METHODS = "$iothub/methods/POST/#"
_STRANGE_BAGS = ("%24.exp=9999-99-99", "%24.exp=0001-01-01", "=", "%00=%ff", "a=" + "b" * 60_000, "%24.uid=%F0%9F")


def connect(hub: str, device_id: str, token: bytes | None, will: Will | None = None) -> Connect:
    username = f"{hub}/{device_id}/?api-version={API_VERSION}"
    return Connect(device_id, username, token, 60, clean_session=False, will=will)


def publish(topic: str, payload: bytes, packet_id: int = 0) -> Publish:
    """At QoS 1 with a packet id, else at QoS 0."""
    return Publish(topic, payload, min(packet_id, 1), packet_id, retain=False, duplicate=False)


def conversations(hub: str, device_id: str, token: bytes | None = None) -> list[list[bytes]]:
    """Each the packets of one connection. Without a token the device has a certificate."""
    events = f"devices/{device_id}/messages/events"
    position = json.dumps({"speed_kmh": 31.5, "position": [52.5, 13.4]}).encode()
    telemetry: list[Packet] = [
        connect(hub, device_id, token, Will(f"{events}/type=telemetry", b"gone", 1, retain=False)),
        publish(f"{events}/type=telemetry&%24.mid=m1&%24.ct=application%2Fjson", position, 1),
        publish(f"{events}/type=telemetry", position),
        publish(f"{events}/urgent=yes&type=telemetry&%24.exp=2030-01-01T00%3A00%3A00Z", position * 40, 2),
        Pingreq(),
        publish(f"{events}/", b"", 3),
        Puback(1),
        Disconnect(),
    ]
    twin: list[Packet] = [
        connect(hub, device_id, token),
        Subscribe(1, ((_TWIN_ANSWERS, 0), (_DESIRED, 1), (_METHODS, 0))),
        publish("$iothub/twin/GET/?$rid=1", b""),
        publish("$iothub/twin/PATCH/properties/reported/?$rid=2", json.dumps({"a": {"b": [1, None]}}).encode(), 2),
        publish("$iothub/methods/res/200/?$rid=9", b'{"done":true}'),
        Unsubscribe(3, (_METHODS,)),
        Pingreq(),
        publish("$iothub/twin/GET/?$rid=3", b"", 4),
        Disconnect(),
    ]
    return [[encode(packet) for packet in packets] for packets in (telemetry, twin)]


# ---- damage


def _split(packet: bytes) -> tuple[int, bytes] | None:
    """First byte and body, unless the packet is broken already."""
    length, position = 0, 1
    while position < min(len(packet), 5):
        length |= (packet[position] & 0x7F) << 7 * (position - 1)
        position += 1
        if not packet[position - 1] & 0x80:
            return (packet[0], packet[position:]) if len(packet) == position + length else None
    return None


def _joined(first_byte: int, body: bytes, length: int | None = None) -> bytes:
    """With the true length, or with a lie."""
    rest, encoded = len(body) if length is None else length, bytearray()
    while True:
        rest, digit = rest >> 7, rest & 0x7F
        encoded.append(digit | 0x80 if rest else digit)
        if not rest:
            return bytes((first_byte,)) + bytes(encoded) + body


def _lie_about_length(frames: Frames, index: int, chance: random.Random) -> None:
    if (parts := _split(frames[index])) is not None:
        true = len(parts[1])
        lie = chance.choice((0, max(true - 1, 0), true + 1, true * 2, 300_000, 400_000, 268_435_455))
        frames[index] = _joined(*parts, length=lie)


def _endless_length(frames: Frames, index: int, chance: random.Random) -> None:
    frames[index] = frames[index][:1] + b"\xff" * chance.randint(4, 8) + frames[index][1:]


def _change_first_byte(frames: Frames, index: int, chance: random.Random) -> None:
    frames[index] = chance.randbytes(1) + frames[index][1:]


def _on_body(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    def damage(frames: Frames, index: int, chance: random.Random) -> None:
        if (parts := _split(frames[index])) is not None and parts[1]:
            frames[index] = _joined(parts[0], change(parts[1], chance))

    return damage


def _cut_body(body: bytes, chance: random.Random) -> bytes:
    return body[: chance.randrange(len(body))]


def _change_body_byte(body: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(len(body))
    return body[:where] + chance.choice((b"\0", b"\xff", b"\xed", b"#", b"+", chance.randbytes(1))) + body[where + 1 :]


def _lie_about_text(body: bytes, chance: random.Random) -> bytes:
    """Another length of the first field."""
    return struct.pack(">H", chance.choice((0, 1, min(len(body), 65535), 65535))) + body[2:]


def _strange_topic(chance: random.Random) -> str:
    return chance.choice(
        (
            "$iothub/twin/GET/?$rid=" + "é" * 32_000,  # three times as long when it is quoted in the answer
            "$iothub/twin/GET/?$rid=" + "%25" * 20_000,
            "$iothub/twin/GET/",
            "$iothub/twin/GET/?$rid=%ff%00&$rid=2&=&&",
            "$iothub/twin/PATCH/properties/reported/?$rid=😀",
            "$iothub/methods/res/" + "9" * 5000 + "/?$rid=1",
            "$iothub/methods/res/-1/?$rid=1",
            "$iothub/methods/res//",
            "$SYS/broker",
            "devices/another/messages/events/",
            "devices//messages/events/",
            "/" * 60_000,
        )
    )


def _strange_payload(chance: random.Random) -> bytes:
    return chance.choice(
        (
            b"",
            b"null",
            b"[1]",
            b'{"a":NaN}',
            b'{"a":"\\ud800"}',
            b'{"a":1e999}',
            b'{"a":' + b"9" * 5000 + b"}",
            b'{"a":' * 2000 + b"1" + b"}" * 2000,
            b"[" * 100_000,
            b'{"' + b"k" * 5000 + b'":1}',
            b'{"$version":1,"a.b":{"$c":null}}',
            b'{"\\u0000":1}',
            b"\xff\xfe",
            bytes(200_000),
            bytes(262_145),
        )
    )


def _strange_publish(frames: Frames, index: int, chance: random.Random) -> None:
    """One more PUBLISH, of what no device should say or to where no device should say it."""
    packet_id = chance.choice((0, 1, 7, 65_535))
    own = next((frame for frame in frames if b"/messages/events" in frame), b"")
    match chance.randrange(3):
        case 0:
            frames.insert(index, encode(publish(_strange_topic(chance), b"{}", packet_id)))
        case 1:
            topic = "$iothub/twin/PATCH/properties/reported/?$rid=7"
            frames.insert(index, encode(publish(topic, _strange_payload(chance), packet_id)))
        case _ if (parts := _split(own)) is not None and parts[0] >> 4 == 3:
            topic = own[own.index(b"devices/") : own.index(b"/events") + 7].decode()
            bag = chance.choice(_STRANGE_BAGS)
            frames.insert(index, encode(publish(f"{topic}/{bag}", _strange_payload(chance), packet_id)))


def _another_protocol(frames: Frames, index: int, chance: random.Random) -> None:
    start = chance.choice((b"\x00\x04MQTT\x05", b"\x00\x06MQIsdp\x03", b"\x00\x04MQTT\x03", b"\x00\x04mqtt\x04"))
    frames.insert(index, _joined(0x10, start + b"\x02\x00\x3c\x00\x01a"))


KINDS: tuple[Damage, ...] = (
    *ANY_PROTOCOL,
    _lie_about_length,
    _endless_length,
    _change_first_byte,
    _another_protocol,
    # These reach what is behind the codec, so they come more often.
    *map(_on_body, (_cut_body, _change_body_byte, _lie_about_text)),
    *[_strange_publish] * 6,
)
