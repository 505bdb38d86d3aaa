"""App settings and host.json."""

import json
from datetime import timedelta
from os import cpu_count
from pathlib import Path

import pytest

from localcloud.errors import Misconfigured
from localcloud.host.host_json import HostOptions, QueueOptions, parse_host_json, parse_time_span
from localcloud.host.settings import AppSettings


def test_the_environment_wins_over_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"IsEncrypted": False, "Values": {"A": "file", "B": "file", "N": 1}}))
    environment = {"A": "environment"}
    settings = AppSettings.load(file, environment)
    assert (settings.get("A"), settings.get("B"), settings.get("N"), settings.get("C")) == (
        "environment",
        "file",
        "1",
        None,
    )
    assert environment["B"] == "file"  # where functions look


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no object"),
        ('{"Values": []}', "holds no"),
        ('{"IsEncrypted": true}', "decrypt"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_explained(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "local.settings.json"
    file.write_text(content)
    with pytest.raises(Misconfigured, match=reason):
        AppSettings.load(file, {})


def test_an_absent_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.json"):
        AppSettings.load(tmp_path / "nowhere.json", {})


def test_references_are_resolved_wherever_they_stand() -> None:
    assert AppSettings({"A": "x", "B": "y"}).resolve("%A%-%B%/%A") == "x-y/%A"


def test_a_connection_is_found_with_the_prefix_of_webjobs_too() -> None:
    settings = AppSettings({"Plain": "p", "AzureWebJobsPrefixed": "q", "Name": "Plain"})
    assert settings.connection("Plain") == "p"
    assert settings.connection("Prefixed") == "q"
    assert settings.connection("%Name%") == "p"


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
            "logging": {"logLevel": {"default": "Warning"}},
            "extensionBundle": {"id": "x", "version": "[4.*, 5.0.0)"},
            "extensions": {
                "http": {"routePrefix": "/v1/", "maxConcurrentRequests": 5},
                "eventHubs": {"maxEventBatchSize": 256, "prefetchCount": 512, "batchCheckpointFrequency": 2},
                "serviceBus": {"maxConcurrentCalls": 3, "maxAutoLockRenewalDuration": "00:10:00"},
                "queues": {"batchSize": 8, "maxPollingInterval": "00:00:05", "messageEncoding": "None"},
            },
        }
    )
    assert options.ignored == ("logging.logLevel.default", "extensions.http.maxConcurrentRequests")
    assert (options.route_prefix, options.function_timeout) == ("v1", timedelta(minutes=1))
    assert (options.event_hubs.max_event_batch_size, options.event_hubs.prefetch_count) == (256, 512)
    assert options.event_hubs.batch_checkpoint_frequency == 2
    assert options.service_bus.max_concurrent_calls == 3
    assert options.service_bus.max_auto_lock_renewal == timedelta(minutes=10)
    assert options.queues == QueueOptions(
        batch_size=8,
        new_batch_threshold=4 * (cpu_count() or 1),
        max_polling_interval=timedelta(seconds=5),
        is_base64=False,
    )


def test_an_empty_host_json_means_the_defaults() -> None:
    assert parse_host_json({"version": "2.0"}) == HostOptions()
    assert parse_host_json({"version": "2.0", "functionTimeout": "-1"}).function_timeout is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "version must be"),
        ({"version": "2.0", "functionTimeout": "5 minutes"}, "functionTimeout: '5 minutes' is not a time span"),
        (
            {"version": "2.0", "extensions": {"eventHubs": {"maxEventBatchSize": "9"}}},
            "maxEventBatchSize must be of type int",
        ),
        (
            {"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentCalls": 0}}},
            "maxConcurrentCalls must be at least 1",
        ),
        ({"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}, "batchSize must be at most 32"),
        ({"version": "2.0", "extensions": {"queues": {"maxPollingInterval": "00:00:00"}}}, "must be at least 100 ms"),
        ({"version": "2.0", "extensions": {"queues": {"messageEncoding": "utf8"}}}, "must be base64 or none"),
    ],
)
def test_a_wrong_host_json_names_the_setting(content: dict[str, object], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        parse_host_json(content)
