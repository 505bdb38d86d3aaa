"""A Service Bus topic: every subscription gets what its rules take of every message."""

import asyncio
from collections.abc import Mapping, Sequence

from localcloud.broker.config import TopicSettings
from localcloud.broker.duplicates import DuplicateHistory
from localcloud.broker.errors import MESSAGE_NOT_FOUND, AmqpError
from localcloud.broker.locks import now_ms
from localcloud.broker.message import Message
from localcloud.broker.queue import Queue
from localcloud.broker.schedule import Schedule


class Topic:
    def __init__(
        self,
        name: str,
        settings: TopicSettings,
        subscriptions: Mapping[str, Queue],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`subscriptions` by their name in lower case."""
        self.name = name
        self.subscriptions = subscriptions
        self._loop = loop
        self._last_sequence_number = 0
        self._schedule = Schedule(loop)
        self._duplicates = (
            DuplicateHistory(settings.duplicate_window_s) if settings.duplicate_window_s is not None else None
        )

    def put(self, messages: Sequence[Message]) -> list[int]:
        """Takes the messages and returns their sequence numbers, 0 for a duplicate. Raises AmqpError."""
        for subscription in self.subscriptions.values():
            subscription.check(messages)
        return [self._put(message) for message in messages]

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Raises AmqpError, with nothing cancelled, if one of them is not scheduled."""
        for number in sequence_numbers:
            if number not in self._schedule:
                raise AmqpError(MESSAGE_NOT_FOUND, f"The scheduled message {number} could not be found.")
        for number in sequence_numbers:
            self._schedule.cancel(number)

    def close(self) -> None:
        self._schedule.close()
        for subscription in self.subscriptions.values():
            subscription.close()

    def _put(self, message: Message) -> int:
        if self._duplicates and not self._duplicates.is_new(message.message_id, self._loop.time()):
            return 0
        self._last_sequence_number += 1
        if message.scheduled_ms is None or message.scheduled_ms <= now_ms():
            self._fan_out(message)
        else:
            # Subscriptions get it when it is due, not before: what they hold is theirs to deliver.
            self._schedule.add(self._last_sequence_number, message.scheduled_ms, lambda: self._fan_out(message))
        return self._last_sequence_number

    def _fan_out(self, message: Message) -> None:
        for subscription in self.subscriptions.values():
            copies = [message] if subscription.rules is None else subscription.rules.copies(message)
            for copy in copies:
                subscription.enqueue(copy)
