"""Sessions without a network: what depends on the moment at which a consumer comes."""

import asyncio
from dataclasses import replace

from localcloud.broker.declarations.config import QueueSettings
from localcloud.broker.errors import AmqpError
from localcloud.broker.message import DATA, Message, parse_message
from localcloud.broker.message_sessions import MessageSession, SessionQueue
from localcloud.broker.records import Records
from localcloud.broker.wire.encoder import described, encode
from localcloud.journal import MemoryJournal


class Taker:
    """A consumer with credit that remembers the bodies it gets."""

    settled = False

    def __init__(self, credit: int) -> None:
        self.credit = credit
        self.bodies: list[bytes] = []

    @property
    def ready(self) -> bool:
        return self.credit > 0

    def deliver(self, payload: bytes, tag: bytes) -> None:
        del tag
        self.credit -= 1
        self.bodies.append(payload[-1:])

    def detach(self, error: AmqpError) -> None:
        raise AssertionError(error)

    def take(self, session: MessageSession) -> None:
        session.on_credit(self)


def queue() -> SessionQueue:
    settings = QueueSettings(requires_session=True)
    return SessionQueue("q", settings, asyncio.get_running_loop(), Records(MemoryJournal()))


def message(body: bytes, session_id: str, time_to_live_ms: int | None = None) -> Message:
    content = parse_message(described(DATA, encode(body)))
    return replace(content, session_id=session_id, time_to_live_ms=time_to_live_ms)


async def test_who_waited_with_credit_gets_a_freed_session_in_order() -> None:
    """All that the one before had not settled comes first, then the rest."""
    sessions = queue()
    sessions.put([message(body, "s") for body in (b"1", b"2", b"3", b"4", b"5")])
    first, second = Taker(3), Taker(5)
    held = sessions.accept(first, "s")
    held.on_credit(first)
    assert first.bodies == [b"1", b"2", b"3"]
    sessions.accept_next(second, second.take)
    held.drop(first)
    assert second.bodies == [b"1", b"2", b"3", b"4", b"5"]
    sessions.close()


async def test_sessions_whose_messages_expired_are_forgotten() -> None:
    """Every device, order or user that ever had a message would stay otherwise."""
    sessions = queue()
    sessions.put([message(b"x", str(number), time_to_live_ms=1) for number in range(100)])
    for _ in range(1000):
        if sessions.size_bytes == 0:
            break
        await asyncio.sleep(0.01)
    assert not sessions._sessions, "which nothing else shows"
    sessions.close()
