"""What AMQP clients say, as the SDKs say it. Pure."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from localcloud.broker.message import (
    APPLICATION_PROPERTIES,
    BATCH_FORMAT,
    DATA,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    VALUE,
)
from localcloud.broker.wire.amqp_types import Array, Described, Int, Symbol, Timestamp, UByte, UInt, ULong
from localcloud.broker.wire.encoder import described, encode
from localcloud.broker.wire.frames import AMQP_PROTOCOL, SASL_PROTOCOL, protocol_header
from localcloud.broker.wire.performatives import (
    ACCEPTED,
    ATTACH,
    CLOSE,
    DETACH,
    DISPOSITION,
    END,
    MODIFIED,
    REJECTED,
    RELEASED,
    SOURCE,
    TARGET,
    TRANSFER,
    performative,
)
from tests.broker.wire import (
    SASL_PLAIN,
    amqp_frame,
    attach_consumer_body,
    attach_producer_body,
    begin_body,
    data_message,
    disposition_body,
    flow_body,
    open_body,
    transfer_body,
)

QUEUE, SESSIONS, UNIQUE, TOPIC, SUBSCRIPTION, HUB = "queue", "sessions", "unique", "topic", "all", "hub"
HEALTHY_QUEUE = "healthy"  # for a client that says nothing wrong
CONFIG = f"""
[servicebus.queues.{QUEUE}]
LockDuration = "PT1S"
MaxDeliveryCount = 2
[servicebus.queues.{SESSIONS}]
RequiresSession = true
LockDuration = "PT1S"
[servicebus.queues.{UNIQUE}]
RequiresDuplicateDetection = true
LockDuration = "PT1S"
[servicebus.topics.{TOPIC}.Subscriptions.{SUBSCRIPTION}]
LockDuration = "PT1S"
[[servicebus.topics.{TOPIC}.Subscriptions.{SUBSCRIPTION}.Rules]]
Name = "colour"
Properties = {{ FilterType = "Sql", SqlFilter = {{ SqlExpression = "colour = 'red' OR sys.MessageId LIKE 'i%'" }} }}
[eventhubs.{HUB}]
PartitionCount = 2
[servicebus.queues.{HEALTHY_QUEUE}]
"""
# Where what was said may wait to be received.
WAITING_PLACES = (
    *(place for queue in (QUEUE, UNIQUE) for place in (queue, f"{queue}/$DeadLetterQueue")),
    f"{SESSIONS}/$DeadLetterQueue",
    f"{TOPIC}/Subscriptions/{SUBSCRIPTION}",
    f"{TOPIC}/Subscriptions/{SUBSCRIPTION}/$DeadLetterQueue",
)

HANDSHAKE = (protocol_header(SASL_PROTOCOL), SASL_PLAIN, protocol_header(AMQP_PROTOCOL), amqp_frame(open_body()))
# The handshake and the begin of a session: damaged more rarely than the rest.
HANDSHAKE_FRAMES = len(HANDSHAKE) + 1
_SESSION_FILTER = "com.microsoft:session-filter"


def _message(body: bytes, message_id: Any = "id", session_id: str | None = None) -> bytes:
    properties = [message_id, None, None, "subject", "answers", None, None, None, None, None, session_id]
    return b"".join(
        (
            described(HEADER, encode([True, UByte(4), UInt(60_000)])),
            described(MESSAGE_ANNOTATIONS, encode({Symbol("x-opt-partition-key"): "key"})),
            described(PROPERTIES, encode(properties)),
            described(APPLICATION_PROPERTIES, encode({"colour": "red", "number": 7, "moment": Timestamp(1)})),
            data_message(body),
        )
    )


def _batch(*bodies: bytes) -> bytes:
    return b"".join(described(DATA, encode(_message(body, f"batched-{body!r}", "one"))) for body in bodies)


def _request(operation: str, body: Any, **properties: Any) -> bytes:
    return b"".join(
        (
            described(PROPERTIES, encode([UUID(int=1), None, None, None, "answers"])),
            described(APPLICATION_PROPERTIES, encode({"operation": operation, **properties})),
            described(VALUE, encode(body)),
        )
    )


def _consume_session(handle: int, session_id: str | None) -> bytes:
    wanted = Described(ULong(0x137000C), session_id) if session_id else None
    filters = {Symbol(_SESSION_FILTER): wanted}
    source = Described(ULong(SOURCE), [SESSIONS, None, None, None, None, None, None, filters])
    target = Described(ULong(TARGET), [None])
    wait = {Symbol("com.microsoft:timeout"): UInt(200)}
    return performative(ATTACH, f"session-{handle}", UInt(handle), True, None, None, source, target, *[None] * 6, wait)


def _event_reader(handle: int, selector: str) -> bytes:
    filters = {Symbol("apache.org:selector-filter:string"): Described(ULong(0x468C00000004), selector)}
    address = f"{HUB}/ConsumerGroups/$Default/Partitions/1"
    source = Described(ULong(SOURCE), [address, None, None, None, None, None, None, filters])
    properties = {Symbol("com.microsoft:epoch"): 3}
    return performative(
        ATTACH,
        f"reader-{handle}",
        UInt(handle),
        True,
        None,
        None,
        source,
        Described(ULong(TARGET), [None]),
        *[None] * 5,
        Array([Symbol("com.microsoft:enable-receiver-runtime-metric")]),
        properties,
    )


def _parts(handle: int, delivery_id: int, payload: bytes, count: int) -> list[bytes]:
    """A delivery in several transfers."""
    size = -(-len(payload) // count)
    starts = range(0, len(payload), size)
    return [
        transfer_body(handle, delivery_id, more=start != starts[-1]) + payload[start : start + size] for start in starts
    ]


def _batch_transfer(handle: int, delivery_id: int) -> bytes:
    return performative(TRANSFER, UInt(handle), UInt(delivery_id), b"tag", UInt(BATCH_FORMAT), False, False)


def _reject(first: int) -> bytes:
    reasons = {Symbol("DeadLetterReason"): "r", Symbol("DeadLetterErrorDescription"): "d"}
    error = Described(ULong(0x1D), [Symbol("com.microsoft:dead-letter"), "why", reasons])
    return performative(DISPOSITION, True, UInt(first), None, False, Described(ULong(REJECTED), [error]))


def _defer(first: int) -> bytes:
    return performative(DISPOSITION, True, UInt(first), None, True, Described(ULong(MODIFIED), [True, True, {}]))


def _detach(handle: int) -> bytes:
    return performative(DETACH, UInt(handle), True, None)


def _queue_talk() -> list[bytes]:
    return [
        attach_producer_body(0, "$cbs"),
        attach_consumer_body(1, "$cbs", reply_to="answers"),
        flow_body(1, 10),
        transfer_body(0, 0) + _request("put-token", "token", name="amqp://localhost/queue", type="sastoken"),
        attach_producer_body(2, QUEUE),
        transfer_body(2, 1) + _message(b"one"),
        _batch_transfer(2, 2) + _batch(b"two", b"three"),
        *_parts(2, 3, _message(bytes(300)), 5),
        attach_consumer_body(3, f"amqps://localhost/{QUEUE}"),
        flow_body(3, 10),
        disposition_body(1, 1, ACCEPTED),
        disposition_body(2, 3, RELEASED),
        _reject(4),
        _defer(5),
        flow_body(3, 5, drain=True),
        _detach(3),
        _detach(2),
        performative(END, None),
    ]


def _management_talk() -> list[bytes]:
    node = f"{QUEUE}/$management"
    scheduled = [{"message": _message(b"later"), "message-id": "later"}]
    requests = [
        ("peek-message", {"from-sequence-number": 1, "message-count": Int(10)}),
        ("schedule-message", {"messages": scheduled}),
        ("cancel-scheduled-message", {"sequence-numbers": Array([1, 2])}),
        ("receive-by-sequence-number", {"sequence-numbers": Array([1]), "receiver-settle-mode": UInt(1)}),
        ("renew-lock", {"lock-tokens": Array([UUID(int=7)])}),
        ("update-disposition", {"disposition-status": "completed", "lock-tokens": Array([UUID(int=7)])}),
    ]
    return [
        attach_consumer_body(0, node, reply_to="answers"),
        attach_producer_body(1, node),
        flow_body(0, 100),
        attach_producer_body(2, QUEUE),
        transfer_body(2, 0) + _message(b"peeked"),
        *(
            transfer_body(1, number) + _request(f"com.microsoft:{operation}", body)
            for number, (operation, body) in enumerate(requests, 1)
        ),
        _detach(1),
    ]


def _session_talk() -> list[bytes]:
    node = f"{SESSIONS}/$management"
    requests = [
        ("set-session-state", {"session-id": "one", "session-state": b"state"}),
        ("get-session-state", {"session-id": "one"}),
        ("renew-session-lock", {"session-id": "one"}),
        ("get-message-sessions", {"last-updated-time": Timestamp(0), "skip": Int(0), "top": Int(10)}),
    ]
    return [
        attach_producer_body(0, SESSIONS),
        transfer_body(0, 0) + _message(b"first", session_id="one"),
        _consume_session(1, "one"),
        flow_body(1, 10),
        _consume_session(2, None),
        attach_consumer_body(3, node, reply_to="answers"),
        attach_producer_body(4, node),
        flow_body(3, 100),
        *(
            transfer_body(4, number) + _request(f"com.microsoft:{operation}", body)
            for number, (operation, body) in enumerate(requests, 1)
        ),
        disposition_body(0, 0, ACCEPTED),
    ]


def _topic_talk() -> list[bytes]:
    node = f"{TOPIC}/Subscriptions/{SUBSCRIPTION}/$management"
    rule = {"expression": "colour = 'red' AND number IN (1, 2, 7)"}
    requests = [
        ("enumerate-rules", {"top": Int(10), "skip": Int(0)}),
        ("add-rule", {"rule-name": "new", "rule-description": {"sql-filter": rule}}),
        ("add-rule", {"rule-name": "same", "rule-description": {"correlation-filter": {"label": "subject"}}}),
        ("remove-rule", {"rule-name": "new"}),
        ("remove-rule", {"rule-name": "same"}),
    ]
    return [
        attach_producer_body(0, TOPIC),
        transfer_body(0, 0) + _message(b"news"),
        attach_consumer_body(1, node, reply_to="answers"),
        attach_producer_body(2, node),
        flow_body(1, 100),
        *(
            transfer_body(2, number) + _request(f"com.microsoft:{operation}", body)
            for number, (operation, body) in enumerate(requests, 1)
        ),
        transfer_body(0, 6) + _message(b"more news"),
        attach_consumer_body(3, f"{TOPIC}/Subscriptions/{SUBSCRIPTION}"),
        flow_body(3, 10),
        disposition_body(0, 9, ACCEPTED),
        attach_producer_body(4, UNIQUE),
        transfer_body(4, 7) + _message(b"once"),
    ]


def _event_hub_talk() -> list[bytes]:
    return [
        attach_producer_body(0, f"amqps://localhost/{HUB}"),
        transfer_body(0, 0) + _message(b"event"),
        _batch_transfer(0, 1) + _batch(b"e1", b"e2"),
        attach_producer_body(1, f"{HUB}/Partitions/1"),
        *_parts(1, 2, _message(bytes(200)), 3),
        _event_reader(2, "amqp.annotation.x-opt-offset > '-1'"),
        flow_body(2, 10),
        attach_consumer_body(3, "$management", reply_to="answers"),
        attach_producer_body(4, "$management"),
        flow_body(3, 100),
        transfer_body(4, 3) + _request("READ", {}, name=HUB, type="com.microsoft:eventhub"),
        transfer_body(4, 4) + _request("READ", {}, name=HUB, type="com.microsoft:partition", partition="1"),
        flow_body(None),
    ]


def conversations() -> dict[str, list[bytes]]:
    """By name: each the frames of one connection."""
    talks: dict[str, Callable[[], list[bytes]]] = {
        "queue": _queue_talk,
        "management": _management_talk,
        "sessions": _session_talk,
        "topic": _topic_talk,
        "event hub": _event_hub_talk,
    }
    return {
        name: [
            *HANDSHAKE,
            amqp_frame(begin_body(), 1),
            *(amqp_frame(body, 1) for body in talk()),
            amqp_frame(performative(CLOSE, None)),
        ]
        for name, talk in talks.items()
    }
