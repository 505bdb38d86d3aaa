"""Locks: messages in the hands of consumers, found by the token that the consumer settles with."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.broker.errors import MESSAGE_LOCK_LOST, AmqpError
from localcloud.broker.stored import StoredMessage


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Lock:
    """One message for one consumer until a moment, or as long as the consumer has the message's session."""

    message: StoredMessage
    until_ms: int
    timer: asyncio.TimerHandle | None
    session_id: str | None


class Locks:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, duration_s: float, on_expiry: Callable[[StoredMessage], None]
    ) -> None:
        """`on_expiry` gets a message whose lock nobody has settled or renewed in time."""
        self._loop = loop
        self._duration_s = duration_s
        self._on_expiry = on_expiry
        self._locks: dict[bytes, Lock] = {}
        self._by_session: defaultdict[str, dict[bytes, Lock]] = defaultdict(dict)

    def add(self, message: StoredMessage) -> tuple[bytes, Lock]:
        """Locks a message; returns the new lock and its token."""
        token = os.urandom(16)
        lock = self._locks[token] = Lock(message, 0, None, None)
        self._start(token, lock)
        return token, lock

    def add_to_session(self, message: StoredMessage, session_id: str, until_ms: int) -> tuple[bytes, Lock]:
        """Locks a message for as long as its session is locked."""
        token = os.urandom(16)
        lock = self._locks[token] = self._by_session[session_id][token] = Lock(message, until_ms, None, session_id)
        return token, lock

    def pop(self, token: bytes) -> StoredMessage | None:
        """Ends a lock and returns its message; None if the lock is gone already."""
        lock = self._locks.pop(token, None)
        if lock is None:
            return None
        if lock.timer is not None:
            lock.timer.cancel()
        if lock.session_id is not None:
            self._forget(token, lock.session_id)
        return lock.message

    def renew(self, token: bytes) -> int:
        """Until when the message is locked now, in milliseconds since 1970. Raises AmqpError."""
        lock = self._locks.get(token)
        if lock is None:
            raise AmqpError(MESSAGE_LOCK_LOST, "The lock supplied is invalid or has expired.")
        if lock.timer is not None:
            lock.timer.cancel()
            self._start(token, lock)
        return lock.until_ms

    def pop_session(self, session_id: str) -> list[StoredMessage]:
        """Ends all locks of a session and returns their messages, in the order of delivery."""
        return [self._locks.pop(token).message for token in self._by_session.pop(session_id, ())]

    def extend_session(self, session_id: str, until_ms: int) -> None:
        for lock in self._by_session.get(session_id, {}).values():
            lock.until_ms = until_ms

    def close(self) -> None:
        """Stops all timers."""
        for lock in self._locks.values():
            if lock.timer is not None:
                lock.timer.cancel()

    def _forget(self, token: bytes, session_id: str) -> None:
        locks = self._by_session[session_id]
        del locks[token]
        if not locks:
            del self._by_session[session_id]

    def _start(self, token: bytes, lock: Lock) -> None:
        lock.until_ms = now_ms() + round(self._duration_s * 1000)
        lock.timer = self._loop.call_later(self._duration_s, self._expire, token)

    def _expire(self, token: bytes) -> None:
        self._on_expiry(self._locks.pop(token).message)
