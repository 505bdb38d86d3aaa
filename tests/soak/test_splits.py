"""Conversations that arrive in pieces or end anywhere: every byte is tried, so this is without a network."""

import asyncio
import gc
import tomllib
from typing import Any
from uuid import UUID

import pytest

from localcloud.broker.amqp_types import Described, Timestamp
from localcloud.broker.config import parse
from localcloud.broker.connection import Connection
from localcloud.broker.link import Link
from localcloud.broker.namespace import Namespace
from localcloud.broker.session import Session
from localcloud.journal import MemoryJournal
from tests.soak import amqp_talk
from tests.soak.amqp_frames import parse_answers
from tests.soak.transport import Talk

TALKS = amqp_talk.conversations()
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


@pytest.mark.parametrize("name", TALKS)
async def test_a_conversation_in_two_pieces_is_the_same_conversation(name: str) -> None:
    """At every point at which it can be split."""
    stream = b"".join(TALKS[name])
    whole = await answer(stream)
    assert len(whole) > 10
    for point in range(1, len(stream)):
        assert await answer(stream[:point], stream[point:]) == whole, f"split at {point}"


@pytest.mark.parametrize("name", TALKS)
async def test_a_conversation_that_is_cut_leaves_nothing_behind(name: str) -> None:
    """At every byte: neither a connection nor a session nor a link."""
    stream = b"".join(TALKS[name])
    namespace = Namespace(_CONFIG, asyncio.get_running_loop(), MemoryJournal())
    before = living()
    for point in range(len(stream) + 1):
        talk = Talk(namespace)
        talk.hear(stream[:point])
        talk.cut()
        assert not talk.connections
        del talk
    await asyncio.sleep(0)  # for what is to be sent at the end of a turn of the loop
    assert living() == before
    namespace.close()


def living() -> int:
    gc.collect()
    return sum(isinstance(one, Connection | Session | Link) for one in gc.get_objects())
