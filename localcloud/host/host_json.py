"""host.json: what the local host honours of it, and the names of the rest, which it warns of.

Defaults are those of extension bundle 4 ("host.json reference for Azure Functions 2.x and later").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import cpu_count
from pathlib import Path
from typing import Any

from localcloud.errors import Misconfigured
from localcloud.host.host_json_document import Document, check_version, parse_time_span, read_document
from localcloud.host.log_levels import LogLevels
from localcloud.host.polling import SHORTEST_POLLING_INTERVAL

# Facts about the file and about where extensions come from; there is nothing to honour.
_DESCRIPTIVE = ("$schema", "isDefaultHostConfig")
# The one value of a setting that this host has; it warns of another. Only C# may complete messages by itself.
_FIXED = {
    "concurrency.dynamicConcurrencyEnabled": False,
    "extensions.http.dynamicThrottlesEnabled": False,
    "extensions.serviceBus.autoCompleteMessages": True,
}
_LARGEST_QUEUE_BATCH = 32  # more is refused by the service
_SHORTEST_TIMEOUT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`extensions.http`."""

    route_prefix: str = "api"
    max_outstanding_requests: int | None = None
    """More than these wait or run: the next one is told that the host is busy."""
    max_concurrent_requests: int | None = None
    custom_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventHubOptions:
    """`extensions.eventHubs`."""

    max_event_batch_size: int = 100
    min_event_batch_size: int = 1
    max_wait_time: timedelta = timedelta(minutes=1)
    """For how long a batch that is smaller than the minimum is held back."""
    prefetch_count: int = 300
    batch_checkpoint_frequency: int = 1
    start: str | datetime = "-1"
    """Where a partition without a checkpoint is read from: an offset of the protocol, or a time."""


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """`extensions.serviceBus`."""

    max_concurrent_calls: int = field(default_factory=lambda: 16 * (cpu_count() or 1))
    max_concurrent_sessions: int = 8
    session_idle_timeout: timedelta = timedelta(minutes=1)
    """After a session gave nothing for this long, another one is waited for."""
    max_message_batch_size: int = 1000
    min_message_batch_size: int = 1
    max_batch_wait_time: timedelta = timedelta(seconds=30)
    prefetch_count: int = 0
    max_auto_lock_renewal: timedelta = timedelta(minutes=5)


def _default_new_batch_threshold(batch_size: int) -> int:
    return batch_size // 2 * (cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """`extensions.queues`; defaults are those on a developer's machine."""

    batch_size: int = 16
    new_batch_threshold: int = field(default_factory=lambda: _default_new_batch_threshold(16))
    max_polling_interval: timedelta = timedelta(seconds=2)
    visibility_timeout: timedelta = timedelta()
    """For how long a message is hidden after a failure."""
    max_dequeue_count: int = 5
    is_base64: bool = True


@dataclass(frozen=True, slots=True)
class HostOptions:
    http: HttpOptions = field(default_factory=HttpOptions)
    function_timeout: timedelta | None = timedelta(minutes=30)
    """None for none; the default is that of Flex Consumption."""
    functions: tuple[str, ...] = ()
    """The only functions that are run, if there are any."""
    event_hubs: EventHubOptions = field(default_factory=EventHubOptions)
    service_bus: ServiceBusOptions = field(default_factory=ServiceBusOptions)
    queues: QueueOptions = field(default_factory=QueueOptions)
    log_levels: LogLevels = field(default_factory=LogLevels)
    extension_bundle: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    """Paths of the settings that this host does not honour."""


def _function_timeout(document: Document) -> timedelta | None:
    path = "functionTimeout"
    text = document.take(path, str, "00:30:00")
    if text in ("-1", "-1.00:00:00"):
        return None
    try:
        timeout = parse_time_span(text)
    except ValueError as error:
        raise Misconfigured(f"host.json: {path}: {error}") from error
    if timeout < _SHORTEST_TIMEOUT:
        raise Misconfigured(f"host.json: FunctionTimeout must be greater than 00:00:01, not {text}")
    return timeout


def _functions(document: Document) -> tuple[str, ...]:
    overridden = list(document.take_all("functions").values())  # one app setting for each name
    names = document.take("functions", list, overridden)
    if not all(isinstance(name, str) for name in names):
        raise Misconfigured("host.json: functions must be a list of names")
    return tuple(names)


