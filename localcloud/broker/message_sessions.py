"""A queue with sessions: one consumer at a time has all messages of a session, in order."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence

from localcloud.broker.declarations.config import QueueSettings
from localcloud.broker.delivery import Consumer, Outcome, Settlement
from localcloud.broker.errors import NOT_ALLOWED, SESSION_CANNOT_BE_LOCKED, SESSION_LOCK_LOST, AmqpError, full
from localcloud.broker.locks import Lock, now_ms
from localcloud.broker.message import Message
from localcloud.broker.queue import Queue
from localcloud.broker.records import Records
from localcloud.broker.stored import State, StoredMessage

NO_SESSION = {
    "DeadLetterReason": "Session ID is null.",
    "DeadLetterErrorDescription": "Session enabled entity doesn't allow a message whose session identifier is null.",
}

Grant = Callable[["MessageSession"], None]


class MessageSession:
    """The messages with one session id, its state, and the consumer that holds it: that consumer's source."""

    def __init__(self, queue: "SessionQueue", session_id: str) -> None:
        self._queue = queue
        self.id = session_id
        self.state: bytes | None = None
        self.state_updated_ms = 0
        self.available: list[int] = []
        self.owner: Consumer | None = None
        self.locked_until_ms = 0
        self.timer: asyncio.TimerHandle | None = None

    def on_credit(self, consumer: Consumer) -> None:
        if consumer is self.owner:
            self._queue.pump(self)

    def drop(self, consumer: Consumer) -> None:
        if consumer is self.owner:
            self._queue.release(self)

    def settle(self, tag: bytes, settlement: Settlement) -> bool:
        return self._queue.settle(tag, settlement)


