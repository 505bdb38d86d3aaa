"""What breaks the protocol ends the connection, the session or the link, with the condition that names the fault.

Conditions: OASIS AMQP 1.0, part 2, sections 2.8.14 to 2.8.17.
"""

import struct
from collections.abc import Iterator
from uuid import UUID

import pytest

from localcloud.broker.connection import CHANNEL_MAX
from localcloud.broker.message import APPLICATION_PROPERTIES, DATA, HEADER, MESSAGE_ANNOTATIONS, PROPERTIES, VALUE
from localcloud.broker.session import HANDLE_MAX
from localcloud.broker.wire.amqp_types import Array, Encoded, Symbol, UInt, ULong
from localcloud.broker.wire.encoder import described, encode
from localcloud.broker.wire.frames import AMQP_PROTOCOL, SASL, SASL_PROTOCOL, protocol_header
from localcloud.broker.wire.performatives import (
    ATTACH,
    BEGIN,
    CLOSE,
    END,
    OPEN,
    REJECTED,
    performative,
)
from tests.broker.running import RunningBroker
from tests.broker.wire import (
    SASL_PLAIN,
    amqp_frame,
    ask,
    ask_for_body,
    attach_producer_body,
    begin_body,
    data_message,
    flow_body,
    open_body,
    outcome_of,
    put,
    transfer_body,
    wire_client,
)

FRAMING, DECODE = "amqp:connection:framing-error", "amqp:decode-error"
ILLEGAL, NOT_FOUND = "amqp:illegal-state", "amqp:not-found"
NOT_UTF8 = b"\xa1\x01\xff"


def resized(frame: bytes, size: int) -> bytes:
    return struct.pack(">I", size) + frame[4:]


def nested(depth: int) -> bytes:
    """A list of a list of a list …, with true sizes."""
    value = b"\x45"
    for _ in range(depth):
        value = b"\xd0" + struct.pack(">II", len(value) + 4, 1) + value
    return value


def violations() -> Iterator[tuple[str, str, bytes]]:
    """By name: the condition, and what is said on a connection with a session on channel 1."""
    flow = amqp_frame(flow_body(None), 1)
    yield "a frame smaller than its header", FRAMING, resized(flow, 7)
    yield "a frame above the announced size", FRAMING, resized(flow, (1 << 20) + 1)
    yield "a frame of four gigabytes", FRAMING, resized(flow, 2**32 - 1)
    yield "a data offset within the header", FRAMING, flow[:4] + b"\x01" + flow[5:]
    yield "a data offset behind the frame", FRAMING, flow[:4] + b"\xff" + flow[5:]
    yield "a frame of an unknown type", FRAMING, flow[:5] + b"\x07" + flow[6:]
    yield "a SASL frame behind the AMQP header", FRAMING, SASL_PLAIN
    yield "a second AMQP header", FRAMING, protocol_header(AMQP_PROTOCOL)
    yield "a SASL header behind the AMQP header", FRAMING, protocol_header(SASL_PROTOCOL)
    yield "a channel above the highest", FRAMING, amqp_frame(begin_body(), CHANNEL_MAX + 1)
    yield "a second open", ILLEGAL, amqp_frame(open_body())
    yield "a second begin on a channel", ILLEGAL, amqp_frame(begin_body(), 1)
    yield "a flow where no session is", NOT_FOUND, amqp_frame(flow_body(None), 9)
    yield "a body that is no performative", DECODE, amqp_frame(b"\x41", 1)
    yield "an unknown performative where no session is", DECODE, amqp_frame(b"\x00\x53\x99\x45", 9)
    yield "a flow that is cut off", DECODE, amqp_frame(flow_body(None)[:-1], 1)
    yield "a flow with a text for a number", DECODE, amqp_frame(performative(0x13, "many"), 1)
    yield "an attach that is a map", DECODE, amqp_frame(described(ATTACH, encode({"a": 1})), 1)
    yield "a name that is not UTF-8", DECODE, amqp_frame(performative(ATTACH, Encoded(NOT_UTF8), UInt(3), False), 1)
    yield (
        "a name that is a lone surrogate",
        DECODE,
        amqp_frame(performative(ATTACH, Encoded(b"\x73\x00\x00\xd8\x00"), UInt(3), False), 1),
    )
    yield (
        "a settle mode that does not exist",
        DECODE,
        amqp_frame(performative(ATTACH, "a", UInt(3), True, UInt(256)), 1),
    )
    for name, value in {
        "a list that counts more than it holds": b"\xc0\x02\x05\x40",
        "a list that counts less than it holds": b"\xc0\x04\x01\x40\x40\x40",
        "a list that counts four thousand million": b"\xd0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
        "an array of a million nulls": b"\xf0\x00\x00\x00\x05\x00\x0f\x42\x40\x40",
        "an array that ends behind the frame": b"\xf0\xff\xff\xff\xff\x00\x0f\x42\x40\x40",
        "a map with half a pair": b"\xc1\x02\x01\x40",
        "a map with a list for a key": b"\xc1\x03\x02\x45\x40",
        "a text longer than the frame": b"\xb1\x7f\xff\xff\xff\x61",
        "a constructor that does not exist": b"\x3f",
        "a boolean of 2": b"\x56\x02",
        "values without end": b"\x00" * 5000,
        "lists in lists in lists": nested(5000),
    }.items():
        yield name, DECODE, amqp_frame(performative(BEGIN, Encoded(value)), 7)


