"""MQTT conversations that arrive in pieces or end anywhere, at as many points as there are: without a network."""

import asyncio
import time
from pathlib import Path
from urllib.parse import quote

from localcloud.iothub.configuration import Configuration
from localcloud.iothub.connection import Connection
from localcloud.iothub.endpoint import Backlog
from localcloud.iothub.hub import Hub
from localcloud.iothub.routing import Routing
from localcloud.iothub.sas import sign
from localcloud.iothub.session import Session
from localcloud.iothub.tls import Peer
from localcloud.journal import MemoryJournal
from tests.soak import mqtt_talk
from tests.soak.damage import split_points
from tests.soak.figures import Report, living

HUB, DEVICE, KEY = "hub", "device", "c2VjcmV0c2VjcmV0c2VjcmV0"
_NO_ROUTES = Configuration(Routing((), None, {}), None)  # what devices send is accepted and dropped


class RecordingStream:
    """A device's connection from behind TLS: keeps what is written to it."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.written = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        if not self.ended:
            self.written += data

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        raise AssertionError("nobody is held here")

    def resume_reading(self) -> None:
        raise AssertionError("nobody is held here")


def _hub() -> Hub:
    hub = Hub(HUB, _NO_ROUTES, {}, Backlog(1 << 20), MemoryJournal())
    keys = {"primaryKey": KEY, "secondaryKey": KEY}
    hub.registry.put(DEVICE, {"authentication": {"type": "sas", "symmetricKey": keys}}, None)
    return hub


def conversations() -> list[list[bytes]]:
    resource, expiry = quote(f"{HUB}/devices/{DEVICE}", safe=""), int(time.time()) + 3600
    signature = quote(sign(f"{resource}\n{expiry}", KEY), safe="")
    token = f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}".encode()
    return mqtt_talk.conversations(HUB, DEVICE, token)


async def answer(*parts: bytes) -> bytes:
    """What a new hub says to it."""
    stream = RecordingStream()
    connection = _hub().connection(stream)
    for part in parts:
        if not stream.ended:
            connection.data_received(part)
    for _ in range(2):  # acknowledgements leave at the end of a turn of the loop
        await asyncio.sleep(0)
    connection.closed()
    return stream.written


async def split(frames: list[bytes], step: int) -> list[int]:
    """At which of the points a conversation in two pieces is answered in another way than the whole one."""
    stream = b"".join(frames)
    whole = await answer(stream)
    assert len(whole) > len(mqtt_talk.conversations(HUB, DEVICE)), "nothing is answered"
    return [point for point in split_points(frames, step) if await answer(stream[:point], stream[point:]) != whole]


async def cut(frames: list[bytes], step: int) -> int:
    """How many connections and sessions live on when the conversation was cut at each of the points."""
    stream = b"".join(frames)
    hub = _hub()
    before = living(Connection, Session)
    for point in split_points(frames, step):
        connection = hub.connection(RecordingStream())
        connection.data_received(stream[:point])
        connection.closed()
        del connection
    await asyncio.sleep(0)
    return living(Connection, Session) - before + hub.connected_count


async def run(_: Path, step: int = 1) -> Report:
    """Splits and cuts every conversation at all points."""
    report = Report("MQTT splits and cuts")
    tried = 0
    for number, frames in enumerate(conversations()):
        different = await split(frames, step)
        report.check(not different, f"conversation {number}: another answer when split at {different[:5]}")
        left = await cut(frames, step)
        report.check(not left, f"conversation {number}: {left} connections and sessions live on when it is cut")
        tried += len(split_points(frames, step))
    report.figures = {"points": tried}
    return report