class SessionQueue(Queue):
    def __init__(self, name: str, settings: QueueSettings, loop: asyncio.AbstractEventLoop, records: Records) -> None:
        super().__init__(name, settings, loop, records)
        self._sessions: dict[str, MessageSession] = {}
        self._waiters: deque[tuple[Consumer, Grant]] = deque()
        self._state_bytes = 0

    def restore(self) -> None:
        for session_id, state in self.records.session_states():
            self._set_state(self._session(session_id), state)
        super().restore()

    def put(self, messages: Sequence[Message]) -> list[int]:
        if any(message.session_id is None for message in messages):
            raise AmqpError(NOT_ALLOWED, f"The entity {self.name} requires a session id on every message.")
        return super().put(messages)

    def enqueue(self, content: Message, delivery_count: int = 0) -> int:
        """A message without a session can only come from a topic: nobody could ever receive it."""
        if content.session_id is None:
            self.bury(content, NO_SESSION)
            return 0
        return super().enqueue(content, delivery_count)

    @property
    def size_bytes(self) -> int:
        """With the states of the sessions, which count towards the quota ("Message sessions", session state)."""
        return super().size_bytes + self._state_bytes

    # ---- consumers

    def accept(self, consumer: Consumer, session_id: str) -> MessageSession:
        """Gives the consumer the session. Raises AmqpError if another has it."""
        session = self._session(session_id)
        if session.owner is not None:
            raise AmqpError(
                SESSION_CANNOT_BE_LOCKED,
                f"The requested session '{session_id}' cannot be accepted. It may be locked by another receiver.",
            )
        return self._own(session, consumer)

    def accept_next(self, consumer: Consumer, grant: Grant) -> None:
        """Calls `grant` with the next session that has messages and no consumer, now or later."""
        self._waiters.append((consumer, grant))
        while self._waiters and (session := next(filter(self._is_free, self._sessions.values()), None)):
            self._offer(session)

    def stop_waiting(self, consumer: Consumer) -> None:
        self._waiters = deque(waiter for waiter in self._waiters if waiter[0] is not consumer)

    def release(self, session: MessageSession, outcome: Outcome = Outcome.RELEASED) -> None:
        """Frees a session with this outcome of all that its consumer had not settled.

        That does not count as a delivery in vain when the consumer closes ("Message sessions", impact of delivery
        count).
        """
        if session.timer is not None:
            session.timer.cancel()
        session.owner = session.timer = None
        # Nobody gets the session before all of its messages are back, or it would get them out of order.
        waiters, self._waiters = self._waiters, deque()
        for message in self._locks.pop_session(session.id):
            self._apply(message, Settlement(outcome))
        self._waiters = waiters
        # Behind all others, so that a session that is never empty does not keep them from their turn.
        self._sessions[session.id] = self._sessions.pop(session.id)
        self._forget_if_idle(session)
        self._offer(session)

    def pump(self, session: MessageSession) -> None:
        while session.owner is not None and session.owner.ready:
            message = self._next(session.available)
            if message is None:
                return
            self._deliver(session.owner, message)

    def delete(self, count: int, enqueued_before_ms: int, session_id: str | None) -> int:
        deleted = super().delete(count, enqueued_before_ms, session_id)
        for session in list(self._sessions.values()):
            self._forget_if_idle(session)
        return deleted

    # ---- what clients ask about sessions

    def renew_session(self, session_id: str) -> int:
        """Until when the session is locked now, in milliseconds since 1970. Raises AmqpError."""
        session = self._owned(session_id)
        self._limit_session(session)
        self._locks.extend_session(session_id, session.locked_until_ms)
        return session.locked_until_ms

    def session_state(self, session_id: str) -> bytes | None:
        session = self._sessions.get(session_id)
        return session.state if session is not None else None

    def set_session_state(self, session_id: str, state: bytes | None) -> None:
        """Raises AmqpError if no consumer holds the session, or the queue has no room for a larger state."""
        session, limit_bytes = self._owned(session_id), self.settings.limits.max_size_bytes
        growth_bytes = len(state or b"") - len(session.state or b"")
        if growth_bytes > 0 and self.size_bytes + growth_bytes > limit_bytes:
            raise full(self.name, self.size_bytes, limit_bytes)
        self._set_state(session, state)
        self.records.session_state(session_id, state)

    def sessions_updated_after(self, time_ms: int) -> list[str]:
        """The sessions whose state was set later, or before the broker started if that was later."""
        return sorted(
            session.id
            for session in self._sessions.values()
            if session.state is not None and session.state_updated_ms > time_ms
        )

    def session_ids(self) -> list[str]:
        """The sessions that have messages or a state."""
        with_messages = {message.content.session_id for message in self._held}
        return sorted(
            session.id
            for session in self._sessions.values()
            if session.state is not None or session.id in with_messages
        )

    # ---- inside

    def _set_state(self, session: MessageSession, state: bytes | None) -> None:
        self._state_bytes += len(state or b"") - len(session.state or b"")
        session.state, session.state_updated_ms = state, now_ms()

    def _session(self, session_id: str) -> MessageSession:
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = MessageSession(self, session_id)
        return session

    def _owned(self, session_id: str) -> MessageSession:
        session = self._sessions.get(session_id)
        if session is None or session.owner is None:
            raise AmqpError(SESSION_LOCK_LOST, f"The lock of session '{session_id}' has expired.")
        return session

    def _own(self, session: MessageSession, consumer: Consumer) -> MessageSession:
        session.owner = consumer
        self._limit_session(session)
        return session

    def _limit_session(self, session: MessageSession) -> None:
        if session.timer is not None:
            session.timer.cancel()
        duration_s = self.settings.lock_duration_s
        session.locked_until_ms = now_ms() + round(duration_s * 1000)
        session.timer = self.loop.call_later(duration_s, self._expire_session, session)

    def _expire_session(self, session: MessageSession) -> None:
        owner = session.owner
        if owner is not None:
            self.release(session, Outcome.ABANDONED)
            owner.detach(AmqpError(SESSION_LOCK_LOST, f"The lock of session '{session.id}' has expired."))

    def _offer(self, session: MessageSession) -> None:
        if self._waiters and self._is_free(session):
            consumer, grant = self._waiters.popleft()
            grant(self._own(session, consumer))

    def _is_free(self, session: MessageSession) -> bool:
        return session.owner is None and self._has_messages(session)

    def _has_messages(self, session: MessageSession) -> bool:
        self._drop_gone(session.available)
        return bool(session.available)

    def _forget_if_idle(self, session: MessageSession) -> None:
        if session.owner is None and session.state is None and not self._has_messages(session):
            self._sessions.pop(session.id, None)

    def _expire(self, message: StoredMessage) -> None:
        super()._expire(message)
        session = self._sessions.get(message.content.session_id or "")
        if session is not None:
            self._forget_if_idle(session)

    def _make_available(self, message: StoredMessage) -> None:
        message.state = State.AVAILABLE
        session = self._session(message.content.session_id or "")
        heapq.heappush(session.available, message.sequence_number)
        if session.owner is not None:
            self.pump(session)
        else:
            self._offer(session)

    def _lock(self, message: StoredMessage) -> tuple[bytes, Lock]:
        session = self._sessions.get(message.content.session_id or "")
        if session is None or session.owner is None:  # a deferred message needs no session
            return super()._lock(message)
        message.state = State.LOCKED
        return self._locks.add_to_session(message, session.id, session.locked_until_ms)

    def close(self) -> None:
        for session in self._sessions.values():
            if session.timer is not None:
                session.timer.cancel()
        super().close()
