"""An MQTT server for tests that does what it is told."""

import asyncio
from collections.abc import Sequence
from typing import Any

from localcloud.iothub.mqtt.decoding import FrameReader, decode
from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import (
    Connack,
    Connect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
)


class Script:
    """A server that takes one connection at a time and notes everything."""

    def __init__(self) -> None:
        self.return_codes: list[int] = []  # of the next CONNECTs; afterwards 0
        self.suback = b"\x01"
        self.acknowledges = True
        self.pongs = True
        self.heard: list[Packet] = []
        self.connections = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        frames = FrameReader()
        try:
            while data := await reader.read(65536):
                frames.feed(data)
                for first_byte, body in frames.frames():
                    packet = decode(first_byte, body)
                    self.heard.append(packet)
                    for answer in self._answers(packet):
                        writer.write(encode(answer))
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    def _answers(self, packet: Packet) -> Sequence[Packet]:
        match packet:
            case Connect():
                code = self.return_codes.pop(0) if self.return_codes else 0
                return [Connack(code, session_present=False)]
            case Subscribe():
                return [Suback(packet.packet_id, self.suback)]
            case Publish() if packet.qos and self.acknowledges:
                return [Puback(packet.packet_id)]
            case Pingreq() if self.pongs:
                return [Pingresp()]
            case _:
                return []

    def send(self, packet: Packet) -> None:
        for writer in self._writers:
            writer.write(encode(packet))

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def of(self, kind: type[Any]) -> list[Any]:
        return [packet for packet in self.heard if isinstance(packet, kind)]
