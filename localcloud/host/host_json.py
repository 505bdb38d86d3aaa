"""host.json: what the local host honours of it, and warnings for the rest."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from os import cpu_count
from pathlib import Path
from typing import Any

from localcloud.errors import Misconfigured
from localcloud.host.polling import SHORTEST_POLLING_INTERVAL

_TIME_SPAN = re.compile(r"(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?")
# Facts about the file and about where extensions come from; there is nothing to honour.
_DESCRIPTIVE = ("version", "extensionBundle")
_LARGEST_QUEUE_BATCH = 32  # more is refused by the service


def parse_time_span(text: str) -> timedelta:
    """A .NET TimeSpan `[-][d.]hh:mm[:ss[.fffffff]]`. Raises `ValueError`."""
    match = _TIME_SPAN.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a time span of the form hh:mm:ss")
    sign, days, hours, minutes, seconds, fraction = match.groups()
    span = timedelta(
        days=int(days or 0),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(7, "0")) // 10,
    )
    return -span if sign else span


@dataclass(frozen=True, slots=True)
class EventHubOptions:
    """`extensions.eventHubs`; defaults are those of extension bundle 4."""

    max_event_batch_size: int = 100
    prefetch_count: int = 300
    batch_checkpoint_frequency: int = 1
    from_end: bool = False


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """`extensions.serviceBus`; defaults are those of extension bundle 4."""

    max_concurrent_calls: int = field(default_factory=lambda: 16 * (cpu_count() or 1))
    max_message_batch_size: int = 1000
    prefetch_count: int = 0
    max_auto_lock_renewal: timedelta = timedelta(minutes=5)


def _default_new_batch_threshold(batch_size: int) -> int:
    return batch_size // 2 * (cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """`extensions.queues`; defaults are those of extension bundle 4 on a developer's machine."""

    batch_size: int = 16
    new_batch_threshold: int = field(default_factory=lambda: _default_new_batch_threshold(16))
    max_polling_interval: timedelta = timedelta(seconds=2)
    visibility_timeout: timedelta = timedelta()
    """For how long a message is hidden after a failure."""
    max_dequeue_count: int = 5
    is_base64: bool = True


@dataclass(frozen=True, slots=True)
class HostOptions:
    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    event_hubs: EventHubOptions = field(default_factory=EventHubOptions)
    service_bus: ServiceBusOptions = field(default_factory=ServiceBusOptions)
    queues: QueueOptions = field(default_factory=QueueOptions)
    ignored: tuple[str, ...] = ()
    """Paths of the settings that this host does not honour."""


class _Document:
    """host.json as a flat mapping that remembers which settings were asked for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._leaves = dict(_leaves(document))

    def take(self, path: str, kind: type, default: Any) -> Any:
        value = self._leaves.pop(path, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Misconfigured(f"host.json: {path} must be of type {kind.__name__}, not {value!r}")
        return value

    def take_positive(self, path: str, default: int, minimum: int = 1) -> int:
        value: int = self.take(path, int, default)
        if value < minimum:
            raise Misconfigured(f"host.json: {path} must be at least {minimum}, not {value}")
        return value

    def take_time_span(self, path: str, default: timedelta) -> timedelta:
        text = self.take(path, str, "")
        try:
            return parse_time_span(text) if text else default
        except ValueError as error:
            raise Misconfigured(f"host.json: {path}: {error}") from error

    def rest(self) -> tuple[str, ...]:
        return tuple(path for path in self._leaves if path.partition(".")[0] not in _DESCRIPTIVE)


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _function_timeout(document: _Document) -> timedelta | None:
    """Unbounded if the setting is "-1"; 30 minutes, the default of Flex Consumption, if it is absent."""
    path = "functionTimeout"
    text = document.take(path, str, "00:30:00")
    if text == "-1":
        return None
    try:
        return parse_time_span(text)
    except ValueError as error:
        raise Misconfigured(f"host.json: {path}: {error}") from error


def _event_hub_options(document: _Document) -> EventHubOptions:
    section = "extensions.eventHubs"
    start = document.take(f"{section}.initialOffsetOptions.type", str, "fromStart").lower()
    if start not in ("fromstart", "fromend"):
        raise Misconfigured(f"host.json: {section}.initialOffsetOptions.type must be fromStart or fromEnd")
    return EventHubOptions(
        max_event_batch_size=document.take_positive(f"{section}.maxEventBatchSize", 100),
        prefetch_count=document.take_positive(f"{section}.prefetchCount", 300),
        batch_checkpoint_frequency=document.take_positive(f"{section}.batchCheckpointFrequency", 1),
        from_end=start == "fromend",
    )


def _service_bus_options(document: _Document) -> ServiceBusOptions:
    section = "extensions.serviceBus"
    defaults = ServiceBusOptions()
    return ServiceBusOptions(
        max_concurrent_calls=document.take_positive(f"{section}.maxConcurrentCalls", defaults.max_concurrent_calls),
        max_message_batch_size=document.take_positive(
            f"{section}.maxMessageBatchSize", defaults.max_message_batch_size
        ),
        prefetch_count=document.take_positive(f"{section}.prefetchCount", 0, minimum=0),
        max_auto_lock_renewal=document.take_time_span(
            f"{section}.maxAutoLockRenewalDuration", defaults.max_auto_lock_renewal
        ),
    )


def _queue_options(document: _Document) -> QueueOptions:
    section = "extensions.queues"
    defaults = QueueOptions()
    batch_size = document.take_positive(f"{section}.batchSize", defaults.batch_size)
    if batch_size > _LARGEST_QUEUE_BATCH:
        raise Misconfigured(f"host.json: {section}.batchSize must be at most {_LARGEST_QUEUE_BATCH}, not {batch_size}")
    longest = document.take_time_span(f"{section}.maxPollingInterval", defaults.max_polling_interval)
    if longest < SHORTEST_POLLING_INTERVAL:
        raise Misconfigured(f"host.json: {section}.maxPollingInterval must be at least 100 ms, not {longest}")
    encoding = document.take(f"{section}.messageEncoding", str, "base64").lower()
    if encoding not in ("base64", "none"):
        raise Misconfigured(f"host.json: {section}.messageEncoding must be base64 or none")
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=document.take_positive(
            f"{section}.newBatchThreshold", _default_new_batch_threshold(batch_size), minimum=0
        ),
        max_polling_interval=longest,
        visibility_timeout=document.take_time_span(f"{section}.visibilityTimeout", defaults.visibility_timeout),
        max_dequeue_count=document.take_positive(f"{section}.maxDequeueCount", defaults.max_dequeue_count),
        is_base64=encoding == "base64",
    )


def parse_host_json(content: Mapping[str, Any]) -> HostOptions:
    """The options in a parsed host.json. Raises `Misconfigured` and names the setting at fault."""
    document = _Document(content)
    if document.take("version", str, "") != "2.0":
        raise Misconfigured('host.json: version must be "2.0"')
    return HostOptions(
        route_prefix=document.take("extensions.http.routePrefix", str, "api").strip("/"),
        function_timeout=_function_timeout(document),
        event_hubs=_event_hub_options(document),
        service_bus=_service_bus_options(document),
        queues=_queue_options(document),
        ignored=document.rest(),
    )


def load_host_json(app_root: Path) -> HostOptions:
    """The options in the host.json of `app_root`. Raises `Misconfigured` if there is none."""
    path = app_root / "host.json"
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Misconfigured(f"{path} is not a JSON object")
    return parse_host_json(content)
