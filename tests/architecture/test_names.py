"""One name, one place: decorators, the settings example and the local cloud follow shared/settings.py."""

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from localcloud.configuration import CONFIG, load
from localcloud.layout import Layout
from shared import settings

ROOT = Path(__file__).parents[2]


@cache
def triggers() -> list[dict[str, Any]]:
    """Every trigger binding of the app, as the Functions host gets it."""
    import function_app

    bindings = [json.loads(raw) for function in function_app.app.get_functions() for raw in function.get_raw_bindings()]
    return [binding for binding in bindings if binding["type"].endswith("Trigger")]


def _of_type(kind: str) -> list[dict[str, Any]]:
    return [trigger for trigger in triggers() if trigger["type"] == kind]


def _example() -> dict[str, str]:
    values: dict[str, str] = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    return values


def test_every_event_hub_has_exactly_one_reader() -> None:
    assert sorted(trigger["eventHubName"] for trigger in _of_type("eventHubTrigger")) == sorted(settings.EVENT_HUBS)


def test_event_hub_triggers_take_batches_of_bytes() -> None:
    """A string payload could overwrite trigger metadata, and so let one vehicle speak for another."""
    for trigger in _of_type("eventHubTrigger"):
        assert (trigger["cardinality"], trigger["dataType"]) == ("MANY", "BINARY"), trigger["eventHubName"]
        assert trigger["connection"] == settings.VEHICLE_EVENTS_CONNECTION


def test_every_queue_and_subscription_has_exactly_one_reader() -> None:
    readers = _of_type("serviceBusTrigger")
    queues = sorted(trigger["queueName"] for trigger in readers if trigger.get("queueName"))
    subscriptions = sorted(
        (trigger["topicName"], trigger["subscriptionName"]) for trigger in readers if trigger.get("topicName")
    )
    assert queues == sorted(settings.QUEUES)
    assert subscriptions == sorted((topic, name) for topic, names in settings.TOPICS.items() for name in names)
    assert {trigger["connection"] for trigger in readers} == {settings.SERVICE_BUS_CONNECTION}


def test_every_timer_takes_its_schedule_from_a_setting() -> None:
    assert sorted(trigger["schedule"] for trigger in _of_type("timerTrigger")) == sorted(
        f"%{name}%" for name in settings.SCHEDULES
    )


def test_the_local_cloud_offers_what_the_app_uses() -> None:
    declared = tomllib.loads(CONFIG.read_text())
    assert sorted(declared["servicebus"]["queues"]) == sorted(settings.QUEUES)
    assert {
        topic: tuple(properties["Subscriptions"]) for topic, properties in declared["servicebus"]["topics"].items()
    } == settings.TOPICS
    assert sorted(declared["eventhubs"]) == sorted(settings.EVENT_HUBS)
    assert {route["endpoint"] for route in declared["iothub"]["routes"]} == set(settings.EVENT_HUBS)
    assert sorted(declared["storage"]["tables"]) == sorted(settings.TABLES)
    assert sorted(declared["storage"]["containers"]) == sorted(settings.CONTAINERS)


def test_the_settings_example_names_every_setting_and_no_other() -> None:
    read_by_code = set(re.findall(r'"([A-Z][A-Z_]+)"', (ROOT / "shared" / "settings.py").read_text()))
    connections = {value for name, value in vars(settings).items() if name.endswith("_CONNECTION")}
    of_the_host = {"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME", "SSL_CERT_FILE"}
    assert set(_example()) == read_by_code | connections | of_the_host


def test_the_settings_example_is_valid() -> None:
    settings.Settings.from_mapping(_example())


def test_the_settings_example_fits_the_local_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make services` listens where the example says, so that Azure Functions Core Tools find everything."""
    monkeypatch.chdir(ROOT)
    local = load().settings_for(Layout(Path(".localcloud") / "up"))
    example = _example()
    local = {name: re.sub(r"localhost:5672\b", "localhost", value) for name, value in local.items()}
    assert {name: example[name] for name in example if name in local} == {
        name: value for name, value in local.items() if name in example
    }


@pytest.mark.parametrize("name", sorted(settings.SCHEDULES))
def test_a_schedule_has_six_fields(name: str) -> None:
    assert len(_example()[name].split()) == 6
