"""AMQP conversations that arrive in pieces or end anywhere, at as many points as there are: without a network."""

import asyncio
import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

from localcloud.broker.connection import Connection
from localcloud.broker.declarations.config import parse
from localcloud.broker.link import Link
from localcloud.broker.namespace import Namespace
from localcloud.broker.session import Session
from localcloud.broker.wire.amqp_types import Described, Timestamp
from localcloud.journal import MemoryJournal
from tests.soak import amqp_talk
from tests.soak.amqp_frames import parse_answers
from tests.soak.amqp_transport import Talk
from tests.soak.damage import split_points
from tests.soak.figures import Report, living

_CONFIG = parse(tomllib.loads(amqp_talk.CONFIG))
_NO_PLAIN_NUMBER = 1 << 40  # moments and the numbers of events


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


async def split(frames: list[bytes], step: int) -> list[int]:
    """At which of the points a conversation in two pieces is answered in another way than the whole one."""
    stream = b"".join(frames)
    whole = await answer(stream)
    assert len(whole) > len(amqp_talk.HANDSHAKE), "nothing is answered"
    return [point for point in split_points(frames, step) if await answer(stream[:point], stream[point:]) != whole]


async def cut(frames: list[bytes], step: int) -> int:
    """How many connections, sessions and links live on when the conversation was cut at each of the points."""
    stream = b"".join(frames)
    namespace = Namespace(_CONFIG, asyncio.get_running_loop(), MemoryJournal())
    before = living(Connection, Session, Link)
    for point in split_points(frames, step):
        talk = Talk(namespace)
        talk.hear(stream[:point])
        talk.cut()
        del talk
    await asyncio.sleep(0)  # for what is to be sent at the end of a turn of the loop
    namespace.close()
    return living(Connection, Session, Link) - before


async def run(_: Path, step: int = 1) -> Report:
    """Splits and cuts every conversation at all points."""
    report = Report("AMQP splits and cuts")
    tried = 0
    for name, frames in amqp_talk.conversations().items():
        different = await split(frames, step)
        report.check(not different, f"{name}: another answer when split at {different[:5]}")
        left = await cut(frames, step)
        report.check(not left, f"{name}: {left} connections, sessions and links live on when it is cut")
        tried += len(split_points(frames, step))
    report.figures = {"points": tried}
    return report
