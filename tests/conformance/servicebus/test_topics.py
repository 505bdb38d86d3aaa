"""Topics and what their subscriptions take: rules, filters and actions."""

from collections.abc import Mapping

import pytest
from azure.servicebus import ServiceBusMessage

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import (
    DEAD_LETTERS,
    SECOND,
    correlation_rule,
    entities,
    queue,
    sql_rule,
    subscription,
    topic,
)
from tests.conformance.servicebus.exchange import bodies, peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

TOPICS = "azure/service-bus-messaging/service-bus-queues-topics-subscriptions#topics-and-subscriptions"
FILTERS = "azure/service-bus-messaging/topic-filters"
SQL = "azure/service-bus-messaging/service-bus-messaging-sql-filter"
ACTIONS = "azure/service-bus-messaging/service-bus-messaging-sql-rule-action"


def order(body: str, subject: str | None = None, **properties: str | float) -> ServiceBusMessage:
    return ServiceBusMessage(body, subject=subject, application_properties={key: properties[key] for key in properties})


@documented(TOPICS)
@entities(topic(first=subscription(), second=subscription()))
async def test_every_subscription_gets_a_copy(station: Station) -> None:
    """With numbers of its own; what one does with it does not touch the other's."""
    first, second = (source.receiver for source in station.subscriptions.values())
    await send(station.sender, ServiceBusMessage("a", application_properties={"k": "v"}), "b")
    received = await receive(first, 2)
    for message in received:
        await first.complete_message(message)
    assert bodies(received) == ["a", "b"]
    assert await peek(first) == []
    copies = await receive(second, 2)
    assert bodies(copies) == ["a", "b"]
    assert copies[0].application_properties == {b"k": b"v"}
    assert [message.sequence_number for message in copies] == [1, 2]


@documented(TOPICS)
@entities(topic(shared=subscription(SECOND)))
async def test_receivers_compete_within_a_subscription(station: Station) -> None:
    """As they do at a queue."""
    source = station.subscriptions["shared"]
    await send(station.sender, "a", "b")
    assert bodies(await receive(source.receiver)) == ["a"]
    assert bodies(await receive(source[SECOND])) == ["b"]


@documented("azure/service-bus-messaging/service-bus-dead-letter-queues#maximum-delivery-count")
@entities(topic(strict=subscription(DEAD_LETTERS, MaxDeliveryCount=1), patient=subscription()))
async def test_each_subscription_has_its_own_limits_and_dead_letters(station: Station) -> None:
    """What is too often for one is not for the other."""
    strict, patient = station.subscriptions["strict"], station.subscriptions["patient"]
    await send(station.sender, "a")
    for source in (strict, patient):
        await source.receiver.abandon_message(await receive_one(source.receiver))
    assert (await receive_one(strict[DEAD_LETTERS])).dead_letter_reason == "MaxDeliveryCountExceeded"
    assert (await receive_one(patient.receiver)).delivery_count == 1


@documented(f"{FILTERS}#sql-filters")
@entities(topic(large=subscription(rules=[sql_rule("amount >= 100")])))
async def test_a_sql_filter_takes_what_its_condition_holds_for(station: Station) -> None:
    """Not what it is unknown for; property names are the same in any case."""
    await send(station.sender, order("cheap", amount=99), order("dear", AMOUNT=100.5), "bare")
    assert bodies(await peek(station.subscriptions["large"].receiver)) == ["dear"]


@documented(f"{FILTERS}#sql-filters")
@entities(topic(bus=subscription(rules=[sql_rule("sys.Label LIKE '%bus%' OR user.tag IN ('queue', 'topic')")])))
async def test_a_sql_filter_sees_system_properties(station: Station) -> None:
    """With the prefix `sys.`; without one a name is the user's."""
    await send(
        station.sender, order("a", "big bus"), order("b", "car"), order("c", tag="topic"), order("d", label="bus")
    )
    assert bodies(await peek(station.subscriptions["bus"].receiver)) == ["a", "c"]