@pytest.mark.parametrize(
    ("condition", "said"), [pytest.param(condition, said, id=name) for name, condition, said in violations()]
)
async def test_what_breaks_the_protocol_closes_the_connection(
    broker: RunningBroker, condition: str, said: bytes
) -> None:
    """With its reason, and nothing behind it is heard."""
    async with wire_client(broker.port) as client:
        await client.begin()
        client.writer.write(said + amqp_frame(begin_body(), 5))
        closed = await client.receive()
        assert closed is not None
        assert (closed.code, closed.condition) == (CLOSE, condition)
        assert await client.receive() is None


@pytest.mark.parametrize(
    "said",
    [
        protocol_header(SASL_PROTOCOL) + amqp_frame(open_body()),
        protocol_header(SASL_PROTOCOL) * 2,
        protocol_header(SASL_PROTOCOL) + amqp_frame(performative(0x7F), frame_type=SASL),
        protocol_header(SASL_PROTOCOL) + amqp_frame(b"\x00" * 100, frame_type=SASL),
    ],
    ids=["AMQP within SASL", "a second SASL header", "no init", "no performative"],
)
async def test_what_breaks_sasl_ends_the_connection(broker: RunningBroker, said: bytes) -> None:
    """Without a word: an error can only be told behind the AMQP header (part 5, section 5.3.2)."""
    async with wire_client(broker.port) as client:
        client.writer.write(said)
        while (received := await client.receive()) is not None:
            assert received.code not in (OPEN, CLOSE)


@pytest.mark.parametrize("body", [begin_body(), attach_producer_body(0, "wire")])
async def test_the_first_frame_is_an_open(broker: RunningBroker, body: bytes) -> None:
    async with wire_client(broker.port) as client:
        client.writer.write(protocol_header(AMQP_PROTOCOL) + amqp_frame(body, 1))
        assert (await client.expect(CLOSE)).condition == ILLEGAL
        assert await client.receive() is None


async def test_a_handle_above_the_highest_ends_the_session(broker: RunningBroker) -> None:
    async with wire_client(broker.port) as client:
        await client.begin()
        client.send(attach_producer_body(HANDLE_MAX + 1, "wire"))
        assert (await client.expect(END)).condition == FRAMING


async def test_what_comes_late_for_an_ended_session_is_ignored(broker: RunningBroker) -> None:
    """It was under way. The channel can be used again."""
    async with wire_client(broker.port) as client:
        await client.begin()
        client.send(performative(END, None))
        client.send(flow_body(None))
        client.send(transfer_body(0, 0), data_message(b"late"))
        client.send(begin_body())
        await client.expect(END)
        await client.expect(BEGIN)
        await client.produce(0, "wire")


SECTIONS = {
    "application properties that are no map": described(APPLICATION_PROPERTIES, b"\x45"),
    "application properties with half a pair": described(APPLICATION_PROPERTIES, b"\xc1\x02\x01\x40"),
    "annotations that count more than they hold": described(MESSAGE_ANNOTATIONS, b"\xc1\x02\x04\x40"),
    "a key that is not UTF-8": described(APPLICATION_PROPERTIES, b"\xc1\x05\x02" + NOT_UTF8 + b"\x40"),
    "a message id that is a list": described(PROPERTIES, encode([[1]])),
    "a life of more than 32 bits": described(HEADER, encode([True, None, ULong(2**64 - 1)])),
    "sections out of order": data_message(b"first") + described(PROPERTIES, encode(["late"])),
    "two of a section": described(PROPERTIES, encode(["one"])) * 2,
    "data that is text": described(DATA, encode("text")),
    "a value that is cut off": described(VALUE, b"\xc0\x05\x01\xa1\x7f\x61\x61"),
}


