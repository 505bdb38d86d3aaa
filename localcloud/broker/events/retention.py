"""What a partition keeps: its newest events, as long and as many as its retention allows."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Kept(Protocol):
    """An event that takes room."""

    @property
    def enqueued_ms(self) -> int:
        """Since 1970."""

    @property
    def size_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Retention:
    max_age_ms: int
    max_bytes: int

    def surplus(self, events: Sequence[Kept], held_bytes: int, now_ms: int) -> int:
        """How many of the oldest go. `events` are in the order of their times and hold `held_bytes` together.

        Those too old wait until the oldest is a 64th over its time, and those too many take a 16th of the room along,
        so that not every event at a limit moves the list of all others.
        """
        number = 0
        if events and now_ms - events[0].enqueued_ms > self.max_age_ms + self.max_age_ms // 64:
            number = bisect_left(events, now_ms - self.max_age_ms, key=lambda event: event.enqueued_ms)
        if held_bytes <= self.max_bytes:
            return number
        excess_bytes = held_bytes - self.max_bytes + self.max_bytes // 16
        for index, event in enumerate(events):
            if excess_bytes <= 0:
                return max(number, index)
            excess_bytes -= event.size_bytes
        return len(events)
