"""Retry policies of functions: how often and after what delay the host runs the same input again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
from typing import Any

from localcloud.errors import Misconfigured
from localcloud.host.host_json import parse_time_span

FOREVER = -1
_JITTER = 0.2
# The arguments that hold the shortest and the longest delay of each strategy.
_INTERVALS = {
    "fixed_delay": ("delay_interval", "delay_interval"),
    "exponential_backoff": ("minimum_interval", "maximum_interval"),
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
    """The policy that the `retry` decorator left. Raises `Misconfigured` and names the argument at fault."""
    strategy = settings.get("strategy")
    if strategy not in _INTERVALS:
        raise Misconfigured(f"{strategy!r} is no retry strategy: {' and '.join(_INTERVALS)} are")
    try:
        maximum = int(settings["max_retry_count"])
        shortest, longest = (parse_time_span(settings[name]) for name in _INTERVALS[strategy])
    except KeyError as error:
        raise Misconfigured(f"the retry policy {strategy} lacks {error.args[0]}") from error
    except ValueError as error:
        raise Misconfigured(f"the retry policy {strategy}: {error}") from error
    if maximum < FOREVER:
        raise Misconfigured(f"the retry policy {strategy}: max_retry_count must be -1 or more, not {maximum}")
    return RetryPolicy(maximum, shortest, longest)
