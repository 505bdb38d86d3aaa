"""Conversations that arrive in pieces or end anywhere, at as many points as there are: without a network."""

import asyncio
import gc
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from localcloud.broker.amqp_types import Described, Timestamp
from localcloud.broker.config import parse
from localcloud.broker.connection import Connection
from localcloud.broker.link import Link
from localcloud.broker.namespace import Namespace
from localcloud.broker.session import Session
from localcloud.journal import MemoryJournal
from tests.soak import amqp_talk
from tests.soak.amqp_frames import parse_answers
from tests.soak.figures import Report
from tests.soak.transport import Talk

_CONFIG = parse(tomllib.loads(amqp_talk.CONFIG))
_NO_PLAIN_NUMBER = 1 << 40  # moments and the numbers of events
_NEAR_BYTES = 9  # of a frame: its header, and one


def points(frames: Iterable[bytes], step: int) -> list[int]:
    """Where to split or cut: everywhere in and beside the headers of frames, and at every `step`th byte between."""
    found, position = set(), 0
    for frame in frames:
        found |= {position + near for near in range(-1, min(_NEAR_BYTES, len(frame)))}
        found |= set(range(position, position + len(frame), step))
        position += len(frame)
    return sorted(point for point in found if 0 < point < position)


def masked(value: Any) -> Any:
    """What a broker says without what it makes up anew each time: tokens, moments and the numbers of events."""
    match value:
        case bytes() | UUID() | Timestamp():
            return type(value).__name__
        case int() if value > _NO_PLAIN_NUMBER:
            return "a large number"
        case Described():
            return masked(value.descriptor), masked(value.value)
        case dict():
            return {key: masked(item) for key, item in value.items()}
        case list():
            return [masked(item) for item in value]
        case _:
            return value


async def answer(*parts: bytes) -> list[Any]:
    """What a new broker says to it."""
    namespace = Namespace(_CONFIG, asyncio.get_running_loop(), MemoryJournal())
    talk = Talk(namespace)
    for part in parts:
        talk.hear(part)
    said = await talk.answers()
    talk.cut()
    namespace.close()
    return [(one.channel, one.code, masked(one.fields), len(one.payload)) for one in parse_answers(said)]


def _living() -> int:
    gc.collect()
    return sum(isinstance(one, Connection | Session | Link) for one in gc.get_objects())


async def split(frames: list[bytes], step: int) -> list[int]:
    """At which of the points a conversation in two pieces is answered in another way than the whole one."""
    stream = b"".join(frames)
    whole = await answer(stream)
    assert len(whole) > len(amqp_talk.HANDSHAKE), "nothing is answered"
    return [point for point in points(frames, step) if await answer(stream[:point], stream[point:]) != whole]


async def cut(frames: list[bytes], step: int) -> int:
    """How many connections, sessions and links live on when the conversation was cut at each of the points."""
    stream = b"".join(frames)
    namespace = Namespace(_CONFIG, asyncio.get_running_loop(), MemoryJournal())
    before = _living()
    for point in points(frames, step):
        talk = Talk(namespace)
        talk.hear(stream[:point])
        talk.cut()
        del talk
    await asyncio.sleep(0)  # for what is to be sent at the end of a turn of the loop
    living = _living() - before
    namespace.close()
    return living


async def run(_: Path, step: int = 1) -> Report:
    """Splits and cuts every conversation at all points."""
    report = Report("AMQP splits and cuts")
    tried = 0
    for name, frames in amqp_talk.conversations().items():
        different = await split(frames, step)
        report.check(not different, f"{name}: another answer when split at {different[:5]}")
        living = await cut(frames, step)
        report.check(not living, f"{name}: {living} connections, sessions and links live on when it is cut")
        tried += len(points(frames, step))
    report.figures = {"points": tried}
    return report
