"""A Service Bus queue, subscription or dead-letter queue without sessions.

What it holds are its messages, each until it leaves the queue. What else it keeps are ways to find some of them: a heap
of the available ones and the locks by their token.
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.broker.declarations.config import QueueSettings
from localcloud.broker.delivery import Consumer, Outcome, Settlement
from localcloud.broker.duplicates import duplicate_history
from localcloud.broker.errors import MESSAGE_NOT_FOUND, AmqpError
from localcloud.broker.forwarding import Target, forward
from localcloud.broker.holdings import Holdings
from localcloud.broker.intake import Intake
from localcloud.broker.locks import Lock, Locks, now_ms
from localcloud.broker.message import DEAD_LETTER_SOURCE, ENQUEUE_SEQUENCE_NUMBER, Message
from localcloud.broker.records import Records
from localcloud.broker.rules.rules import Rules
from localcloud.broker.stored import State, StoredMessage

_PRESETTLED_TAG = bytes(16)


class Queue:
    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        loop: asyncio.AbstractEventLoop,
        records: Records,
        *,
        is_sub_queue: bool = False,
    ) -> None:
        """It begins empty: `restore` brings back what its records hold."""
        self.name = name
        self.settings = settings
        self.loop = loop
        self._is_sub_queue = is_sub_queue
        self.dead_letters: Queue | None = None
        self.rules: Rules | None = None  # of a subscription
        self.forward_to: Target | None = None
        self.forward_dead_letters_to: Target | None = None
        if not is_sub_queue:
            own = QueueSettings(lock_duration_s=settings.lock_duration_s)
            self.dead_letters = Queue(f"{name}/$DeadLetterQueue", own, loop, records, is_sub_queue=True)
        self.records = records.of(name)
        self._held = Holdings(loop, self.records, self._expire)
        self._available: list[int] = []
        self._locks = Locks(loop, settings.lock_duration_s, self._lock_expired)
        self._waiting: OrderedDict[Consumer, None] = OrderedDict()
        duplicates = duplicate_history(settings.duplicate_window_s, self.records)
        self._intake = Intake(name, settings.limits, duplicates, self._held, loop, self.enqueue)

    def restore(self) -> None:
        """Takes up what was in the queue when the broker ended."""
        for message in self._held.restore():
            if message.state is State.SCHEDULED:
                self._intake.wait_for(message)
            elif message.state is State.AVAILABLE and self.forward_to is None:
                self._make_available(message)
            elif message.state is State.AVAILABLE:  # it came before the queue was declared to forward
                self.loop.call_soon(self._forward_kept, message)  # when its target has what it held, too
        if self.dead_letters is not None:
            self.dead_letters.restore()

    # ---- sending

    @property
    def size_bytes(self) -> int:
        """Of all that is kept, dead letters too."""
        return self._held.size_bytes + (self.dead_letters.size_bytes if self.dead_letters is not None else 0)

    def put(self, messages: Sequence[Message]) -> list[int]:
        """Takes the messages, all or none, and returns their sequence numbers, 0 for a duplicate. Raises AmqpError."""
        return self._intake.put(messages, self.size_bytes)

    def enqueue(self, content: Message, delivery_count: int = 0) -> int:
        """Takes a message at once, however full the queue is: to refuse it would lose it."""
        if self.forward_to is not None:
            return self._forward(content, self.forward_to)
        message = self._held.add(content, State.AVAILABLE, delivery_count, self._end_of_life_ms(content))
        self._make_available(message)
        return message.sequence_number

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Raises AmqpError, with nothing cancelled, if one of them is not scheduled."""
        self._intake.cancel_scheduled(sequence_numbers)

    def _forward(self, content: Message, target: Target) -> int:
        number = self._held.next_number()
        if content.annotations.get(ENQUEUE_SEQUENCE_NUMBER) is None:
            content = content.annotated(ENQUEUE_SEQUENCE_NUMBER, number)
        reasons = forward(content, target)
        if reasons is not None:
            self.bury(content, reasons)
        return number

    def _forward_kept(self, message: StoredMessage) -> None:
        if message.sequence_number in self._held:  # its life may have ended
            self._held.remove(message)
            self.enqueue(message.content)

    # ---- receiving

    def on_credit(self, consumer: Consumer) -> None:
        if consumer.ready:
            self._waiting[consumer] = None
            self._pump()

    def drop(self, consumer: Consumer) -> None:
        """Locks outlive their consumer until they expire, as in the service."""
        self._waiting.pop(consumer, None)

    def settle(self, tag: bytes, settlement: Settlement) -> bool:
        message = self._locks.pop(tag)
        if message is None:
            return False
        self._apply(message, settlement)
        return True

    def renew_lock(self, token: bytes) -> int:
        """Until when the message is locked now, in milliseconds since 1970. Raises AmqpError."""
        return self._locks.renew(token)

    def receive_deferred(
        self, sequence_numbers: Sequence[int], *, settled: bool
    ) -> list[tuple[bytes, Lock | None, StoredMessage]]:
        """Lock tokens, locks and messages that had been deferred; without locks if settled. Raises AmqpError."""
        deferred = []
        for number in dict.fromkeys(sequence_numbers):
            message = self._held.get(number)
            if message is not None and message.state is State.DEFERRED and _is_expired(message):
                self._end_life(message)  # which is not looked at as long as nobody asks for it
                message = None
            if message is None or message.state is not State.DEFERRED:
                raise AmqpError(MESSAGE_NOT_FOUND, f"The deferred message {number} could not be found.")
            deferred.append(message)
        found: list[tuple[bytes, Lock | None, StoredMessage]] = []
        for message in deferred:
            if settled:
                self._held.remove(message)
                found.append((_PRESETTLED_TAG, None, message))
            else:
                found.append((*self._lock(message), message))
        return found

    def peek(self, from_sequence_number: int, count: int, session_id: str | None) -> list[StoredMessage]:
        """Up to `count` messages in any state, oldest first."""
        found: list[StoredMessage] = []
        for message in self._held.since(from_sequence_number):
            if len(found) >= count:
                break
            if session_id in (None, message.content.session_id):
                found.append(message)
        return found

    def delete(self, count: int, enqueued_before_ms: int, session_id: str | None) -> int:
        """Removes up to `count` of the oldest messages that could be received; how many they were."""
        found = [
            message
            for message in self._held
            if message.state is State.AVAILABLE
            and message.enqueued_ms < enqueued_before_ms
            and session_id in (None, message.content.session_id)
        ][:count]
        for message in found:
            self._held.remove(message)
        return len(found)

    def close(self) -> None:
        """Stops all timers."""
        self._intake.close()
        self._locks.close()
        self._held.close()
        if self.dead_letters is not None:
            self.dead_letters.close()

    def _make_available(self, message: StoredMessage) -> None:
        message.state = State.AVAILABLE
        self._drop_gone(self._available)  # also where nobody receives and messages only expire
        heapq.heappush(self._available, message.sequence_number)
        self._pump()

    def _pump(self) -> None:
        while self._waiting:
            consumer = next(iter(self._waiting))
            if not consumer.ready:
                del self._waiting[consumer]
                continue
            message = self._next(self._available)
            if message is None:
                return
            self._waiting.move_to_end(consumer)
            self._deliver(consumer, message)

    def _next(self, available: list[int]) -> StoredMessage | None:
        """Takes the oldest available message.

        One whose life is over ends it here: timers do not run while a laptop sleeps.
        """
        self._drop_gone(available)
        while available:
            message = self._held[heapq.heappop(available)]
            if not _is_expired(message):
                return message
            self._end_life(message)
            self._drop_gone(available)
        return None

    def _drop_gone(self, available: list[int]) -> None:
        """Drops the first numbers as long as they are those of messages that have left."""
        while available and available[0] not in self._held:
            heapq.heappop(available)

    def _deliver(self, consumer: Consumer, message: StoredMessage) -> None:
        if consumer.settled:
            self._held.remove(message)
            consumer.deliver(message.encoded(), _PRESETTLED_TAG)
        else:
            token, lock = self._lock(message)
            consumer.deliver(message.encoded(lock.until_ms), token)

    def _lock(self, message: StoredMessage) -> tuple[bytes, Lock]:
        message.state = State.LOCKED
        return self._locks.add(message)

    def _lock_expired(self, message: StoredMessage) -> None:
        self._apply(message, Settlement(Outcome.ABANDONED))

    # ---- the end of a delivery or a life

    def _apply(self, message: StoredMessage, settlement: Settlement) -> None:
        match settlement.outcome:
            case Outcome.COMPLETED:
                self._held.remove(message)
            case Outcome.ABANDONED:
                message.delivery_count += 1
                self._held.modify(message, settlement.properties)
                self.records.change(message)
                self._requeue(message)
            case Outcome.RELEASED:
                self._requeue(message)
            case Outcome.DEFERRED:
                message.deferred = True
                message.delivery_count += 1  # as the service counts
                self._held.modify(message, settlement.properties)
                self._set_aside(message)
            case Outcome.DEAD_LETTERED:
                self._dead_letter(message, settlement.properties)

    def _requeue(self, message: StoredMessage) -> None:
        if _is_expired(message):
            self._end_life(message)
        elif message.delivery_count >= self.settings.max_delivery_count and self.dead_letters is not None:
            description = f"Message could not be consumed after {self.settings.max_delivery_count} delivery attempts."
            self._dead_letter(
                message,
                {
                    "DeadLetterReason": "MaxDeliveryCountExceeded",
                    "DeadLetterErrorDescription": description,
                },
            )
        elif message.deferred:
            self._set_aside(message)
        else:
            self._make_available(message)

    def _set_aside(self, message: StoredMessage) -> None:
        """Deferral is for good: a deferred message that is abandoned counts the delivery and stays deferred."""
        message.state = State.DEFERRED
        self.records.change(message)

    def _dead_letter(self, message: StoredMessage, reasons: Mapping[str, Any]) -> None:
        self._held.remove(message)
        self.bury(message.content, reasons, message.delivery_count)

    def bury(self, content: Message, reasons: Mapping[str, Any], delivery_count: int = 0) -> None:
        """Puts a message that is not in the queue to its dead letters."""
        dead = content.dead_lettered(reasons)
        target = self.forward_dead_letters_to
        if target is None or forward(dead.annotated(DEAD_LETTER_SOURCE, self.name), target) is not None:
            # A message that is dead-lettered again stays where it is, at the end.
            (self.dead_letters or self).enqueue(dead, delivery_count)

    def _end_of_life_ms(self, content: Message) -> int | None:
        limits_ms = []
        if content.time_to_live_ms is not None:
            limits_ms.append(content.time_to_live_ms)
        if self.settings.default_time_to_live_s is not None and not self._is_sub_queue:
            limits_ms.append(round(self.settings.default_time_to_live_s * 1000))
        return now_ms() + min(limits_ms) if limits_ms else None

    def _expire(self, message: StoredMessage) -> None:
        # A locked one is its consumer's until it is settled; a deferred one stays until it is asked for.
        if message.state is State.AVAILABLE:
            self._end_life(message)

    def _end_life(self, message: StoredMessage) -> None:
        if self.settings.dead_letter_on_expiration:
            reason = "The message expired and was dead lettered."
            self._dead_letter(
                message,
                {"DeadLetterReason": "TTLExpiredException", "DeadLetterErrorDescription": reason},
            )
        else:
            self._held.remove(message)


def _is_expired(message: StoredMessage) -> bool:
    return message.expires_ms is not None and message.expires_ms <= now_ms()
