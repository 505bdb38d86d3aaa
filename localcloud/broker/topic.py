"""A Service Bus topic: every subscription gets what its rules take of every message."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from localcloud.broker.config import TopicSettings
from localcloud.broker.duplicates import DuplicateHistory
from localcloud.broker.errors import MESSAGE_NOT_FOUND, AmqpError, disabled, full
from localcloud.broker.locks import now_ms
from localcloud.broker.message import Message
from localcloud.broker.queue import Queue
from localcloud.broker.records import Records
from localcloud.broker.rules import Selection
from localcloud.broker.schedule import Schedule
from localcloud.broker.stored import State, StoredMessage

_FILTER_ERROR: Final = {"DeadLetterReason": "FilterException"}


class Topic:
    def __init__(
        self,
        name: str,
        settings: TopicSettings,
        subscriptions: Mapping[str, Queue],
        loop: asyncio.AbstractEventLoop,
        records: Records,
    ) -> None:
        """`subscriptions` by their name in lower case."""
        self.name = name
        self.settings = settings
        self.subscriptions = subscriptions
        self._records = records.of(name)
        self._last_sequence_number = self._records.last_number
        self._schedule = Schedule(loop)
        self._scheduled: dict[int, StoredMessage] = {}
        self._scheduled_bytes = 0
        self._duplicates = (
            DuplicateHistory(settings.duplicate_window_s, self._records)
            if settings.duplicate_window_s is not None
            else None
        )

    def restore(self) -> None:
        """Takes up what was scheduled when the broker ended; subscriptions have the rest."""
        for kept in self._records.messages():
            self._wait_for(StoredMessage(kept.content, kept.sequence_number, kept.enqueued_ms, kept.state))

    def put(self, messages: Sequence[Message]) -> list[int]:
        """Takes the messages and returns their sequence numbers, 0 for a duplicate. Raises AmqpError."""
        limits = self.settings.limits
        if limits.send_disabled:
            raise disabled(self.name)
        kept_bytes = self._scheduled_bytes + sum(one.size_bytes for one in self.subscriptions.values())
        if kept_bytes + sum(message.size_bytes for message in messages) > limits.max_size_bytes:
            raise full(self.name, kept_bytes, limits.max_size_bytes)
        return [self._put(message) for message in messages]

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Raises AmqpError, with nothing cancelled, if one of them is not scheduled."""
        for number in sequence_numbers:
            if number not in self._schedule:
                raise AmqpError(MESSAGE_NOT_FOUND, f"The scheduled message {number} could not be found.")
        for number in set(sequence_numbers):
            self._schedule.cancel(number)
            self._remove(number)

    def close(self) -> None:
        self._schedule.close()
        for subscription in self.subscriptions.values():
            subscription.close()

    def _put(self, content: Message) -> int:
        if self._duplicates and not self._duplicates.is_new(content.message_id, now_ms()):
            return 0
        self._last_sequence_number += 1
        if content.scheduled_ms is None or content.scheduled_ms <= now_ms():
            self._records.number(self._last_sequence_number)
            self._fan_out(content)
        else:
            # Subscriptions get it when it is due, not before: what they hold is theirs to deliver.
            message = StoredMessage(content, self._last_sequence_number, now_ms(), State.SCHEDULED)
            self._records.add(message)
            self._wait_for(message)
        return self._last_sequence_number

    def _wait_for(self, message: StoredMessage) -> None:
        self._scheduled[message.sequence_number] = message
        self._scheduled_bytes += message.size_bytes
        due_ms = message.content.scheduled_ms or 0
        self._schedule.add(message.sequence_number, due_ms, lambda: self._come_due(message))

    def _come_due(self, message: StoredMessage) -> None:
        self._remove(message.sequence_number)
        self._fan_out(message.content)

    def _remove(self, sequence_number: int) -> None:
        self._scheduled_bytes -= self._scheduled.pop(sequence_number).size_bytes
        self._records.remove(sequence_number)

    def _fan_out(self, message: Message) -> None:
        for subscription in self.subscriptions.values():
            selection = Selection([message]) if subscription.rules is None else subscription.rules.apply(message)
            for copy in selection.copies:
                subscription.enqueue(copy)
            if selection.error is not None and subscription.settings.dead_letter_on_filter_errors:
                subscription.bury(message, {**_FILTER_ERROR, "DeadLetterErrorDescription": str(selection.error)})
