"""The protocol itself: what no SDK lets a test say."""

import asyncio
from itertools import pairwise
from uuid import UUID

import pytest

from localcloud.broker.connection import Connection
from localcloud.broker.declarations.config import parse
from localcloud.broker.management import EntityNode
from localcloud.broker.namespace import Namespace
from localcloud.broker.wire.frames import AMQP_PROTOCOL, EMPTY_FRAME, MAX_FRAME_BYTES, SASL_PROTOCOL, protocol_header
from localcloud.broker.wire.performatives import (
    ATTACH,
    CLOSE,
    END,
    FLOW,
    OPEN,
    REJECTED,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
    performative,
)
from localcloud.journal import MemoryJournal
from tests.broker.running import RunningBroker
from tests.broker.wire import (
    SASL_PLAIN,
    amqp_frame,
    ask,
    attach_producer_body,
    begin_body,
    flow_body,
    open_body,
    outcome_of,
    put,
    transfer_body,
    wire_client,
)

QUEUE, HUB = "wire", "wire-hub"


async def test_a_peer_of_another_protocol_gets_the_header_of_this_one(broker: RunningBroker) -> None:
    """And nothing else."""
    async with wire_client(broker.port) as client:
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await client.reader.read() == protocol_header(SASL_PROTOCOL)


async def test_another_version_is_answered_with_the_supported_one(broker: RunningBroker) -> None:
    async with wire_client(broker.port) as client:
        client.writer.write(b"AMQP\x00\x00\x09\x01")
        assert await client.reader.read() == protocol_header(SASL_PROTOCOL)


async def test_a_handshake_may_come_byte_by_byte(broker: RunningBroker) -> None:
    async with wire_client(broker.port) as client:
        conversation = b"".join(
            (
                protocol_header(SASL_PROTOCOL),
                SASL_PLAIN,
                protocol_header(AMQP_PROTOCOL),
                amqp_frame(open_body()),
                amqp_frame(begin_body(), 1),
                amqp_frame(attach_producer_body(0, QUEUE), 1),
            )
        )
        for byte in conversation:
            client.writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        for code in (SASL_MECHANISMS, SASL_OUTCOME, OPEN, ATTACH, FLOW):
            await client.expect(code)


async def test_a_handshake_that_stalls_is_ended() -> None:
    """With the reason, as far as the peer can understand one."""
    loop = asyncio.get_running_loop()
    namespace = Namespace(parse({}), loop, MemoryJournal())
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(namespace, connections, 0.1), "127.0.0.1", 0)
    async with server, wire_client(server.sockets[0].getsockname()[1]) as client:
        client.writer.write(protocol_header(AMQP_PROTOCOL))
        closed = await client.expect(CLOSE)
        assert closed.condition == "amqp:connection:forced"
        assert await client.receive() is None


async def test_a_frame_above_the_announced_size_is_refused(broker: RunningBroker) -> None:
    async with wire_client(broker.port) as client:
        await client.begin()
        client.writer.write((MAX_FRAME_BYTES + 1).to_bytes(4, "big") + b"\x02\x00\x00\x01")
        assert (await client.expect(CLOSE)).condition == "amqp:connection:framing-error"
        assert await client.receive() is None


@pytest.mark.parametrize(
    "body",
    [
        b"\x00\x53\x14",  # cut off
        b"\x00\x53\x99\x45",  # no such performative
        performative(TRANSFER, "a handle of text"),
        performative(ATTACH, "no handle"),
        b"\x00" * 2000,  # descriptors of descriptors
    ],
)
async def test_a_malformed_frame_closes_the_connection_with_an_error(broker: RunningBroker, body: bytes) -> None:
    async with wire_client(broker.port) as client:
        await client.begin()
        client.send(body)
        assert (await client.expect(CLOSE)).condition == "amqp:decode-error"
        assert await client.receive() is None


async def test_a_malformed_message_is_rejected_alone(broker: RunningBroker) -> None:
    """The link takes the next one."""
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, HUB)
        client.send(transfer_body(0, 0), b"no sections")
        assert await outcome_of(client) == (REJECTED, "amqp:decode-error")
        await put(client, 0, b"well formed")


async def test_a_session_ends_alone(broker: RunningBroker) -> None:
    """For a transfer to nowhere or a handle in use; the connection and its other sessions go on."""
    async with wire_client(broker.port) as client:
        await client.begin()
        for channel, body, condition in (
            (2, transfer_body(5, 0), "amqp:session:unattached-handle"),
            (3, attach_producer_body(0, QUEUE), "amqp:session:handle-in-use"),
        ):
            client.send(begin_body(), channel=channel)
            client.send(attach_producer_body(0, QUEUE), channel=channel)
            client.send(body, channel=channel)
            ended = await client.expect(END)
            assert (ended.channel, ended.condition) == (channel, condition)
            client.send(flow_body(0), channel=channel)  # too late, and ignored
        await client.produce(0, QUEUE)


@pytest.mark.parametrize(
    ("operation", "body", "status"),
    [
        ("com.microsoft:add-rule", {}, 501),
        ("com.microsoft:peek-message", {}, 400),
        ("com.microsoft:peek-message", "no map", 400),
        ("com.microsoft:renew-lock", {"lock-tokens": [UUID(int=1)]}, 410),
        ("com.microsoft:get-session-state", {"session-id": "s"}, 400),
    ],
)
async def test_a_request_that_cannot_be_granted_is_answered(
    broker: RunningBroker, operation: str, body: object, status: int
) -> None:
    async with wire_client(broker.port) as client:
        await client.begin()
        response = await ask(client, f"{QUEUE}/$management", {"operation": operation}, body)
        assert response["statusCode"] == status
        assert response["statusDescription"]
        assert response["errorCondition"]


async def test_a_failure_of_the_broker_is_answered_with_status_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes on."""
    loop = asyncio.get_running_loop()
    namespace = Namespace(parse({"servicebus": {"queues": {"q": {}}}}), loop, MemoryJournal())
    server = await loop.create_server(lambda: Connection(namespace, set()), "127.0.0.1", 0)
    monkeypatch.setattr(EntityNode, "handle", lambda *_: 1 / 0)
    async with server, wire_client(server.sockets[0].getsockname()[1]) as client:
        await client.begin()
        response = await ask(client, "q/$management", {"operation": "x"}, {})
        assert response["statusCode"] == 500
        await client.produce(3, "q")
    namespace.close()


async def test_a_silent_connection_is_kept_alive_for_the_peer(broker: RunningBroker) -> None:
    """By empty frames, twice as often as it asks for."""
    loop = asyncio.get_running_loop()
    async with wire_client(broker.port) as client:
        client.writer.write(protocol_header(AMQP_PROTOCOL))
        client.send(open_body(idle_timeout_ms=400), channel=0)
        await client.expect(OPEN)
        moments = []
        for _ in range(3):
            assert await client.reader.readexactly(8) == EMPTY_FRAME
            moments.append(loop.time())
        assert all(later - earlier > 0.1 for earlier, later in pairwise(moments))
