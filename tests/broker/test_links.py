"""Links and deliveries on the wire: credit, windows, outcomes and refusals."""

from localcloud.broker.wire.amqp_types import Symbol, UInt
from localcloud.broker.wire.performatives import (
    ACCEPTED,
    ATTACH,
    DETACH,
    FLOW,
    REJECTED,
    RELEASED,
    TRANSFER,
    performative,
)
from tests.broker.running import RunningBroker
from tests.broker.wire import (
    Received,
    attach_consumer_body,
    attach_producer_body,
    data_message,
    disposition_body,
    drain_queue,
    flow_body,
    outcome_of,
    put,
    transfer_body,
    wire_client,
)

QUEUE, HUB = "wire", "wire-hub"


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


async def test_nothing_follows_a_detach(broker: RunningBroker) -> None:
    """Frames that wait for the session's window are dropped with their link, whose handle means nothing any more."""
    async with wire_client(broker.port) as client:
        await client.begin(max_frame_size=512, incoming_window=1)
        await client.produce(0, "cut")
        client.send(transfer_body(0, 0), data_message(bytes(2000)))
        await outcome_of(client)
        await client.consume(1, "cut")
        client.send(flow_body(1, 10, window=1))
        assert (await client.expect(TRANSFER)).fields[5] is True  # more
        client.send(performative(DETACH, UInt(1), True, None))
        await client.detached()
        client.send(performative(FLOW, UInt(1), UInt(10), UInt(0), UInt(1000), None, None, None, None, None, True))
        assert (await client.receive() or Received(0, 0, [], b"")).code == FLOW


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


async def test_an_address_with_a_publisher_is_refused_with_the_way_out(broker: RunningBroker) -> None:
    """Publisher policies are not emulated; silently dropping the name would let publishers speak for each other."""
    async with wire_client(broker.port) as client:
        await client.begin()
        client.send(attach_producer_body(0, f"{HUB}/publishers/car-1"))
        refusal = await client.detached()
        assert refusal.condition == "amqp:not-implemented"
        assert "send with a partition key" in str(refusal.fields)


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
