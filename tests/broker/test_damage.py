"""The broker survives clients that send nonsense."""

import asyncio
import random

from localcloud.broker.amqp_types import Described, Symbol, UInt, ULong
from localcloud.broker.encoder import described, encode
from localcloud.broker.frames import AMQP_PROTOCOL, SASL_PROTOCOL, protocol_header
from localcloud.broker.message import APPLICATION_PROPERTIES, MESSAGE_ANNOTATIONS, PROPERTIES, VALUE
from localcloud.broker.performatives import ACCEPTED, DETACH, DISPOSITION, TRANSFER, performative
from tests.broker.running import RunningBroker
from tests.broker.wire import (
    SASL_PLAIN,
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

CLIENTS = 600
AT_A_TIME = 10
QUEUE, HUB = "fuzzed", "fuzzed-hub"


def conversation() -> list[bytes]:
    """Pieces of what a real client says, with a message, an event, a request and a settlement."""
    annotations = described(MESSAGE_ANNOTATIONS, encode({Symbol("x-opt-partition-key"): "k"}))
    properties = described(PROPERTIES, encode(["id", None, None, None, "answers"]))
    operation = described(APPLICATION_PROPERTIES, encode({"operation": "com.microsoft:peek-message"}))
    peek = described(VALUE, encode({"from-sequence-number": 1, "message-count": 10}))
    state = Described(ULong(ACCEPTED), [])
    bodies = [
        begin_body(),
        attach_producer_body(0, QUEUE),
        attach_producer_body(1, f"amqps://localhost/{HUB}/Partitions/1"),
        attach_consumer_body(2, QUEUE),
        attach_consumer_body(3, f"{HUB}/ConsumerGroups/$Default/Partitions/1"),
        attach_consumer_body(4, f"{QUEUE}/$management", reply_to="answers"),
        attach_producer_body(5, f"{QUEUE}/$management"),
        flow_body(2, 10),
        flow_body(3, 10),
        flow_body(4, 10),
        transfer_body(0, 0) + annotations + properties + data_message(b"message"),
        transfer_body(1, 1) + annotations + data_message(b"event"),
        transfer_body(5, 2) + properties + operation + peek,
        performative(DISPOSITION, True, UInt(0), UInt(5), False, state),
        performative(DETACH, UInt(0), True, None),
    ]
    return [
        protocol_header(SASL_PROTOCOL),
        SASL_PLAIN,
        protocol_header(AMQP_PROTOCOL),
        amqp_frame(open_body()),
        *(amqp_frame(body, 1) for body in bodies),
    ]


def damaged(pieces: list[bytes], chance: random.Random) -> bytes:
    """The conversation with bytes changed, dropped or repeated, or with pieces in another order."""
    pieces = list(pieces)
    if chance.random() < 0.3:
        first, second = (chance.randrange(4, len(pieces)) for _ in range(2))
        pieces[first], pieces[second] = pieces[second], pieces[first]
    for _ in range(chance.randint(1, 3)):
        index = chance.randrange(4 if chance.random() < 0.8 else 0, len(pieces))  # mostly behind the handshake
        piece = bytearray(pieces[index])
        where = chance.randrange(len(piece))
        match chance.randrange(4):
            case 0:
                piece[where] = chance.randrange(256)
            case 1:
                piece[where] ^= 1 << chance.randrange(8)
            case 2:
                del piece[where]
            case 3:
                piece[where:where] = piece[: chance.randint(1, len(piece))]
        pieces[index] = bytes(piece) or b"\x00"
    return b"".join(pieces)


async def talk(port: int, stream: bytes, chance: random.Random) -> None:
    """Says it in pieces of any size, and listens until the broker has nothing more to say."""
    async with wire_client(port) as client, asyncio.timeout(20):
        try:
            while stream:
                cut = chance.randint(1, 400)
                client.writer.write(stream[:cut])
                stream = stream[cut:]
                await asyncio.sleep(0)
            client.writer.write_eof()
            await client.reader.read()
        except OSError:
            return  # hung up on, as it deserves


async def test_damaged_conversations_harm_nobody_else(broker: RunningBroker) -> None:
    """Hundreds of them, in pieces; every connection ends, no handler fails, and the broker serves on."""
    chance = random.Random(4711)
    pieces = conversation()
    for _ in range(CLIENTS // AT_A_TIME):
        streams = [damaged(pieces, chance) for _ in range(AT_A_TIME)]
        await asyncio.gather(*(talk(broker.port, stream, chance) for stream in streams))
    async with wire_client(broker.port) as client:
        await client.begin()
        await client.produce(0, "wire")
        client.send(transfer_body(0, 0), data_message(b"still here"))
        await client.consume(1, "wire", credit=1)
        delivered = await client.expect(TRANSFER)
        assert delivered.payload.endswith(data_message(b"still here"))
        client.send(performative(DISPOSITION, True, UInt(0), UInt(0), True, Described(ULong(ACCEPTED), [])))
        await client.writer.drain()
    assert broker.process.poll() is None
    assert "Traceback" not in broker.log.read_text(encoding="utf-8")