def _http_options(document: Document) -> HttpOptions:
    section = "extensions.http"

    def limit(name: str) -> int | None:
        count: int = document.take(f"{section}.{name}", int, -1)
        if count < 1 and count != -1:
            raise Misconfigured(f"host.json: {section}.{name} must be at least 1, or -1 for no limit, not {count}")
        return None if count == -1 else count

    return HttpOptions(
        route_prefix=document.take(f"{section}.routePrefix", str, "api").strip("/"),
        max_outstanding_requests=limit("maxOutstandingRequests"),
        max_concurrent_requests=limit("maxConcurrentRequests"),
        custom_headers={name: str(value) for name, value in document.take_all(f"{section}.customHeaders").items()},
    )


def _event_hub_options(document: Document) -> EventHubOptions:
    section = "extensions.eventHubs"
    defaults = EventHubOptions()
    largest = document.take_positive(f"{section}.maxEventBatchSize", defaults.max_event_batch_size)
    smallest = document.take_positive(f"{section}.minEventBatchSize", 1)
    _check_batch_sizes(f"{section}.minEventBatchSize", smallest, largest)
    return EventHubOptions(
        max_event_batch_size=largest,
        min_event_batch_size=smallest,
        max_wait_time=document.take_time_span(f"{section}.maxWaitTime", defaults.max_wait_time),
        prefetch_count=document.take_positive(f"{section}.prefetchCount", 300),
        batch_checkpoint_frequency=document.take_positive(f"{section}.batchCheckpointFrequency", 1),
        start=_initial_offset(document, f"{section}.initialOffsetOptions"),
    )


def _initial_offset(document: Document, section: str) -> str | datetime:
    kind = document.take(f"{section}.type", str, "fromStart").lower()
    moment = document.take_moment(f"{section}.enqueuedTimeUtc")
    if kind == "fromenqueuedtime":
        if moment is None:
            raise Misconfigured(f"host.json: {section}.enqueuedTimeUtc must say the time for fromEnqueuedTime")
        return moment
    offsets = {"fromstart": "-1", "fromend": "@latest"}
    if kind not in offsets:
        raise Misconfigured(f"host.json: {section}.type must be fromStart, fromEnd or fromEnqueuedTime")
    return offsets[kind]


def _check_batch_sizes(path: str, smallest: int, largest: int) -> None:
    if smallest > largest:
        raise Misconfigured(f"host.json: {path} must be at most the largest batch size {largest}, not {smallest}")


def _service_bus_options(document: Document) -> ServiceBusOptions:
    section = "extensions.serviceBus"
    defaults = ServiceBusOptions()

    def count(name: str, default: int, minimum: int = 1) -> int:
        return document.take_positive(f"{section}.{name}", default, minimum)

    def span(name: str, default: timedelta) -> timedelta:
        return document.take_time_span(f"{section}.{name}", default)

    options = ServiceBusOptions(
        max_concurrent_calls=count("maxConcurrentCalls", defaults.max_concurrent_calls),
        max_concurrent_sessions=count("maxConcurrentSessions", defaults.max_concurrent_sessions),
        session_idle_timeout=span("sessionIdleTimeout", defaults.session_idle_timeout),
        max_message_batch_size=count("maxMessageBatchSize", defaults.max_message_batch_size),
        min_message_batch_size=count("minMessageBatchSize", defaults.min_message_batch_size),
        max_batch_wait_time=span("maxBatchWaitTime", defaults.max_batch_wait_time),
        prefetch_count=count("prefetchCount", defaults.prefetch_count, minimum=0),
        max_auto_lock_renewal=span("maxAutoLockRenewalDuration", defaults.max_auto_lock_renewal),
    )
    _check_batch_sizes(f"{section}.minMessageBatchSize", options.min_message_batch_size, options.max_message_batch_size)
    return options


def _queue_options(document: Document) -> QueueOptions:
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


def parse_host_json(content: Mapping[str, Any], overrides: Mapping[str, str] | None = None) -> HostOptions:
    """The options in a parsed host.json. Raises `Misconfigured` and names the setting at fault."""
    document = Document(content, overrides)
    check_version(document.take("version", str, ""))
    bundle = document.take_all("extensionBundle")
    for path in _DESCRIPTIVE:
        document.take(path, object, None)
    for path, only in _FIXED.items():
        document.take_fixed(path, only)
    return HostOptions(
        http=_http_options(document),
        function_timeout=_function_timeout(document),
        functions=_functions(document),
        event_hubs=_event_hub_options(document),
        service_bus=_service_bus_options(document),
        queues=_queue_options(document),
        log_levels=LogLevels.parse(document.take_all("logging.logLevel")),
        extension_bundle=bundle,
        ignored=document.rest(),
    )


def load_host_json(app_root: Path, overrides: Mapping[str, str] | None = None) -> HostOptions:
    """The options in the host.json of `app_root`. Raises `Misconfigured` if there is none."""
    return parse_host_json(read_document(app_root), overrides)
