"""The declaration of entities."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import localcloud
from localcloud.broker.declarations.config import EventHubSettings, QueueSettings, TopicSettings, load, parse
from localcloud.broker.declarations.declared import parse_duration
from localcloud.broker.declarations.declared_limits import DEFAULT_LIMITS, Limits
from localcloud.errors import Misconfigured


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT30S", 30), ("PT1M", 60), ("PT1H30M", 5400), ("P14D", 1_209_600), ("P1DT0.5S", 86_400.5)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """ISO 8601, as in Microsoft's Config.json."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "30", "PT30", "P1M", "1D", "PT-1S", "P1DT"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Months have no length."""
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_duration(text)


def test_entities_are_read_with_defaults() -> None:
    """An entity's own property counts before the common default, and that before the service's."""
    config = parse(
        {
            "servicebus": {
                "defaults": {"LockDuration": "PT30S", "MaxDeliveryCount": 5},
                "queues": {
                    "plain": {},
                    "special": {
                        "LockDuration": "PT5S",
                        "DefaultMessageTimeToLive": "P1D",
                        "DeadLetteringOnMessageExpiration": True,
                        "RequiresSession": True,
                        "RequiresDuplicateDetection": True,
                    },
                    "empty": {"ForwardTo": "", "ForwardDeadLetteredMessagesTo": ""},
                    "forwarding": {"ForwardTo": "Plain", "ForwardDeadLetteredMessagesTo": "listed"},
                    "endless": {"DefaultMessageTimeToLive": "P10675199DT2H48M5.4775807S"},
                },
                "topics": {
                    "listed": {"Subscriptions": ["a", "b"]},
                    "detailed": {
                        "Subscriptions": {"c": {"MaxDeliveryCount": 1}},
                        "RequiresDuplicateDetection": True,
                        "DuplicateDetectionHistoryTimeWindow": "PT1M",
                    },
                },
            },
            "eventhubs": {
                "hub": {"PartitionCount": 4, "ConsumerGroups": ["g"], "RetentionTimeInHours": 1},
                "small": {},
            },
            "iothub": {"routes": []},
        }
    )
    plain = QueueSettings(lock_duration_s=30, max_delivery_count=5)
    assert config.queues == {
        "plain": plain,
        "endless": plain,
        "empty": plain,
        "forwarding": replace(plain, forward_to="Plain", forward_dead_letters_to="listed"),
        "special": QueueSettings(
            lock_duration_s=5,
            max_delivery_count=5,
            default_time_to_live_s=86_400,
            dead_letter_on_expiration=True,
            requires_session=True,
            duplicate_window_s=600,
        ),
    }
    assert config.topics == {
        "listed": TopicSettings({"a": plain, "b": plain}),
        "detailed": TopicSettings({"c": QueueSettings(lock_duration_s=30, max_delivery_count=1)}, 60),
    }
    assert config.event_hubs == {"hub": EventHubSettings(4, ("g",), 3600), "small": EventHubSettings(1)}


def test_what_azure_has_beyond_is_cut_or_passed_over() -> None:
    """A declaration that was made for Azure is good here too, as far as an app can tell."""
    beyond = {
        "MaxSizeInMegabytes": 5120,
        "MaxMessageSizeInKilobytes": 102_400,
        "Status": "Active",
        "AutoDeleteOnIdle": "P10675199DT2H48M5.4775807S",
        "EnableBatchedOperations": True,
        "EnableExpress": False,
        "EnablePartitioning": False,
        "UserMetadata": "of the app",
    }
    config = parse({"servicebus": {"queues": {"q": beyond}, "topics": {"t": {**beyond, "SupportOrdering": True}}}})
    assert config.queues == {"q": QueueSettings()}
    assert config.topics == {"t": TopicSettings({})}


def test_limits_are_read() -> None:
    """Each for itself; a status closes an entity to senders, to receivers or to both."""
    declared = {"MaxSizeInMegabytes": 2, "MaxMessageSizeInKilobytes": 256, "Status": "ReceiveDisabled"}
    config = parse({"servicebus": {"queues": {"q": declared, "off": {"Status": "Disabled"}}}})
    assert config.queues["q"].limits == Limits(2 << 20, 256 << 10, send_disabled=False, receive_disabled=True)
    assert config.queues["off"].limits == replace(DEFAULT_LIMITS, send_disabled=True, receive_disabled=True)


def test_the_topics_time_to_live_is_the_most_for_its_subscriptions() -> None:
    """One of their own counts if it is shorter."""
    own = {"shorter": "PT1M", "longer": "P1D"}
    subscriptions = {name: {"DefaultMessageTimeToLive": life} for name, life in own.items()}
    topic = {"DefaultMessageTimeToLive": "PT1H", "Subscriptions": {**subscriptions, "none": {}}}
    found = parse({"servicebus": {"topics": {"t": topic}}}).topics["t"].subscriptions
    lives_s = {name: one.default_time_to_live_s for name, one in found.items()}
    assert lives_s == {"shorter": 60, "longer": 3600, "none": 3600}


