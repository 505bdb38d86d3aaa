"""How long to wait before an empty queue is asked again."""

import random
from collections.abc import Callable
from datetime import timedelta

SHORTEST_POLLING_INTERVAL = timedelta(milliseconds=100)


class PollingDelay:
    """Doubles from 100 ms up to `longest`, a fifth more or less (RandomizedExponentialBackoffStrategy)."""

    def __init__(self, longest: timedelta, chance: Callable[[], float] = random.random) -> None:
        self._longest_s = longest.total_seconds()
        self._chance = chance
        self._exponent = 0

    def reset(self) -> None:
        """Something was found: what follows may follow soon."""
        self._exponent = 0

    def next_s(self) -> float:
        """Seconds to wait after nothing was found."""
        shortest_s = SHORTEST_POLLING_INTERVAL.total_seconds()
        delay_s = shortest_s
        if self._exponent:
            delay_s += shortest_s * (0.8 + 0.4 * self._chance()) * 2.0 ** (self._exponent - 1)
        if delay_s >= self._longest_s:
            return self._longest_s
        self._exponent += 1
        return delay_s
