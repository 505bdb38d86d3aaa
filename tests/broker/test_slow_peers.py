"""Peers that ask and do not listen: what they leave unread does not pile up in the broker."""

import asyncio
from typing import Final

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from localcloud.broker.errors import RESOURCE_LIMIT_EXCEEDED
from localcloud.broker.message import APPLICATION_PROPERTIES, PROPERTIES, VALUE
from localcloud.broker.wire.amqp_types import Int, UInt
from localcloud.broker.wire.encoder import described, encode
from localcloud.broker.wire.performatives import FLOW, performative
from tests.broker.running import RunningBroker
from tests.broker.wire import WINDOW, WireClient, amqp_frame, transfer_body, wire_client

_ECHO: Final = amqp_frame(
    performative(FLOW, UInt(0), UInt(WINDOW), UInt(0), UInt(WINDOW), None, None, None, None, False, True), 1
)
_ECHOES_AT_ONCE: Final = 4000
# More than the broker and the system's buffers together take.
_FAR_TOO_MUCH_BYTES: Final = 100 << 20


async def test_who_reads_no_answers_is_read_no_more(broker: RunningBroker) -> None:
    """Until it reads: then all that it asked for is answered."""
    async with wire_client(broker.port) as client:
        await client.begin()
        client.writer.transport.set_write_buffer_limits(high=1)
        asked = 0
        try:
            while asked * len(_ECHO) < _FAR_TOO_MUCH_BYTES:
                client.writer.write(_ECHO * _ECHOES_AT_ONCE)
                asked += _ECHOES_AT_ONCE
                await asyncio.wait_for(client.writer.drain(), 5)
        except TimeoutError:
            pass
        assert asked * len(_ECHO) < _FAR_TOO_MUCH_BYTES
        await _expect_answers(client, asked)


async def _expect_answers(client: WireClient, number: int) -> None:
    """Counted by their bytes, which are the same for each: to decode them all takes its time."""
    left = number * len(_ECHO_ANSWER)
    async with asyncio.timeout(120):
        while left > 0:
            left -= len(await client.reader.read(1 << 20))
    assert left == 0


_ECHO_ANSWER: Final = amqp_frame(
    performative(
        FLOW, UInt(0), UInt(0x7FFFFFFF), UInt(0), UInt(0x7FFFFFFF), None, None, None, None, False, False, None
    ),
    1,
)


async def test_responses_that_nobody_takes_end_their_link(broker: RunningBroker, client: ServiceBusClient) -> None:
    """A client that asks and grants no credit for the answers is told so, before it costs more."""
    async with client.get_queue_sender("slow") as sender:
        await sender.send_messages(ServiceBusMessage(bytes(900_000)))
    request = b"".join(
        (
            described(PROPERTIES, encode([1, None, None, None, "answers"])),
            described(APPLICATION_PROPERTIES, encode({"operation": "com.microsoft:peek-message"})),
            described(VALUE, encode({"from-sequence-number": 0, "message-count": Int(1)})),
        )
    )
    async with wire_client(broker.port) as asking:
        await asking.begin()
        await asking.consume(0, "slow/$management", reply_to="answers")
        await asking.produce(1, "slow/$management")
        for number in range(20):
            asking.send(transfer_body(1, number), request)
        assert (await asking.detached()).condition == RESOURCE_LIMIT_EXCEEDED


async def test_a_peek_gives_no_more_than_a_message_holds(client: ServiceBusClient) -> None:
    """The first message in any case; the rest follows when the client goes on from there."""
    async with client.get_queue_sender("fuzzed") as sender:
        for number in range(3):
            await sender.send_messages(ServiceBusMessage(bytes(500_000), subject=f"large {number}"))
    async with client.get_queue_receiver("fuzzed") as receiver:
        found: list[str | None] = []
        following = 0
        while messages := await receiver.peek_messages(max_message_count=1000, sequence_number=following):
            assert sum(len(b"".join(message.body)) for message in messages) <= 1 << 20
            found += [message.subject for message in messages]
            following = (messages[-1].sequence_number or 0) + 1
    assert [subject for subject in found if subject and subject.startswith("large")] == [
        "large 0",
        "large 1",
        "large 2",
    ]