def rules(declared: object) -> dict[str, Any]:
    """A document with these rules for a subscription."""
    return {"servicebus": {"topics": {"t": {"Subscriptions": {"s": {"Rules": declared}}}}}}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"servicebus": {"queue": {}}}, "servicebus: unknown property queue"),
        ({"servicebus": {"queues": {"q": {"LockDuratoin": "PT1M"}}}}, r"queues\.q: unknown property LockDuratoin"),
        ({"servicebus": {"queues": {"q": {"ForwardsTo": "x"}}}}, "unknown property ForwardsTo"),
        ({"servicebus": {"queues": {"q": {"LockDuration": 60}}}}, r"q\.LockDuration: "),
        ({"servicebus": {"queues": {"q": {"LockDuration": "1 min"}}}}, "'1 min' is no ISO 8601 duration"),
        ({"servicebus": {"queues": {"q": {"LockDuration": "PT0S"}}}}, "longer than nothing"),
        ({"servicebus": {"queues": {"q": {"MaxDeliveryCount": 0}}}}, "whole number from 1"),
        ({"servicebus": {"queues": {"q": {"RequiresSession": "yes"}}}}, "true or false"),
        ({"servicebus": {"queues": {"q": []}}}, r"queues\.q must be a table"),
        ({"servicebus": {"queues": {"a//b": {}}}}, "cannot be a name"),
        ({"servicebus": {"queues": {"a/Subscriptions/b": {}}}}, "cannot be a name"),
        ({"servicebus": {"queues": {"a" + "/a" * 8: {}}}}, "cannot be a name"),
        ({"servicebus": {"topics": {"t": {"Subscriptions": ["a/b"]}}}}, "cannot be a name"),
        ({"servicebus": {"queues": {"q": {"Status": "Off"}}}}, "Status must be one of Active, SendDisabled"),
        ({"servicebus": {"queues": {"q": {"MaxSizeInMegabytes": 0}}}}, "whole number from 1 to 81920"),
        ({"servicebus": {"queues": {"q": {"EnablePartitioning": True}}}}, "partitioned entities are not supported"),
        ({"servicebus": {"topics": {"t": {"AutoDeleteOnIdle": "PT5M"}}}}, "are never deleted"),
        ({"servicebus": {"queues": {"q": {}, "Q": {}}}}, "two entities are called Q"),
        ({"servicebus": {"queues": {"q": {}}}, "eventhubs": {"q": {}}}, "two entities are called q"),
        ({"servicebus": {"topics": {"t": {"Subscriptions": ["s", "S"]}}}}, "two entities are called S"),
        ({"servicebus": {"topics": {"t": {"Subscriptions": [1]}}}}, "1 cannot be a name"),
        (
            {"servicebus": {"topics": {"t": {"Subscriptions": {"s": {"RequiresDuplicateDetection": True}}}}}},
            "a property of the topic",
        ),
        ({"servicebus": {"queues": {"q": {"ForwardTo": "absent"}}}}, r"queues\.q: nothing can be forwarded to absent"),
        (
            {"servicebus": {"queues": {"q": {"ForwardDeadLetteredMessagesTo": "Q"}}}},
            "forwarded to Q, which is no other",
        ),
        (
            {"servicebus": {"topics": {"t": {"Subscriptions": {"s": {"ForwardTo": "t"}}}}}},
            r"t\.Subscriptions\.s: nothing can be forwarded to t",
        ),
        (
            {"servicebus": {"queues": {"q": {"ForwardTo": "r", "RequiresSession": True}, "r": {}}}},
            "does not go together with RequiresSession",
        ),
        (rules({}), r"s\.Rules must be a list"),
        (rules([{"Name": "r"}]), r"Rules\[0\]\.Properties must be a table"),
        (rules([{"Name": "r", "Properties": {"FilterType": "Xml"}}]), "FilterType must be Sql, Correlation"),
        (
            rules([{"Name": "r", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "a ="}}}]),
            r"SqlFilter\.SqlExpression: a property is expected, not the end, at character 4 of 'a ='",
        ),
        (
            rules(
                [
                    {
                        "Name": "r",
                        "Properties": {"FilterType": "True", "Action": {"SqlExpression": "SET sys.Size = 1"}},
                    }
                ]
            ),
            r"Action\.SqlExpression: there is no system property 'Size'",
        ),
        (
            rules([{"Name": "r", "Properties": {"FilterType": "Correlation", "CorrelationFilter": {}}}]),
            "names no property",
        ),
        (
            rules([{"Name": name, "Properties": {"FilterType": "True"}} for name in ("r", "R")]),
            "two rules have the same name",
        ),
        ({"eventhubs": {"h": {"PartitionCount": 0}}}, "whole number from 1"),
        ({"eventhubs": {"h": {"ConsumerGroups": "g"}}}, "must be a list"),
        ({"eventhubs": {"h": {"RetentionTimeInHours": 0}}}, "above 0 and up to 2160"),
        ({"eventhubs": {"h": {"RetentionTimeInHours": "P1D"}}}, "must be a number"),
        ({"eventhubs": {"h": {"Partitions": 2}}}, "unknown property Partitions; known are"),
    ],
)
def test_a_mistake_is_named(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        parse(document)


def test_the_projects_own_declaration_is_valid() -> None:
    config = load(Path(localcloud.__file__).parent / "cloud.toml")
    assert config.queues
    assert config.event_hubs


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"cannot read .*absent\.toml"):
        load(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("= nothing", encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"bad\.toml is not valid TOML"):
        load(tmp_path / "bad.toml")