NOT_ACTED_ON_BY_HUBS = ("a message id that is a list", "a life of more than 32 bits")


@pytest.mark.parametrize(
    ("hub", "name"),
    [
        *((False, name) for name in SECTIONS),
        *((True, name) for name in SECTIONS if name not in NOT_ACTED_ON_BY_HUBS),
    ],
)
async def test_a_message_with_a_malformed_section_is_rejected(broker: RunningBroker, name: str, *, hub: bool) -> None:
    """Also in what the broker only passes on: else it would break its consumers. The link takes the next one."""
    section = SECTIONS[name]
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, "wire-hub" if hub else "fuzzed")
        body = b"" if section[2] >= DATA else data_message(b"body")  # some are a body themselves
        client.send(transfer_body(0, 0), section + body)
        assert await outcome_of(client) == (REJECTED, DECODE)
        await put(client, 0, b"well formed")


EMPTY_LISTS = Encoded(b"\xe0\x02\x01\x45")  # an array, which nobody can be expected to write


def rule(description: dict[str, object]) -> dict[str, object]:
    return {"rule-name": "odd", "rule-description": description}


@pytest.mark.parametrize(
    ("entity", "operation", "body", "status"),
    [
        ("fuzzed", "receive-by-sequence-number", {"sequence-numbers": Array([1, 1]), "receiver-settle-mode": 0}, 404),
        ("fuzzed", "cancel-scheduled-message", {"sequence-numbers": Array([1, 1])}, 404),
        ("sessions", "get-message-sessions", {"skip": -(2**40), "top": 2**41}, 400),
        ("ruled/Subscriptions/managed", "add-rule", rule({"sql-filter": {"expression": "1=1"}, "x": EMPTY_LISTS}), 400),
        (
            "ruled/Subscriptions/managed",
            "add-rule",
            rule({"sql-filter": {"expression": "1=1"}, "x": Encoded(nested(400))}),
            400,
        ),
        ("ruled/Subscriptions/managed", "add-rule", rule({"correlation-filter": {"properties": {"a": [1]}}}), 400),
    ],
)
async def test_a_request_that_makes_no_sense_is_answered(
    broker: RunningBroker, entity: str, operation: str, body: dict[str, object], status: int
) -> None:
    async with wire_client(broker.port) as client:
        await client.begin()
        response = await ask(client, f"{entity}/$management", {"operation": f"com.microsoft:{operation}"}, body)
        assert response["statusCode"] == status


async def test_a_message_that_is_asked_for_twice_comes_once(broker: RunningBroker) -> None:
    """Cancelled twice or received twice in one request: it is there only once."""
    node = "fuzzed/$management"
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, "fuzzed")
        later = {Symbol("x-opt-scheduled-enqueue-time"): 2**62}
        message = described(MESSAGE_ANNOTATIONS, encode(later)) + data_message(b"later")
        scheduled = {"messages": [{"message": message, "message-id": str(UUID(int=1))}]}
        name = {"operation": "com.microsoft:schedule-message"}
        _, body = await ask_for_body(client, node, name, scheduled)
        [number] = body["sequence-numbers"]
    async with wire_client(broker.port) as client:
        await client.begin()
        name = {"operation": "com.microsoft:cancel-scheduled-message"}
        response = await ask(client, node, name, {"sequence-numbers": Array([number, number])})
        assert response["statusCode"] == 200


async def test_a_session_id_may_be_a_symbol(broker: RunningBroker) -> None:
    """It is the same session as with a text."""
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, "fuzzed-sessions")
        for session_id in (Symbol("as-symbol"), "as-text"):
            properties = described(PROPERTIES, encode([None] * 10 + [session_id]))
            client.send(transfer_body(0, 0), properties + data_message(b"body"))
            await outcome_of(client)
        name = {"operation": "com.microsoft:get-message-sessions"}
        _, body = await ask_for_body(client, "fuzzed-sessions/$management", name, {"skip": 0, "top": 100})
        assert {"as-symbol", "as-text"} <= set(body["sessions-ids"])
