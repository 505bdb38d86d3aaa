"""What SDKs of other languages ask for and azure-servicebus for Python does not: by wire, as they would send it."""

import time
from typing import Any

import pytest

from localcloud.broker.wire.amqp_types import Described, Int, Symbol, Timestamp, UInt, ULong
from localcloud.broker.wire.performatives import (
    ACCEPTED,
    ATTACH,
    REJECTED,
    SOURCE,
    TARGET,
    TRANSFER,
    performative,
)
from tests.broker.running import RunningBroker
from tests.broker.wire import ask_for_body, data_message, disposition_body, outcome_of, put, transfer_body, wire_client

QUEUE = "wire"


def _now() -> Timestamp:
    return Timestamp(time.time_ns() // 1_000_000)


async def delete(broker: RunningBroker, count: int, before_ms: int) -> tuple[dict[str, Any], Any]:
    """The application properties and the body of the answer."""
    async with wire_client(broker.port) as client:
        await client.begin()
        return await ask_for_body(
            client,
            f"{QUEUE}/$management",
            {"operation": "com.microsoft:batch-delete-messages"},
            {"message-count": Int(count), "enqueued-time-utc": Timestamp(before_ms)},
        )


async def test_messages_are_deleted_in_batches(broker: RunningBroker) -> None:
    """The oldest first and no more than asked for; not one that is locked or came after the given time."""
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, QUEUE)
        await put(client, 0, b"a", b"b", b"c", b"d")
        await client.consume(1, QUEUE, credit=1)
        locked = await client.expect(TRANSFER)
        assert locked.payload.endswith(data_message(b"a"))
        now_ms = time.time_ns() // 1_000_000
        properties, body = await delete(broker, 2, now_ms - 60_000)
        assert (properties["statusCode"], body) == (204, {})
        for deleted in (2, 1):
            properties, body = await delete(broker, 2, now_ms + 1000)
            assert (properties["statusCode"], body) == (200, {"message-count": deleted})
        client.send(disposition_body(locked.fields[1], locked.fields[1], ACCEPTED))
        assert await outcome_of(client) == (ACCEPTED, None)


@pytest.mark.parametrize("count", [0, 4001])
async def test_a_batch_to_delete_has_limits(broker: RunningBroker, count: int) -> None:
    properties, _ = await delete(broker, count, time.time_ns() // 1_000_000)
    assert (properties["statusCode"], properties["errorCondition"]) == (400, "com.microsoft:argument-out-of-range")


async def test_a_transaction_is_refused_by_its_coordinator(broker: RunningBroker) -> None:
    """Before anything is sent in it."""
    source, coordinator = (
        Described(ULong(SOURCE), [None]),
        Described(ULong(0x30), [[Symbol("amqp:local-transactions")]]),
    )
    async with wire_client(broker.port) as client:
        await client.begin()
        client.send(performative(ATTACH, "coordinator", UInt(0), False, None, None, source, coordinator))
        attached = await client.expect(ATTACH)
        assert attached.fields[6] is None
        assert (await client.detached()).condition == "amqp:not-implemented"


async def test_a_link_says_how_large_a_message_may_be(broker: RunningBroker) -> None:
    """And rejects one that is larger."""
    async with wire_client(broker.port) as client:
        await client.begin()
        source, target = Described(ULong(SOURCE), [None]), Described(ULong(TARGET), ["small"])
        client.send(performative(ATTACH, "small", UInt(0), False, None, None, source, target))
        assert (await client.expect(ATTACH)).fields[10] == 1024
        for size_bytes, outcome in ((1000, (ACCEPTED, None)), (1100, (REJECTED, "amqp:link:message-size-exceeded"))):
            client.send(transfer_body(0, size_bytes), data_message(bytes(size_bytes)))
            assert await outcome_of(client) == outcome
