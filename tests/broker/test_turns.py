"""Whose turn it is, where the documentation leaves that open."""

import asyncio
from dataclasses import replace

from localcloud.broker.declarations.config import QueueSettings
from localcloud.broker.message import DATA, Message, parse_message
from localcloud.broker.message_sessions import MessageSession, SessionQueue
from localcloud.broker.records import Records
from localcloud.broker.wire.encoder import described, encode
from localcloud.journal import MemoryJournal
from tests.broker.taker import Taker


def message(session_id: str) -> Message:
    return replace(parse_message(described(DATA, encode(b"x"))), session_id=session_id)


async def test_a_session_that_is_never_empty_does_not_keep_others_waiting() -> None:
    """One that was given away comes last when the next is asked for."""
    settings = QueueSettings(requires_session=True)
    queue = SessionQueue("q", settings, asyncio.get_running_loop(), Records(MemoryJournal()))
    queue.put([message("busy"), message("quiet")])
    given: list[MessageSession] = []
    for _ in range(3):
        queue.accept_next(Taker(settled=False), given.append)
        queue.put([message("busy")])
        queue.release(given[-1])
    assert [session.id for session in given] == ["busy", "quiet", "busy"]
    queue.close()
