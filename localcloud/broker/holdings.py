"""What a queue holds: its messages in the order of their sequence numbers, each with its record and its end of life."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from localcloud.broker.locks import now_ms
from localcloud.broker.message import Message
from localcloud.broker.records import EntityRecords
from localcloud.broker.stored import State, StoredMessage


class Holdings:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, records: EntityRecords, on_expiry: Callable[[StoredMessage], None]
    ) -> None:
        """`on_expiry` gets a message at the end of its life, if it is still held then."""
        self._loop = loop
        self._records = records
        self._on_expiry = on_expiry
        self._messages: dict[int, StoredMessage] = {}
        self._last_sequence_number = records.last_number
        self.size_bytes = 0

    def __contains__(self, sequence_number: int) -> bool:
        return sequence_number in self._messages

    def __iter__(self) -> Iterator[StoredMessage]:
        """Oldest first."""
        return iter(self._messages.values())

    def since(self, sequence_number: int) -> Iterator[StoredMessage]:
        """From that number on, oldest first."""
        # To copy all numbers is quicker by far than to step over one message after the other.
        numbers = list(self._messages)
        for number in islice(numbers, bisect_left(numbers, sequence_number), None):
            yield self._messages[number]

    def __getitem__(self, sequence_number: int) -> StoredMessage:
        return self._messages[sequence_number]

    def get(self, sequence_number: int) -> StoredMessage | None:
        return self._messages.get(sequence_number)

    def restore(self) -> Iterator[StoredMessage]:
        """Takes up what was held when the broker ended, and gives each message when it is."""
        for kept in self._records.messages():
            message = StoredMessage(kept.content, kept.sequence_number, kept.enqueued_ms, kept.state)
            message.delivery_count = kept.delivery_count
            self._hold(message, kept.expires_ms)
            yield message

    def next_number(self) -> int:
        """A sequence number, for a message that is not held."""
        self._last_sequence_number += 1
        self._records.number(self._last_sequence_number)
        return self._last_sequence_number

    def add(
        self, content: Message, state: State, delivery_count: int = 0, expires_ms: int | None = None
    ) -> StoredMessage:
        self._last_sequence_number += 1
        message = StoredMessage(content, self._last_sequence_number, now_ms(), state)
        message.delivery_count = delivery_count
        self._hold(message, expires_ms)
        self._records.add(message)
        return message

    def remove(self, message: StoredMessage) -> None:
        del self._messages[message.sequence_number]
        self._records.remove(message.sequence_number)
        self.size_bytes -= message.size_bytes
        if message.expiry is not None:
            message.expiry.cancel()

    def modify(self, message: StoredMessage, changes: Mapping[str, Any]) -> None:
        """Adds or replaces application properties."""
        if changes:
            self.size_bytes -= message.size_bytes
            message.content = message.content.modified(changes)
            self.size_bytes += message.size_bytes
            self._records.change_content(message)

    def close(self) -> None:
        """Stops all timers."""
        for message in self:
            if message.expiry is not None:
                message.expiry.cancel()

    def _hold(self, message: StoredMessage, expires_ms: int | None) -> None:
        self._messages[message.sequence_number] = message
        self.size_bytes += message.size_bytes
        message.expires_ms = expires_ms
        if expires_ms is not None:
            message.expiry = self._loop.call_later(max(expires_ms - now_ms(), 0) / 1000, self._on_expiry, message)
