"""Config.json of Microsoft's Service Bus emulator as a declaration of entities."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.broker.config import QueueSettings, load
from localcloud.broker.rules import CorrelationFilter, SqlFilter
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


def written(directory: Path, document: Any) -> Path:
    path = directory / "Config.json"
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


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "the file must be a table"),
        ({"UserConfig": {"NamespaceConfig": []}}, "UserConfig: unknown property NamespaceConfig"),
        ({"UserConfig": {"Namespaces": []}}, "must hold one namespace, not 0"),
        (config_of(queues={}), r"Namespaces\[0\]\.Queues must be a list"),
        (config_of(queues=[{"Properties": {}}]), r"Queues\[0\]: None cannot be a name"),
        (config_of(queues=[QUEUE, QUEUE]), r"Queues\[1\]: there is another queue\.1 before it"),
        (config_of(queues=[{**QUEUE, "Subscriptions": []}]), "unknown property Subscriptions"),
        (config_of(queues=[]), "nothing can be forwarded to queue.1"),
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
