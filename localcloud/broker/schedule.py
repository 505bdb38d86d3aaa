"""Messages that enter an entity later."""

import asyncio
import heapq
import time
from collections.abc import Callable, Sequence
from typing import Final

from localcloud.broker.errors import MESSAGE_NOT_FOUND, AmqpError

_TOLERATED_CANCELLED: Final = 1000
_LONGEST_WAIT_S: Final = 10.0


class Schedule:
    """Actions by sequence number, each at its time unless cancelled; those due together run in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._actions: dict[int, Callable[[], None]] = {}
        # When and which; cancelled ones stay until their time comes or they are the most.
        self._due: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, sequence_number: int, due_ms: int, action: Callable[[], None]) -> None:
        """Runs the action at `due_ms` since 1970."""
        self._actions[sequence_number] = action
        entry = (due_ms, sequence_number)
        heapq.heappush(self._due, entry)
        if self._due[0] == entry:
            self._set_timer()

    def cancel(self, sequence_numbers: Sequence[int]) -> set[int]:
        """The numbers, each once. Raises AmqpError, with nothing cancelled, if one of them is not scheduled."""
        for number in sequence_numbers:
            if number not in self._actions:
                raise AmqpError(MESSAGE_NOT_FOUND, f"The scheduled message {number} could not be found.")
        cancelled = set(sequence_numbers)
        for number in cancelled:
            del self._actions[number]
        if len(self._due) > 2 * len(self._actions) + _TOLERATED_CANCELLED:
            self._due = [entry for entry in self._due if entry[1] in self._actions]
            heapq.heapify(self._due)
        return cancelled

    def close(self) -> None:
        self._actions.clear()
        self._due.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            # Looked at in between, as the loop's clock stands still while a laptop sleeps, and this one may be set.
            delay_s = min(max(self._due[0][0] / 1000 - time.time(), 0), _LONGEST_WAIT_S)
            self._timer = self._loop.call_later(delay_s, self._run)

    def _run(self) -> None:
        self._timer = None
        while self._due and self._due[0][0] / 1000 <= time.time():
            _, sequence_number = heapq.heappop(self._due)
            action = self._actions.pop(sequence_number, None)
            if action is not None:
                action()
        self._set_timer()
