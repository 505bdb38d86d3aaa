"""The rate limits of a tier of IoT Hub, and how much of a burst goes through.

Source: "IoT Hub quotas and throttling" (operation throttles, traffic shaping). How long a burst is served at once and
how long the queue behind it may get, the page leaves open ("a minute or two", "limited"): both can be configured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from localcloud.errors import Misconfigured

_BURST_S: Final = 60.0
_QUEUE_S: Final = 10.0
METHOD_METER_BYTES: Final = 4096


class Throttle(StrEnum):
    """What is limited, by the hub and not by the device."""

    REGISTRY = "RegistryOperation"
    CONNECT = "DeviceConnect"
    SEND = "DeviceSend"
    TWIN_READ = "TwinRead"
    TWIN_UPDATE = "TwinUpdate"
    QUERY = "Query"
    METHOD = "DirectMethod"  # in meters of 4 KB


class ThrottledError(Exception):
    """The limit is exceeded and the queue is full."""

    def __init__(self, throttle: Throttle, retry_after_s: float) -> None:
        super().__init__(f"the limit of {throttle.value} is exceeded")
        self.throttle = throttle
        self.retry_after_s = retry_after_s


class TokenBucket:
    """Grants an amount a second. What is saved up serves bursts; what is owed is how long the queue is.

    A queue that is not full takes whatever comes: a large operation would never pass otherwise.
    """

    def __init__(self, rate_per_s: float, burst: float, queue: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._queue = queue
        self._tokens = burst
        self._at_s: float | None = None

    def take(self, now_s: float, amount: float = 1.0) -> float | None:
        """The seconds until the amount is granted, or None if the queue is full; `now_s` never falls."""
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate_per_s)
        self._at_s = now_s
        if self._tokens <= -self._queue:
            return None
        self._tokens -= amount
        return max(0.0, -self._tokens / self._rate_per_s)


@dataclass(frozen=True, slots=True)
class Throttling:
    """The limits in force, a second, and the seconds of them that a burst and the queue may hold."""

    rates_per_s: Mapping[Throttle, float]
    burst_s: float
    queue_s: float

    def bucket(self, throttle: Throttle) -> TokenBucket:
        """A full one. At least one operation passes, however short the burst."""
        rate = self.rates_per_s[throttle]
        return TokenBucket(rate, max(1.0, rate * self.burst_s), rate * self.queue_s)


def parse_throttling(hub: Mapping[str, Any]) -> Throttling | None:
    """The limits of `tier` and `units` in `[iothub]`, None without a tier. Raises `Misconfigured`."""
    tier, units = hub.get("tier"), hub.get("units", 1)
    if tier is None:
        return None
    if tier not in _RATES:
        raise Misconfigured(f"[iothub] tier {tier!r}: supported are {', '.join(_RATES)}; basic tiers have no twins")
    if not isinstance(units, int) or units < 1:
        raise Misconfigured(f"[iothub] units {units!r}: a number from 1")
    burst_s, queue_s = hub.get("burst_seconds", _BURST_S), hub.get("queue_seconds", _QUEUE_S)
    if not all(isinstance(seconds, int | float) and seconds >= 0 for seconds in (burst_s, queue_s)):
        raise Misconfigured("[iothub] burst_seconds and queue_seconds are numbers from 0")
    return Throttling({throttle: rate(units) for throttle, rate in _RATES[tier].items()}, burst_s, queue_s)


class _Rate:
    """A limit a second as the table gives it: so much a unit, but at least so much."""

    def __init__(self, per_unit: float, at_least: float = 0.0) -> None:
        self._per_unit, self._at_least = per_unit, at_least

    def __call__(self, units: int) -> float:
        return max(self._per_unit * units, self._at_least)


_SMALL: Final = {
    Throttle.REGISTRY: _Rate(100 / 60),
    Throttle.CONNECT: _Rate(12, at_least=100),
    Throttle.SEND: _Rate(12, at_least=100),
    Throttle.TWIN_READ: _Rate(0, at_least=100),
    Throttle.TWIN_UPDATE: _Rate(0, at_least=50),
    Throttle.QUERY: _Rate(20 / 60),
    Throttle.METHOD: _Rate(160 * 1024 / METHOD_METER_BYTES),
}
_RATES: Final[dict[str, dict[Throttle, _Rate]]] = {
    "F1": _SMALL,
    "S1": _SMALL,
    "S2": {
        Throttle.REGISTRY: _Rate(100 / 60),
        Throttle.CONNECT: _Rate(120),
        Throttle.SEND: _Rate(120),
        Throttle.TWIN_READ: _Rate(10, at_least=100),
        Throttle.TWIN_UPDATE: _Rate(5, at_least=50),
        Throttle.QUERY: _Rate(20 / 60),
        Throttle.METHOD: _Rate(480 * 1024 / METHOD_METER_BYTES),
    },
    "S3": {
        Throttle.REGISTRY: _Rate(5000 / 60),
        Throttle.CONNECT: _Rate(6000),
        Throttle.SEND: _Rate(6000),
        Throttle.TWIN_READ: _Rate(500),
        Throttle.TWIN_UPDATE: _Rate(250),
        Throttle.QUERY: _Rate(1000 / 60),
        Throttle.METHOD: _Rate(24 * 1024 * 1024 / METHOD_METER_BYTES),
    },
}
