"""The way into a queue or topic: its quota, duplicates, and messages that enter later."""

import asyncio
from collections.abc import Callable, Sequence

from localcloud.broker.declarations.declared_limits import Limits
from localcloud.broker.duplicates import DuplicateHistory
from localcloud.broker.errors import disabled, full
from localcloud.broker.holdings import Holdings
from localcloud.broker.locks import now_ms
from localcloud.broker.message import Message
from localcloud.broker.schedule import Schedule
from localcloud.broker.stored import State, StoredMessage


class Intake:
    def __init__(
        self,
        name: str,
        limits: Limits,
        duplicates: DuplicateHistory | None,
        held: Holdings,
        loop: asyncio.AbstractEventLoop,
        enter: Callable[[Message], int],
    ) -> None:
        """`held` has scheduled messages until they are due. `enter` takes a message at once and gives its number."""
        self._name = name
        self._limits = limits
        self._duplicates = duplicates
        self._held = held
        self._schedule = Schedule(loop)
        self._enter = enter

    def put(self, messages: Sequence[Message], size_bytes: int) -> list[int]:
        """Takes the messages, all or none, and returns their sequence numbers, 0 for a duplicate.

        `size_bytes`: of all that the entity holds already. Raises AmqpError.
        """
        if self._limits.send_disabled:
            raise disabled(self._name)
        if size_bytes + sum(message.size_bytes for message in messages) > self._limits.max_size_bytes:
            raise full(self._name, size_bytes, self._limits.max_size_bytes)
        return [self._put(message) for message in messages]

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Raises AmqpError, with nothing cancelled, if one of them is not scheduled."""
        for number in self._schedule.cancel(sequence_numbers):
            self._held.remove(self._held[number])

    def wait_for(self, message: StoredMessage) -> None:
        """Lets a scheduled message enter when it is due."""
        due_ms = message.content.scheduled_ms or 0
        self._schedule.add(message.sequence_number, due_ms, lambda: self._come_due(message))

    def close(self) -> None:
        """Stops all timers."""
        self._schedule.close()

    def _put(self, content: Message) -> int:
        if self._duplicates and not self._duplicates.is_new(content.message_id, now_ms()):
            return 0
        if content.scheduled_ms is None or content.scheduled_ms <= now_ms():
            return self._enter(content)
        message = self._held.add(content, State.SCHEDULED)
        self.wait_for(message)
        return message.sequence_number

    def _come_due(self, message: StoredMessage) -> None:
        self._held.remove(message)
        self._enter(message.content)
