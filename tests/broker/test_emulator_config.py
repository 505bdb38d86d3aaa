"""Config.json of Microsoft's emulators as a declaration of entities."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.broker.declarations.config import EventHubSettings, QueueSettings, load
from localcloud.broker.rules.rules import CorrelationFilter, SqlFilter
from localcloud.errors import Misconfigured

QUEUE = {
    "Name": "queue.1",
    "Properties": {
        "DeadLetteringOnMessageExpiration": False,
        "DefaultMessageTimeToLive": "PT1H",
        "DuplicateDetectionHistoryTimeWindow": "PT20S",
        "ForwardDeadLetteredMessagesTo": "",
        "ForwardTo": "",
        "LockDuration": "PT1M",
        "MaxDeliveryCount": 3,
        "RequiresDuplicateDetection": False,
        "RequiresSession": False,
    },
}
TOPIC = {
    "Name": "topic.1",
    "Properties": {"DefaultMessageTimeToLive": "PT1H", "RequiresDuplicateDetection": True},
    "Subscriptions": [
        {
            "Name": "subscription.1",
            "Properties": {"ForwardTo": "queue.1"},
            "Rules": [
                {
                    "Name": "sql",
                    "Properties": {
                        "FilterType": "Sql",
                        "SqlFilter": {"SqlExpression": "sys.MessageId = '1'"},
                        "Action": {"SqlExpression": "SET seen = TRUE"},
                    },
                },
                {
                    "Name": "correlation",
                    "Properties": {
                        "FilterType": "Correlation",
                        "CorrelationFilter": {"ContentType": "application/json", "Properties": {"k": "v"}},
                    },
                },
            ],
        },
        {"Name": "subscription.2"},
    ],
}


def config_of(*, queues: Any = (QUEUE,), topics: Any = (TOPIC,)) -> dict[str, Any]:
    namespace = {"Name": "sbemulatorns", "Queues": queues, "Topics": topics}
    return {"UserConfig": {"Namespaces": [namespace], "Logging": {"Type": "File"}}}


HUB = {"Name": "eh1", "PartitionCount": 2, "ConsumerGroups": [{"Name": "cg1"}, {"Name": "$default"}]}


def hubs_config(*hubs: Any, kind: str = "EventHub") -> dict[str, Any]:
    namespace = {"Type": kind, "Name": "emulatorNs1", "Entities": list(hubs)}
    return {"UserConfig": {"NamespaceConfig": [namespace], "LoggingConfig": {"Type": "File"}}}


def written(directory: Path, document: Any, name: str = "Config.json") -> Path:
    path = directory / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_entities_are_read_with_their_properties_and_rules(tmp_path: Path) -> None:
    config = load(written(tmp_path, config_of()))
    assert config.queues == {"queue.1": QueueSettings(max_delivery_count=3, default_time_to_live_s=3600)}
    topic = config.topics["topic.1"]
    assert topic.duplicate_window_s == 600
    assert topic.subscriptions == {
        "subscription.1": QueueSettings(default_time_to_live_s=3600, forward_to="queue.1"),
        "subscription.2": QueueSettings(default_time_to_live_s=3600),
    }
    sql, correlation = topic.rules["subscription.1"]
    assert isinstance(sql.filter, SqlFilter)
    assert sql.action is not None
    assert (sql.name, sql.filter.sql, sql.action.sql) == ("sql", "sys.MessageId = '1'", "SET seen = TRUE")
    assert correlation.filter == CorrelationFilter({"contenttype": "application/json"}, {"k": "v"})
    assert "subscription.2" not in topic.rules


def test_event_hubs_are_read_with_their_partitions_and_groups(tmp_path: Path) -> None:
    """The default group is there without saying; Microsoft's own samples have the count as a text too."""
    config = load(written(tmp_path, hubs_config(HUB, {"Name": "eh2", "PartitionCount": "4"})))
    assert config.event_hubs == {"eh1": EventHubSettings(2, ("cg1",)), "eh2": EventHubSettings(4)}
    assert not config.queues