@documented(f"{SQL}#property-evaluation-semantics")
@entities(
    topic(
        missing=subscription(rules=[sql_rule("color IS NULL")]),
        existing=subscription(rules=[sql_rule("EXISTS(color)")]),
        other=subscription(rules=[sql_rule("color <> 'red'")]),
        negated=subscription(rules=[sql_rule("NOT (color = 'red')")]),
    )
)
async def test_a_property_that_is_not_there_is_unknown(station: Station) -> None:
    """Only IS NULL and EXISTS can tell; no comparison holds, nor does its opposite."""
    await send(station.sender, order("red", color="red"), order("blue", color="blue"), order("none"))
    found = {name: bodies(await peek(source.receiver)) for name, source in station.subscriptions.items()}
    assert found == {"missing": ["none"], "existing": ["red", "blue"], "other": ["blue"], "negated": ["blue"]}


@documented(f"{SQL}#arguments")
@entities(
    topic(
        arithmetic=subscription(rules=[sql_rule("price * quantity > 100 AND quantity % 2 = 0")]),
        escaped=subscription(rules=[sql_rule(r"name LIKE '50\%%' ESCAPE '\'")]),
        spaced=subscription(rules=[sql_rule("[order kind] = 'it''s'")]),
        function=subscription(rules=[sql_rule("property('na' + 'me') = 'x'")]),
    )
)
async def test_sql_filters_calculate_and_compare(station: Station) -> None:
    """Arithmetic, patterns with an escape character, delimited names, quotes and functions."""
    await send(
        station.sender,
        order("a", price=20, quantity=6, name="50% off"),
        order("b", price=20, quantity=7, name="500"),
        ServiceBusMessage("c", application_properties={"order kind": "it's", "name": "x"}),
    )
    found = {name: bodies(await peek(source.receiver)) for name, source in station.subscriptions.items()}
    assert found == {"arithmetic": ["a"], "escaped": ["a"], "spaced": ["c"], "function": ["c"]}


@documented(f"{FILTERS}#correlation-filters")
@entities(topic(express=subscription(rules=[correlation_rule(Label="express", Properties={"country": "FI"})])))
async def test_a_correlation_filter_takes_what_equals_in_all_its_properties(station: Station) -> None:
    """Texts in the same case only."""
    await send(
        station.sender,
        order("both", "express", country="FI"),
        order("one", "express", country="SE"),
        order("case", "Express", country="FI"),
        order("none"),
    )
    assert bodies(await peek(station.subscriptions["express"].receiver)) == ["both"]


@documented(f"{FILTERS}#correlation-filters")
@entities(
    topic(
        all=subscription(
            rules=[
                correlation_rule(
                    ContentType="text/plain",
                    CorrelationId="c",
                    MessageId="m",
                    ReplyTo="r",
                    ReplyToSessionId="rs",
                    SessionId="s",
                    To="t",
                )
            ]
        )
    )
)
async def test_a_correlation_filter_may_look_at_each_broker_property(station: Station) -> None:
    """One that differs and it does not match."""
    given = {
        "content_type": "text/plain",
        "correlation_id": "c",
        "message_id": "m",
        "reply_to": "r",
        "reply_to_session_id": "rs",
        "session_id": "s",
        "to": "t",
    }
    for key in given:
        await station.sender.send_messages(ServiceBusMessage(f"without {key}", **{**given, key: "other"}))  # type: ignore[arg-type] # texts, all of them
    await station.sender.send_messages(ServiceBusMessage("all", **given))  # type: ignore[arg-type] # as above
    assert bodies(await peek(station.subscriptions["all"].receiver)) == ["all"]


@documented(f"{FILTERS}#boolean-filters")
@entities(
    topic(
        all=subscription(rules=[{"Name": "all", "Properties": {"FilterType": "True"}}]),
        none=subscription(rules=[{"Name": "none", "Properties": {"FilterType": "False"}}]),
    )
)
async def test_the_true_filter_takes_all_and_the_false_filter_nothing(station: Station) -> None:
    """Whatever the message."""
    await send(station.sender, "a")
    assert bodies(await peek(station.subscriptions["all"].receiver)) == ["a"]
    assert await peek(station.subscriptions["none"].receiver) == []


