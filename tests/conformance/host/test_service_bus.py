"""Service Bus triggers as their documentation describes them, sessions above all."""

import asyncio
from collections import Counter
from collections.abc import Callable

from azure.servicebus import ServiceBusMessage

from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench
from tests.host.observer import Observation

_OPTIONS = "azure/azure-functions/functions-bindings-service-bus#hostjson-settings"
_TRIGGER = "azure/azure-functions/functions-bindings-service-bus-trigger"
_SESSIONS = "azure/service-bus-messaging/message-sessions"
_TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _order(body: str, session: str) -> ServiceBusMessage:
    return ServiceBusMessage(body, session_id=session)


def _seen(observations: list[Observation]) -> list[dict[str, object]]:
    return [each["seen"] for each in observations]


def _is_text(text: str) -> Callable[[Observation], bool]:
    return lambda each: bool(each["seen"]["text"] == text)


def _most_at_once(seen: list[dict[str, object]], name: str) -> int:
    """How many different ones were begun and not done at any time."""
    running: Counter[object] = Counter()
    most = 0
    for each in seen:
        running[each[name]] += 1 if each["phase"] == "begun" else -1
        most = max(most, sum(1 for count in running.values() if count > 0))
    return most


@documented(f"{_SESSIONS}#first-in-first-out-fifo-pattern")
async def test_messages_of_a_session_are_taken_in_order_and_sessions_side_by_side(stage: Bench, host: Child) -> None:
    """With `is_sessions_enabled` one caller has a session at a time; `maxConcurrentSessions` is the bound, and a
    session that is idle makes room for the next after `sessionIdleTimeout`.
    """
    names = ("a", "b", "c")
    await stage.send_messages(*(_order(f"{name}{i}", name) for i in range(3) for name in names), queue="orders")
    seen = _seen(await stage.observer.wait("orders", 18, where=lambda each: each["seen"]["session"] in names))
    for name in names:
        steps = [(each["body"], each["phase"]) for each in seen if each["session"] == name]
        assert steps == [(f"{name}{i}", phase) for i in range(3) for phase in ("begun", "done")]
    assert _most_at_once(seen, "session") == 2  # maxConcurrentSessions


@documented(f"{_TRIGGER}#peeklock-behavior")
async def test_a_failing_message_of_a_session_comes_again_before_the_next(stage: Bench, host: Child) -> None:
    """A failure abandons the message: it keeps its place in the session."""
    await stage.send_messages(_order("fail", "f"), _order("after", "f"), queue="orders")
    await stage.observer.wait("orders", where=lambda each: each["seen"]["body"] == "after")
    seen = _seen(await stage.observer.wait("orders", 5, where=lambda each: each["seen"]["session"] == "f"))
    assert [(each["body"], each["delivery_count"]) for each in seen if each["phase"] == "begun"] == [
        ("fail", 1),
        ("fail", 2),
        ("after", 1),
    ]


@documented(f"{_TRIGGER}#attributes")
async def test_a_batch_of_a_session_holds_messages_of_that_session_only(stage: Bench, host: Child) -> None:
    """`is_sessions_enabled` with the cardinality MANY."""
    messages = [_order(f"{session}{i}", session) for session in ("x", "y") for i in range(4)]
    await stage.send_messages(*messages, queue="ordered-batches")
    bodies: dict[str, list[str]] = {"x": [], "y": []}
    async with asyncio.timeout(20):
        count = 0
        while sum(map(len, bodies.values())) < 8:
            count += 1
            *_, last = await stage.observer.wait("order_batches", count)
            (session,) = last["seen"]["sessions"]
            bodies[session] += last["seen"]["bodies"]
    assert bodies == {session: [f"{session}{i}" for i in range(4)] for session in ("x", "y")}


@documented(_OPTIONS)
async def test_a_batch_waits_for_its_least_size_and_not_for_ever(stage: Bench, host: Child) -> None:
    """`minMessageBatchSize` messages go together; fewer go when `maxBatchWaitTime` is over."""
    await stage.send_messages(ServiceBusMessage("b1"), queue="batches")
    await asyncio.sleep(0.3)
    await stage.send_messages(ServiceBusMessage("b2"), ServiceBusMessage("b3"), queue="batches")
    (first,) = await stage.observer.wait("batches")
    assert first["seen"]["bodies"] == ["b1", "b2", "b3"]
    await stage.send_messages(ServiceBusMessage("b4"), queue="batches")
    *_, second = await stage.observer.wait("batches", 2)
    assert second["seen"]["bodies"] == ["b4"]


@documented(_OPTIONS)
async def test_no_more_messages_are_in_hand_than_concurrent_calls_are_allowed(stage: Bench, host: Child) -> None:
    """`maxConcurrentCalls` bounds the invocations of a function that takes single messages."""
    await stage.send_messages(*(ServiceBusMessage(f"short {i}") for i in range(6)), queue="texts")
    seen = _seen(await stage.observer.wait("texts", 12, where=lambda each: each["seen"]["text"].startswith("short")))
    assert _most_at_once(seen, "text") == 2


@documented(f"{_TRIGGER}#peeklock-behavior")
async def test_the_lock_of_a_message_is_renewed_while_its_function_runs(stage: Bench, host: Child) -> None:
    """Nearly six seconds with a lock of five: nobody else gets the message, and it is completed in the end."""
    await stage.send_messages(ServiceBusMessage("long one"), queue="texts")
    seen = _seen(await stage.observer.wait("texts", 2, where=_is_text("long one")))
    assert [each["phase"] for each in seen] == ["begun", "done"]
    async with stage.receiver("texts") as receiver:
        assert "long one" not in [str(message) for message in await receiver.peek_messages(10)]


@documented("azure/service-bus-messaging/service-bus-end-to-end-tracing")
async def test_the_trace_of_a_message_is_passed_on_under_its_old_name_too(stage: Bench, host: Child) -> None:
    """`Diagnostic-Id` is what SDKs wrote before `traceparent`; a message without either begins a trace."""
    traced = ServiceBusMessage("traced", application_properties={"Diagnostic-Id": _TRACE_PARENT})
    await stage.send_messages(traced, ServiceBusMessage("untraced"), queue="texts")
    parents = {}
    for text in ("traced", "untraced"):
        (begun, *_) = await stage.observer.wait("texts", where=_is_text(text))
        parents[text] = begun["seen"]["parent"]
    assert parents["traced"] == _TRACE_PARENT
    assert parents["untraced"].startswith("00-")
    assert parents["untraced"] != _TRACE_PARENT


@documented(f"{_TRIGGER}#usage")
async def test_a_message_may_be_taken_as_plain_text(stage: Bench, host: Child) -> None:
    """A parameter of type `str` is the body."""
    await stage.send_messages(ServiceBusMessage("größe"), queue="texts")
    await stage.observer.wait("texts", 2, where=_is_text("größe"))
