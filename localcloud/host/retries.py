"""Retry policies of functions: how often and after what delay the host runs the same input again."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
from typing import Any

from localcloud.errors import Misconfigured

FOREVER = -1
_JITTER = 0.2
# The arguments that hold the shortest and the longest delay of each strategy, and the worker's defaults for them.
_INTERVALS: dict[str, tuple[tuple[str, timedelta | None], ...]] = {
    "fixed_delay": (("delay_interval", None), ("delay_interval", None)),
    "exponential_backoff": (("minimum_interval", timedelta()), ("maximum_interval", timedelta(seconds=2**31 - 1))),
}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A `fixed_delay` policy has equal intervals; `exponential_backoff` doubles from one to the other."""

    max_retry_count: int
    minimum_interval: timedelta
    maximum_interval: timedelta

    def delays_s(self, chance: Callable[[], float]) -> Iterator[float]:
        """Seconds to wait before each retry, endless for `FOREVER`.

        `chance` gives numbers in [0, 1); growing delays are spread by a fifth, as in the WebJobs SDK.
        """
        delays = self._endless_delays_s(chance)
        return delays if self.max_retry_count == FOREVER else islice(delays, self.max_retry_count)

    def _endless_delays_s(self, chance: Callable[[], float]) -> Iterator[float]:
        lowest, highest = self.minimum_interval.total_seconds(), self.maximum_interval.total_seconds()
        grown = lowest
        for _ in count():
            spread = 1 if lowest == highest else 1 - _JITTER + 2 * _JITTER * chance()
            yield min(max(grown * spread, lowest), highest)
            grown = min(grown * 2, highest)  # bounded here, so that no number of retries overflows


def parse_retry_policy(settings: Mapping[str, Any]) -> RetryPolicy:
    """The policy that the `retry` decorator left.

    Raises `Misconfigured` and names the argument at fault, or `ValueError` with the worker's words for a value that it
    cannot read.
    """
    strategy = settings.get("strategy")
    if strategy not in _INTERVALS:
        raise Misconfigured(f"{strategy!r} is no retry strategy: {' and '.join(_INTERVALS)} are")
    maximum = int(settings["max_retry_count"])
    if maximum < FOREVER:
        raise Misconfigured(f"the retry policy {strategy}: max_retry_count must be -1 or more, not {maximum}")
    shortest, longest = (
        _interval(strategy, name, settings.get(name), default) for name, default in _INTERVALS[strategy]
    )
    return RetryPolicy(maximum, shortest, longest)


def _interval(strategy: str, name: str, text: str | None, default: timedelta | None) -> timedelta:
    if text:
        read = time.strptime(text, "%H:%M:%S")
        return timedelta(hours=read.tm_hour, minutes=read.tm_min, seconds=read.tm_sec)
    if default is None:
        raise Misconfigured(f"the retry policy {strategy} lacks {name}")
    return default
