"""The protocol itself: what no SDK lets a test say."""

import asyncio
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from localcloud.broker.amqp_types import Described, Symbol, UInt, ULong
from localcloud.broker.config import parse
from localcloud.broker.connection import Connection
from localcloud.broker.decoder import decode
from localcloud.broker.encoder import described, encode
from localcloud.broker.frames import AMQP_PROTOCOL, EMPTY_FRAME, MAX_FRAME_BYTES, SASL_PROTOCOL, protocol_header
from localcloud.broker.management import EntityNode
from localcloud.broker.message import APPLICATION_PROPERTIES, PROPERTIES, VALUE, sections
from localcloud.broker.namespace import Namespace
from localcloud.broker.performatives import (
    ACCEPTED,
    ATTACH,
    CLOSE,
    DISPOSITION,
    END,
    FLOW,
    OPEN,
    REJECTED,
    RELEASED,
    SASL_MECHANISMS,
    SASL_OUTCOME,
    TRANSFER,
    delivery_state_code,
    performative,
)
from tests.broker.conftest import RunningBroker
from tests.broker.wire import (
    SASL_PLAIN,
    Received,
    WireClient,
    amqp_frame,
    attach_consumer_body,
    attach_producer_body,
    begin_body,
    data_message,
    flow_body,
    open_body,
    transfer_body,
    wire_client,
)

QUEUE, HUB = "wire", "wire-hub"


def disposition_body(first: int, last: int, outcome: int) -> bytes:
    state = Described(ULong(outcome), [])
    return performative(DISPOSITION, True, UInt(first), UInt(last), False, state)


async def outcome_of(client: WireClient) -> tuple[int, str | None]:
    """The outcome of the next settled delivery and the condition of its error."""
    state = (await client.expect(DISPOSITION)).fields[4]
    condition = state.value[0].value[0] if state.value else None
    return delivery_state_code(state), condition


async def put(client: WireClient, handle: int, *bodies: bytes) -> None:
    for number, body in enumerate(bodies):
        client.send(transfer_body(handle, number), data_message(body))
        assert await outcome_of(client) == (ACCEPTED, None)


async def ask(client: WireClient, node: str, properties: dict[str, Any], body: object) -> dict[str, Any]:
    """The application properties of the response to a request."""
    await client.consume(8, node, credit=10, reply_to="answers")
    await client.produce(9, node)
    request = b"".join(
        (
            described(PROPERTIES, encode([uuid4(), None, None, None, "answers"])),
            described(APPLICATION_PROPERTIES, encode(properties)),
            described(VALUE, encode(body)),
        )
    )
    client.send(transfer_body(9, 0), request)
    payload = (await client.expect(TRANSFER)).payload
    found = {section.code: decode(payload, section.value)[0] for section in sections(payload)}
    response: dict[str, Any] = found[APPLICATION_PROPERTIES]
    return response


async def drain_queue(client: WireClient, handle: int, deliveries: int) -> None:
    client.send(disposition_body(0, deliveries - 1, ACCEPTED))
    for _ in range(deliveries):
        assert (await outcome_of(client))[0] == ACCEPTED


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
    namespace = Namespace(parse({}), loop)
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


async def test_messages_travel_in_as_many_frames_as_they_need(broker: RunningBroker) -> None:
    """In both directions."""
    body = bytes(range(256)) * 20
    async with wire_client(broker.port) as client:
        await client.begin(max_frame_size=512)
        await client.produce(0, QUEUE)
        message = data_message(body)
        parts = [message[start : start + 100] for start in range(0, len(message), 100)]
        for number, part in enumerate(parts):
            client.send(transfer_body(0, 0, more=number < len(parts) - 1), part)
        assert await outcome_of(client) == (ACCEPTED, None)
        await client.consume(1, QUEUE, credit=1)
        frames = [await client.expect(TRANSFER)]
        while frames[-1].fields[5]:
            frames.append(await client.expect(TRANSFER))
        assert len(frames) > 10
        whole = b"".join(frame.payload for frame in frames)
        assert whole.endswith(message)
        await drain_queue(client, 1, 1)


async def test_a_message_above_the_limit_is_rejected_when_it_has_come(broker: RunningBroker) -> None:
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, QUEUE)
        half = bytes(600_000)
        client.send(transfer_body(0, 0, more=True), half)
        client.send(transfer_body(0, 0), half)
        assert await outcome_of(client) == (REJECTED, "amqp:link:message-size-exceeded")


