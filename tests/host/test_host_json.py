"""host.json: what is honoured, what is named as ignored, and what is refused."""

import json
from datetime import UTC, datetime, timedelta
from os import cpu_count
from pathlib import Path

import pytest

from localcloud.errors import Misconfigured
from localcloud.host.host_json import HostOptions, HttpOptions, QueueOptions, load_host_json, parse_host_json
from localcloud.host.host_json_document import parse_time_span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:01", timedelta(seconds=1)),
        ("00:05", timedelta(minutes=5)),
        ("1.02:03:04.5", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=500)),
        ("-00:01:00", timedelta(minutes=-1)),
    ],
)
def test_time_spans_are_read_as_dotnet_reads_them(text: str, expected: timedelta) -> None:
    assert parse_time_span(text) == expected


def test_host_json_is_honoured_and_the_rest_is_listed() -> None:
    options = parse_host_json(
        {
            "version": "2.0",
            "functionTimeout": "00:01:00",
            "functions": ["a", "b"],
            "logging": {"logLevel": {"default": "Warning"}, "fileLoggingMode": "never"},
            "extensionBundle": {"id": "x", "version": "[4.*, 5.0.0)"},
            "concurrency": {"dynamicConcurrencyEnabled": True},
            "singleton": {"lockPeriod": "00:00:15"},
            "extensions": {
                "http": {"routePrefix": "/v1/", "maxConcurrentRequests": 5, "customHeaders": {"X-A": "b"}},
                "eventHubs": {
                    "maxEventBatchSize": 256,
                    "minEventBatchSize": 9,
                    "maxWaitTime": "00:00:20",
                    "prefetchCount": "512",
                    "batchCheckpointFrequency": 2,
                    "initialOffsetOptions": {"type": "FromEnqueuedTime", "enqueuedTimeUtc": "2024-05-01T12:00:00Z"},
                },
                "serviceBus": {
                    "maxConcurrentCalls": 3,
                    "maxConcurrentSessions": 2,
                    "sessionIdleTimeout": "00:00:10",
                    "minMessageBatchSize": 4,
                    "maxBatchWaitTime": "00:00:05",
                    "maxAutoLockRenewalDuration": "00:10:00",
                    "autoCompleteMessages": True,
                    "transportType": "amqpTcp",
                },
                "queues": {"batchSize": 8, "maxPollingInterval": "00:00:05", "messageEncoding": "None"},
            },
        }
    )
    assert options.ignored == (
        "logging.fileLoggingMode",
        "concurrency.dynamicConcurrencyEnabled",
        "singleton.lockPeriod",
        "extensions.serviceBus.transportType",
    )
    assert (options.functions, options.function_timeout) == (("a", "b"), timedelta(minutes=1))
    assert options.http == HttpOptions("v1", max_concurrent_requests=5, custom_headers={"X-A": "b"})
    hubs = options.event_hubs
    assert (hubs.max_event_batch_size, hubs.min_event_batch_size, hubs.prefetch_count) == (256, 9, 512)
    assert (hubs.max_wait_time, hubs.batch_checkpoint_frequency) == (timedelta(seconds=20), 2)
    assert hubs.start == datetime(2024, 5, 1, 12, tzinfo=UTC)
    bus = options.service_bus
    assert (bus.max_concurrent_calls, bus.max_concurrent_sessions, bus.min_message_batch_size) == (3, 2, 4)
    assert (bus.session_idle_timeout, bus.max_batch_wait_time) == (timedelta(seconds=10), timedelta(seconds=5))
    assert bus.max_auto_lock_renewal == timedelta(minutes=10)
    assert options.queues == QueueOptions(
        batch_size=8,
        new_batch_threshold=4 * (cpu_count() or 1),
        max_polling_interval=timedelta(seconds=5),
        is_base64=False,
    )


def test_an_empty_host_json_means_the_defaults() -> None:
    assert parse_host_json({"version": "2.0"}) == HostOptions()
    assert parse_host_json({"version": "2.0", "functionTimeout": "-1"}).function_timeout is None


def test_a_setting_that_has_only_one_value_here_is_named_if_it_has_another() -> None:
    content = {"version": "2.0", "extensions": {"serviceBus": {"autoCompleteMessages": False}}}
    assert parse_host_json(content).ignored == ("extensions.serviceBus.autoCompleteMessages",)


def test_names_have_no_case_and_app_settings_override_the_file() -> None:
    overrides = {"extensions__http__routePrefix": "v2", "functionTimeout": "00:00:07"}
    options = parse_host_json({"version": "2.0", "Extensions": {"HTTP": {"RoutePrefix": "v1"}}}, overrides)
    assert (options.http.route_prefix, options.function_timeout) == ("v2", timedelta(seconds=7))
    assert options.ignored == ()


def _extension(name: str, **settings: object) -> dict[str, object]:
    return {"version": "2.0", "extensions": {name: settings}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "The host.json file is missing the required 'version' property"),
        ({"version": "1.0"}, "'1.0' is an invalid value for host.json 'version' property. We recommend"),
        ({"version": "3.0"}, "does not correspond to the function runtime version, only to the schema version"),
        ({"version": "2.0", "functionTimeout": "5 minutes"}, "functionTimeout: '5 minutes' is not a time span"),
        ({"version": "2.0", "functionTimeout": "00:00:00.5"}, "FunctionTimeout must be greater than 00:00:01"),
        ({"version": "2.0", "functions": [1]}, "functions must be a list of names"),
        ({"version": "2.0", "logging": {"logLevel": {"default": "Loud"}}}, "logging.logLevel.default must be one of"),
        (_extension("eventHubs", maxEventBatchSize="nine"), "maxEventBatchSize must be of type int"),
        (_extension("eventHubs", maxEventBatchSize=5, minEventBatchSize=6), "minEventBatchSize must be at most"),
        (_extension("eventHubs", initialOffsetOptions={"type": "fromEnqueuedTime"}), "enqueuedTimeUtc must say"),
        (_extension("eventHubs", initialOffsetOptions={"type": "middle"}), "must be fromStart, fromEnd or"),
        (_extension("serviceBus", maxConcurrentCalls=0), "maxConcurrentCalls must be at least 1"),
        (_extension("serviceBus", minMessageBatchSize=2000), "minMessageBatchSize must be at most"),
        (_extension("http", maxOutstandingRequests=0), "maxOutstandingRequests must be at least 1, or -1"),
        (_extension("queues", batchSize=33), "batchSize must be at most 32"),
        (_extension("queues", maxPollingInterval="00:00:00"), "must be at least 100 ms"),
        (_extension("queues", messageEncoding="utf8"), "must be base64 or none"),
    ],
)
def test_a_wrong_host_json_names_the_setting(content: dict[str, object], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        parse_host_json(content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there is no host.json in"),
        ("{", "Unable to parse host configuration file"),
        (json.dumps([]), "It is not a JSON object"),
    ],
)
def test_a_host_json_that_cannot_be_read_is_explained(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "host.json").write_text(text)
    with pytest.raises(Misconfigured, match=reason):
        load_host_json(tmp_path)