def test_the_files_of_both_emulators_go_together(tmp_path: Path) -> None:
    """As two files or in one; entities may also refer to each other."""
    service_bus = written(tmp_path, config_of(), "service-bus.json")
    hubs = written(tmp_path, hubs_config(HUB), "event-hubs.json")
    more = tmp_path / "more.toml"
    more.write_text("[servicebus.queues.more]\nForwardTo = 'queue.1'\n", encoding="utf-8")
    both = load(service_bus, hubs, more)
    assert set(both.queues) == {"queue.1", "more"}
    assert set(both.topics) == {"topic.1"}
    assert set(both.event_hubs) == {"eh1"}
    in_one = load(written(tmp_path, {"UserConfig": {**config_of()["UserConfig"], **hubs_config(HUB)["UserConfig"]}}))
    assert (set(in_one.queues), set(in_one.topics), in_one.event_hubs) == ({"queue.1"}, {"topic.1"}, both.event_hubs)


def test_two_files_may_not_declare_the_same_entity(tmp_path: Path) -> None:
    """Whatever kind it is of: all entities share one port. Both files are named."""
    service_bus = written(tmp_path, config_of(), "service-bus.json")
    hubs = written(tmp_path, hubs_config({**HUB, "Name": "Queue.1"}), "event-hubs.json")
    with pytest.raises(Misconfigured, match=r"event-hubs\.json: .*service-bus\.json declares .* queue\.1 too"):
        load(service_bus, hubs)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "the file must be a table"),
        ({"UserConfig": {"Namespace": []}}, "UserConfig: unknown property Namespace;"),
        ({"UserConfig": {"Logging": {"Type": "File"}}}, "Namespaces for Service Bus or NamespaceConfig for Event Hubs"),
        ({"UserConfig": {"Namespaces": []}}, "must hold one namespace, not 0"),
        (config_of(queues={}), r"Namespaces\[0\]\.Queues must be a list"),
        (config_of(queues=[{"Properties": {}}]), r"Queues\[0\]: None cannot be a name"),
        (config_of(queues=[QUEUE, QUEUE]), r"Queues\[1\]: there is another queue\.1 before it"),
        (config_of(queues=[{**QUEUE, "Subscriptions": []}]), "unknown property Subscriptions"),
        (config_of(queues=[]), "nothing can be forwarded to queue.1"),
        (hubs_config(HUB, HUB), r"Entities\[1\]: there is another eh1 before it"),
        (hubs_config({**HUB, "PartitionCount": "two"}), r"eh1\.PartitionCount must be a whole number"),
        (hubs_config({**HUB, "Retention": 1}), r"Entities\[0\]: unknown property Retention"),
        (hubs_config({**HUB, "ConsumerGroups": ["cg1"]}), r"Entities\[0\]\.ConsumerGroups\[0\] must be a table"),
        (hubs_config({**HUB, "ConsumerGroups": [{"Name": "a/b"}]}), "'a/b' cannot be a name"),
        (hubs_config(HUB, kind="Kafka"), r"NamespaceConfig\[0\]\.Type must be EventHub"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, document: Any, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        load(written(tmp_path, document))


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"Config\.json is not valid JSON"):
        load(path)


def test_comments_are_left_out(tmp_path: Path) -> None:
    """As in the emulators' samples; what looks like one in a text is none, and places are those in the file."""
    queue = {"Name": "q", "Properties": {"UserMetadata": "http://a /* b */ \\"}}
    document = json.dumps(config_of(queues=[queue], topics=[]), indent=1)
    commented = document.replace("{\n", "{ // here\n/* and\nthere */", 3)
    path = tmp_path / "Config.json"
    path.write_text(commented, encoding="utf-8")
    assert load(path).queues == {"q": QueueSettings()}
    before, after = commented.split('"Name": "q"')
    path.write_text(f'{before}"Name"; "q"{after}', encoding="utf-8")
    line = before.count("\n") + 1
    with pytest.raises(Misconfigured, match=f"line {line} column"):
        load(path)
