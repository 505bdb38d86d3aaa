"""Operations at the rate that a tier grants: at once, later in the order in which they came, or not at all.

Source: "IoT Hub quotas and throttling" (traffic shaping).
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from localcloud.iothub.throttling import Throttle, ThrottledError, Throttling


class Shaper:
    """One line of waiting operations for each limit; without limits nothing waits."""

    def __init__(self, throttling: Throttling | None) -> None:
        self._lines = {throttle: _Line(throttle, throttling) for throttle in Throttle} if throttling else {}

    def admits(self, throttle: Throttle, later: Callable[[], None], amount: float = 1.0) -> bool:
        """True if it is the operation's turn at once; else `later` is called when it is. Raises `ThrottledError`."""
        line = self._lines.get(throttle)
        return line is None or line.admits(later, amount)

    async def admit(self, throttle: Throttle, amount: float = 1.0) -> None:
        """Returns when it is the operation's turn. Raises `ThrottledError`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self.admits(throttle, lambda: None if turn.done() else turn.set_result(None), amount):
            await turn


class _Line:
    def __init__(self, throttle: Throttle, throttling: Throttling) -> None:
        self._throttle = throttle
        self._bucket = throttling.bucket(throttle)
        self._retry_after_s = max(1, math.ceil(throttling.queue_s))
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def admits(self, later: Callable[[], None], amount: float) -> bool:
        loop = asyncio.get_running_loop()
        wait_s = self._bucket.take(loop.time(), amount)
        if wait_s is None:
            raise ThrottledError(self._throttle, self._retry_after_s)
        if wait_s <= 0 and not self._waiting:
            return True
        self._waiting.append((loop.time() + wait_s, later))
        if len(self._waiting) == 1:
            loop.call_later(wait_s, self._serve)
        return False

    def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting and self._waiting[0][0] <= loop.time():
                _, operation = self._waiting.popleft()
                operation()
        finally:  # one that fails must not keep those behind it waiting for ever
            if self._waiting:
                loop.call_at(self._waiting[0][0], self._serve)