async def test_a_consumer_gets_no_more_than_its_credit(broker: RunningBroker) -> None:
    """Drained credit is gone, and the count tells so."""
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, QUEUE)
        await put(client, 0, b"a", b"b", b"c")
        await client.consume(1, QUEUE, credit=2)
        for _ in range(2):
            await client.expect(TRANSFER)
        client.send(flow_body(1, 5, received=2, count=2, drain=True))
        third = await client.expect(TRANSFER)
        assert third.payload.endswith(data_message(b"c"))
        drained = await client.expect(FLOW)
        assert (drained.fields[5], drained.fields[6]) == (7, 0)
        await drain_queue(client, 1, 3)


async def test_transfers_wait_for_the_sessions_window(broker: RunningBroker) -> None:
    async with wire_client(broker.port) as client:
        await client.begin(incoming_window=1)
        await client.produce(0, QUEUE)
        await put(client, 0, b"a", b"b", b"c")
        await client.consume(1, QUEUE)
        client.send(flow_body(1, 10, window=1))
        await client.expect(TRANSFER)
        client.send(performative(FLOW, UInt(1), UInt(0), UInt(0), UInt(1000), None, None, None, None, None, True))
        assert (await client.receive() or Received(0, 0, [], b"")).code == FLOW  # and no transfer before it
        client.send(flow_body(None, received=1, window=2))
        for _ in range(2):
            await client.expect(TRANSFER)
        await drain_queue(client, 1, 3)


async def test_a_released_message_comes_again_uncounted(broker: RunningBroker) -> None:
    """A settlement may be sent for a range, however large it claims to be."""
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, QUEUE)
        await put(client, 0, b"a", b"b")
        await client.consume(1, QUEUE, credit=2)
        first = [await client.expect(TRANSFER) for _ in range(2)]
        client.send(disposition_body(0, 0xFFFFFFFF, RELEASED))
        for _ in range(2):
            assert await outcome_of(client) == (RELEASED, None)
        client.send(flow_body(1, 2, received=2, count=2))
        again = [await client.expect(TRANSFER) for _ in range(2)]
        assert [frame.payload[:20] for frame in again] == [frame.payload[:20] for frame in first]
        client.send(disposition_body(2, 3, ACCEPTED))
        for _ in range(2):
            assert await outcome_of(client) == (ACCEPTED, None)


async def test_a_message_is_settled_only_once(broker: RunningBroker) -> None:
    """After its lock has expired, settling it fails with the reason."""
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, QUEUE)
        await put(client, 0, b"a")
        await client.consume(1, QUEUE, credit=2)
        first, again = await client.expect(TRANSFER), await client.expect(TRANSFER)
        assert first.fields[1] != again.fields[1]
        client.send(disposition_body(first.fields[1], first.fields[1], ACCEPTED))
        assert await outcome_of(client) == (REJECTED, "com.microsoft:message-lock-lost")
        client.send(disposition_body(again.fields[1], again.fields[1], ACCEPTED))
        assert await outcome_of(client) == (ACCEPTED, None)


async def test_a_refused_link_is_attached_without_terminus_and_detached(broker: RunningBroker) -> None:
    """An undeclared consumer group, for one."""
    async with wire_client(broker.port) as client:
        await client.begin()
        attached = await client.consume(0, f"{HUB}/ConsumerGroups/third/Partitions/0")
        assert attached.fields[5] is None
        assert (await client.detached()).condition == "amqp:not-found"
        await client.produce(1, HUB)


async def test_a_partition_has_one_epoch_and_five_readers_without(broker: RunningBroker) -> None:
    """In each consumer group."""
    address = f"{HUB}/ConsumerGroups/$Default/Partitions/0"
    epoch = Symbol("com.microsoft:epoch")
    async with wire_client(broker.port) as client:
        await client.begin()
        for handle in range(5):
            attached = await client.consume(handle, address)
            assert attached.fields[5] is not None
        await client.consume(5, address)
        assert (await client.detached()).condition == "amqp:resource-limit-exceeded"
        client.send(attach_consumer_body(6, address, properties={epoch: 7}))
        stolen = [await client.detached() for _ in range(5)]
        assert {frame.condition for frame in stolen} == {"amqp:link:stolen"}
        await client.expect(ATTACH)
        for handle, properties in ((7, {epoch: 6}), (8, None)):
            await client.consume(handle, address, properties=properties)
            assert (await client.detached()).condition == "amqp:link:stolen"


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
    namespace = Namespace(parse({"servicebus": {"queues": {"q": {}}}}), loop)
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
