"""From MQTT 3.1.1 packets to bytes."""

from localcloud.iothub.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)


def encode(packet: Packet) -> bytes:  # noqa: C901 - one case a packet
    """The bytes of a packet. Raises `ValueError` for a field that does not fit its place on the wire."""
    match packet:
        case Publish():
            return _encode_publish(packet)
        case Puback(packet_id):
            return _frame(0x40, _number(packet_id))
        case Connect():
            return _encode_connect(packet)
        case Connack(return_code, session_present):
            return _frame(0x20, bytes((session_present, return_code)))
        case Subscribe(packet_id, subscriptions):
            return _frame(0x82, _number(packet_id), *(_text(name) + bytes((qos,)) for name, qos in subscriptions))
        case Suback(packet_id, return_codes):
            return _frame(0x90, _number(packet_id), return_codes)
        case Unsubscribe(packet_id, filters):
            return _frame(0xA2, _number(packet_id), *(_text(name) for name in filters))
        case Unsuback(packet_id):
            return _frame(0xB0, _number(packet_id))
        case Pingreq():
            return _frame(0xC0)
        case Pingresp():
            return _frame(0xD0)
        case Disconnect():
            return _frame(0xE0)


def _encode_publish(publish: Publish) -> bytes:
    flags = publish.duplicate << 3 | publish.qos << 1 | publish.retain
    packet_id = _number(publish.packet_id) if publish.qos else b""
    return _frame(0x30 | flags, _text(publish.topic), packet_id, publish.payload)


def _encode_connect(connect: Connect) -> bytes:
    flags = connect.clean_session << 1
    payload = [_text(connect.client_id)]
    if connect.will is not None:
        flags |= connect.will.retain << 5 | connect.will.qos << 3 | 0x04
        payload += [_text(connect.will.topic), _binary(connect.will.payload)]
    if connect.username is not None:
        flags |= 0x80
        payload.append(_text(connect.username))
    if connect.password is not None:
        flags |= 0x40
        payload.append(_binary(connect.password))
    return _frame(0x10, _text("MQTT"), bytes((4, flags)), _number(connect.keep_alive_s), *payload)


def _frame(first_byte: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    header = bytearray((first_byte,))
    length = len(body)
    while length > 0x7F:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header) + body


def _number(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise ValueError(f"{value} does not fit two bytes")
    return value.to_bytes(2, "big")


def _binary(value: bytes) -> bytes:
    return _number(len(value)) + value


def _text(value: str) -> bytes:
    return _binary(value.encode())
