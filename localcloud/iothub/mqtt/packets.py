"""The packets of MQTT 3.1.1, as many as an IoT hub speaks: all but those of QoS 2."""

from typing import NamedTuple


class MalformedPacketError(Exception):
    """The bytes are no MQTT 3.1.1: the connection must be closed [MQTT-4.8.0-1]."""


class UnsupportedProtocolError(Exception):
    """A CONNECT of another protocol version, to be answered with return code 1 [MQTT-3.1.2-2]."""


class Will(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    client_id: str
    username: str | None
    password: bytes | None
    keep_alive_s: int
    clean_session: bool
    will: Will | None


class Connack(NamedTuple):
    return_code: int
    session_present: bool


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    packet_id: int  # 0 at QoS 0, which has none
    retain: bool
    duplicate: bool


class Puback(NamedTuple):
    packet_id: int


class Subscribe(NamedTuple):
    packet_id: int
    filters: tuple[tuple[str, int], ...]  # with the highest QoS that the client wants


class Suback(NamedTuple):
    packet_id: int
    return_codes: bytes


class Unsubscribe(NamedTuple):
    packet_id: int
    filters: tuple[str, ...]


class Unsuback(NamedTuple):
    packet_id: int


class Pingreq(NamedTuple):
    pass


class Pingresp(NamedTuple):
    pass


class Disconnect(NamedTuple):
    pass


Packet = (
    Connect | Connack | Publish | Puback | Subscribe | Suback | Unsubscribe | Unsuback | Pingreq | Pingresp | Disconnect
)
