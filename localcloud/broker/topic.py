"""A Service Bus topic: every subscription gets what its rules take of every message."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from localcloud.broker.declarations.config import TopicSettings
from localcloud.broker.duplicates import duplicate_history
from localcloud.broker.holdings import Holdings
from localcloud.broker.intake import Intake
from localcloud.broker.message import Message
from localcloud.broker.queue import Queue
from localcloud.broker.records import Records
from localcloud.broker.rules.rules import Selection
from localcloud.broker.stored import StoredMessage

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
        own = records.of(name)
        # Subscriptions get a message when it is due, not before: what they hold is theirs to deliver.
        self._scheduled = Holdings(loop, own, _never)
        duplicates = duplicate_history(settings.duplicate_window_s, own)
        self._intake = Intake(name, settings.limits, duplicates, self._scheduled, loop, self._enter)

    def restore(self) -> None:
        """Takes up what was scheduled when the broker ended; subscriptions have the rest."""
        for message in self._scheduled.restore():
            self._intake.wait_for(message)

    def put(self, messages: Sequence[Message]) -> list[int]:
        """Takes the messages, all or none, and returns their sequence numbers, 0 for a duplicate. Raises AmqpError."""
        size_bytes = sum(subscription.size_bytes for subscription in self.subscriptions.values())
        return self._intake.put(messages, size_bytes + self._scheduled.size_bytes)

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Raises AmqpError, with nothing cancelled, if one of them is not scheduled."""
        self._intake.cancel_scheduled(sequence_numbers)

    def close(self) -> None:
        """Stops all timers."""
        self._intake.close()
        for subscription in self.subscriptions.values():
            subscription.close()

    def _enter(self, message: Message) -> int:
        number = self._scheduled.next_number()
        self._fan_out(message)
        return number

    def _fan_out(self, message: Message) -> None:
        for subscription in self.subscriptions.values():
            selection = Selection([message]) if subscription.rules is None else subscription.rules.apply(message)
            for copy in selection.copies:
                subscription.enqueue(copy)
            if selection.error is not None and subscription.settings.dead_letter_on_filter_errors:
                subscription.bury(message, {**_FILTER_ERROR, "DeadLetterErrorDescription": str(selection.error)})


def _never(_: StoredMessage) -> None:
    raise AssertionError("what is scheduled has no end of life yet")
