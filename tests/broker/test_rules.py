"""Operations on the rules of subscriptions, by wire; what rules do is in tests/conformance.

The Python SDK has no operations on rules over AMQP; those of other languages send what these tests send.
"""

from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from localcloud.broker.message import parse_message
from localcloud.broker.rules.message_properties import changed, properties_of
from localcloud.broker.rules.sql_action import Changes
from localcloud.broker.wire.amqp_types import Described, ULong
from tests.broker.running import RunningBroker
from tests.broker.wire import ask_for_body, wire_client
from tests.conformance.servicebus.exchange import bodies, peek, send


def test_properties_that_make_no_sense_match_nothing() -> None:
    """And an action replaces them."""
    nameless = b"\x72\x00\x00\x00\x00\x40"  # a float and what it stands for
    message = parse_message(b"\x00\x53\x74\xc1\x07\x02" + nameless + b"\x00\x53\x77\x40")
    assert properties_of(message).user == {}
    assert properties_of(changed(message, Changes({"a": 1}, {}))).user == {"a": 1}


async def operate(
    broker: RunningBroker, operation: str, body: dict[str, Any], node: str = "ruled/Subscriptions/managed"
) -> tuple[int, Any]:
    """Status and body of the response, or status and condition of the error."""
    async with wire_client(broker.port) as client:
        await client.begin()
        name = {"operation": f"com.microsoft:{operation}"}
        properties, answer = await ask_for_body(client, f"{node}/$management", name, body)
        return properties["statusCode"], properties.get("errorCondition", answer)


def sql_rule(name: str, condition: str, action: str | None = None) -> dict[str, Any]:
    description: dict[str, Any] = {"sql-filter": {"expression": condition}}
    description["sql-rule-action"] = None if action is None else {"expression": action}
    return {"rule-name": name, "rule-description": description}


async def enumerate_rules(broker: RunningBroker) -> list[list[Any]]:
    status, body = await operate(broker, "enumerate-rules", {"top": 100, "skip": 0})
    if status == 204:
        return []
    descriptions = [rule["rule-description"] for rule in body["rules"]]
    assert {description.descriptor for description in descriptions} == {0x13700000004}
    return [description.value for description in descriptions]


async def test_rules_are_added_enumerated_and_removed(broker: RunningBroker, client: ServiceBusClient) -> None:
    """From then on they decide what the subscription takes; without any it takes nothing."""
    sender = client.get_topic_sender("ruled")
    receiver = client.get_subscription_receiver("ruled", "managed")
    async with sender, receiver:
        await send(sender, "by default")
        no_action = Described(ULong(0x13700000005), [])
        assert await enumerate_rules(broker) == [[Described(ULong(0x1370000007), []), no_action, "$Default"]]

        assert (await operate(broker, "remove-rule", {"rule-name": "$default"}))[0] == 200
        assert await enumerate_rules(broker) == []
        await send(sender, "by none")

        assert (await operate(broker, "add-rule", sql_rule("sql", "a = 1", "SET a = 2")))[0] == 200
        wanted = {"label": "l", "content-type": None, "properties": {"b": 3}}
        correlation = {"rule-name": "correlation", "rule-description": {"correlation-filter": wanted}}
        assert (await operate(broker, "add-rule", correlation))[0] == 200
        assert await enumerate_rules(broker) == [
            [Described(ULong(0x1370000009), [None] * 4 + ["l"] + [None] * 3 + [{"b": 3}]), no_action, "correlation"],
            [Described(ULong(0x1370000006), ["a = 1"]), Described(ULong(0x13700000006), ["SET a = 2"]), "sql"],
        ]
        _, page = await operate(broker, "enumerate-rules", {"top": 1, "skip": 1})
        assert [rule["rule-description"].value[2] for rule in page["rules"]] == ["sql"]
        await send(
            sender,
            ServiceBusMessage("by sql", application_properties={"a": 1}),
            ServiceBusMessage("by correlation", subject="l", application_properties={"b": 3}),
            ServiceBusMessage("by neither", subject="l"),
        )
        assert bodies(await peek(receiver)) == ["by default", "by sql", "by correlation"]


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("add-rule", {}, (400, "com.microsoft:argument-error")),
        ("add-rule", sql_rule("", "1=1"), (400, "com.microsoft:argument-error")),
        ("add-rule", sql_rule("bad", "1="), (400, "com.microsoft:argument-error")),
        ("add-rule", sql_rule("bad", "1=1", "SET"), (400, "com.microsoft:argument-error")),
        ("add-rule", {"rule-name": "bad", "rule-description": {}}, (400, "com.microsoft:argument-error")),
        (
            "add-rule",
            {"rule-name": "bad", "rule-description": {"correlation-filter": {"properties": None}}},
            (400, "com.microsoft:argument-error"),
        ),
        ("add-rule", sql_rule("LARGE", "1=1"), (409, "com.microsoft:entity-already-exists")),
        ("remove-rule", {"rule-name": "absent"}, (404, "amqp:not-found")),
        ("enumerate-rules", {"top": -1, "skip": 0}, (400, "com.microsoft:argument-error")),
    ],
)
async def test_an_operation_on_rules_that_makes_no_sense_is_refused(
    broker: RunningBroker, operation: str, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert await operate(broker, operation, body, "orders/Subscriptions/large") == expected