@documented(FILTERS)
@entities(topic(both=subscription(rules=[sql_rule("a = 1", name="one"), sql_rule("b = 1", name="other")])))
async def test_rules_without_action_give_one_message_together(station: Station) -> None:
    """However many of them match."""
    await send(station.sender, order("a", a=1), order("both", a=1, b=1), order("neither"))
    received = await peek(station.subscriptions["both"].receiver)
    assert bodies(received) == ["a", "both"]
    assert received[1].application_properties == {b"a": 1, b"b": 1}


@documented(FILTERS)
@entities(
    topic(
        five=subscription(
            rules=[
                *(sql_rule("1 = 1", name=f"plain-{number}") for number in range(3)),
                *(sql_rule("1 = 1", f"SET n = {number}", name=f"action-{number}") for number in range(2)),
            ]
        )
    )
)
async def test_each_rule_with_an_action_gives_a_copy(station: Station) -> None:
    """Five rules, two of them with actions: three messages. A copy says in RuleName by which rule it came."""
    await send(station.sender, "a")
    copies = [message.application_properties for message in await peek(station.subscriptions["five"].receiver)]
    assert copies == [None, {b"n": 0, b"RuleName": b"action-0"}, {b"n": 1, b"RuleName": b"action-1"}]


@documented(ACTIONS)
@entities(
    topic(
        taxed=subscription(
            rules=[sql_rule("EXISTS(amount)", "SET Amount = amount * 2; SET from = sys.Label; REMOVE country")]
        ),
        plain=subscription(),
    )
)
async def test_an_action_sets_and_removes_properties_of_its_copy(station: Station) -> None:
    """Other subscriptions get the message as it was; types follow the expression."""
    await send(station.sender, order("cheap", "express", amount=99, Country="FI"), order("dear", amount=100.5))
    taxed = await peek(station.subscriptions["taxed"].receiver)
    assert taxed[0].application_properties == {b"Amount": 198, b"from": b"express", b"RuleName": b"rule"}
    assert (taxed[1].application_properties or {})[b"Amount"] == pytest.approx(201.0)
    plain = await peek(station.subscriptions["plain"].receiver)
    assert plain[0].application_properties == {b"amount": 99, b"Country": b"FI"}


@documented("azure/service-bus-messaging/service-bus-dead-letter-queues#errors-while-processing-subscription-rules")
@entities(
    topic(
        telling=subscription(
            DEAD_LETTERS, rules=[sql_rule("amount > 100")], DeadLetteringOnFilterEvaluationExceptions=True
        ),
        silent=subscription(DEAD_LETTERS, rules=[sql_rule("amount > 100")]),
    )
)
async def test_what_a_filter_fails_on_is_dead_lettered_if_that_is_switched_on(station: Station) -> None:
    """With the error; otherwise the filter just does not match."""
    await send(station.sender, order("a text", amount="lots"), order("a number", amount=101), order("none"))
    telling, silent = station.subscriptions["telling"], station.subscriptions["silent"]
    dead = await receive_one(telling[DEAD_LETTERS])
    assert (str(dead), dead.dead_letter_reason) == ("a text", "FilterException")
    assert "cannot be applied to a text and a number" in (dead.dead_letter_error_description or "")
    assert await peek(silent[DEAD_LETTERS]) == []
    for source in (telling, silent):
        assert bodies(await peek(source.receiver)) == ["a number"]


@documented("azure/service-bus-messaging/service-bus-amqp-request-response#service-bus-entity-address")
@entities(**{"site1/orders": queue(DEAD_LETTERS), "site1/orders/all": topic(only=subscription())})
async def test_names_may_have_slashes(stations: Mapping[str, Station]) -> None:
    """One may begin like another, and what belongs to an entity is found behind its name."""
    orders, everything = stations["site1/orders"], stations["site1/orders/all"]
    await send(orders.sender, "order")
    await send(everything.sender, "all")
    assert bodies(await receive(everything.subscriptions["only"].receiver)) == ["all"]
    await orders.receiver.dead_letter_message(await receive_one(orders.receiver))
    assert bodies(await receive(orders[DEAD_LETTERS])) == ["order"]
