"""A client that says exactly what a test wants, also what no SDK would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import uuid4

from localcloud.broker.message import APPLICATION_PROPERTIES, DATA, PROPERTIES, VALUE, sections
from localcloud.broker.wire.amqp_types import Described, Symbol, UInt, ULong
from localcloud.broker.wire.decoder import decode
from localcloud.broker.wire.encoder import described, encode
from localcloud.broker.wire.frames import AMQP, AMQP_PROTOCOL, SASL, Frame, FrameReader, frame_header, protocol_header
from localcloud.broker.wire.performatives import (
    ACCEPTED,
    ATTACH,
    BEGIN,
    DETACH,
    DISPOSITION,
    FLOW,
    OPEN,
    SASL_INIT,
    SOURCE,
    TARGET,
    TRANSFER,
    delivery_state_code,
    performative,
)

TIMEOUT_S = 10.0
WINDOW = 1000


class Received(NamedTuple):
    channel: int
    code: int
    fields: list[Any]
    payload: bytes

    @property
    def condition(self) -> str | None:
        """The condition of the error in a close, end or detach."""
        error = self.fields[-1] if self.fields else None
        return str(error.value[0]) if isinstance(error, Described) and isinstance(error.value, list) else None


def amqp_frame(body: bytes, channel: int = 0, frame_type: int = AMQP) -> bytes:
    return frame_header(len(body), channel, frame_type) + body


def data_message(body: bytes) -> bytes:
    return described(DATA, encode(body))


def open_body(max_frame_size: int | None = None, idle_timeout_ms: int | None = None) -> bytes:
    size = None if max_frame_size is None else UInt(max_frame_size)
    idle = None if idle_timeout_ms is None else UInt(idle_timeout_ms)
    return performative(OPEN, "client", None, size, None, idle)


def begin_body(incoming_window: int = WINDOW) -> bytes:
    return performative(BEGIN, None, UInt(0), UInt(incoming_window), UInt(WINDOW))


def attach_producer_body(handle: int, address: str) -> bytes:
    source, target = Described(ULong(SOURCE), [None]), Described(ULong(TARGET), [address])
    return performative(ATTACH, f"producer-{handle}", UInt(handle), False, None, None, source, target)


def attach_consumer_body(
    handle: int,
    address: str,
    reply_to: str | None = None,
    properties: dict[Symbol, Any] | None = None,
) -> bytes:
    source, target = Described(ULong(SOURCE), [address]), Described(ULong(TARGET), [reply_to])
    nulls = [None] * 6
    return performative(
        ATTACH,
        f"consumer-{handle}",
        UInt(handle),
        True,
        None,
        None,
        source,
        target,
        *nulls,
        properties,
    )


def flow_body(
    handle: int | None, credit: int = 0, *, received: int = 0, window: int = WINDOW, count: int = 0, drain: bool = False
) -> bytes:
    """`received`: transfers so far, in the session; `count`: deliveries so far, of the link."""
    link = [None, None, None] if handle is None else [UInt(handle), UInt(count), UInt(credit)]
    return performative(FLOW, UInt(received), UInt(window), UInt(0), UInt(WINDOW), *link, None, drain)


def transfer_body(handle: int, delivery_id: int, *, more: bool = False) -> bytes:
    return performative(TRANSFER, UInt(handle), UInt(delivery_id), b"tag", UInt(0), False, more)


class WireClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = FrameReader()
        self._received: list[Any] = []

    def send(self, body: bytes, payload: bytes = b"", channel: int = 1) -> None:
        self.writer.write(amqp_frame(body + payload, channel))

    async def receive(self) -> Received | None:
        """The next frame, or None at the end of the connection. Headers and empty frames are left out."""
        while True:
            while self._received:
                item = self._received.pop(0)
                if isinstance(item, Frame):
                    code, position = decode(item.body, 1)
                    fields, end = decode(item.body, position)
                    return Received(item.channel, code, fields, item.body[end:])
            async with asyncio.timeout(TIMEOUT_S):
                data = await self.reader.read(1 << 16)
            if not data:
                return None
            self._received += list(self._frames.feed(data))

    async def expect(self, code: int) -> Received:
        """The next frame with this performative; others before it are left out."""
        while True:
            received = await self.receive()
            assert received is not None, f"the connection ended before 0x{code:02x}"
            if received.code == code:
                return received

    async def begin(self, **options: Any) -> None:
        """From the protocol header to a session on channel 1. Options are those of the open and `incoming_window`."""
        window = options.pop("incoming_window", WINDOW)
        self.writer.write(protocol_header(AMQP_PROTOCOL))
        self.send(open_body(**options), channel=0)
        self.send(begin_body(window))
        await self.expect(BEGIN)

    async def produce(self, handle: int, address: str) -> None:
        self.send(attach_producer_body(handle, address))
        await self.expect(FLOW)

    async def consume(self, handle: int, address: str, credit: int = 0, **options: Any) -> Received:
        """Attaches, and grants credit; the attach that came back."""
        self.send(attach_consumer_body(handle, address, **options))
        attached = await self.expect(ATTACH)
        if credit:
            self.send(flow_body(handle, credit))
        return attached

    async def detached(self) -> Received:
        return await self.expect(DETACH)


@asynccontextmanager
async def wire_client(port: int) -> AsyncIterator[WireClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield WireClient(reader, writer)
    finally:
        writer.close()


SASL_PLAIN = amqp_frame(performative(SASL_INIT, Symbol("ANONYMOUS"), b"", None), frame_type=SASL)


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
    return (await ask_for_body(client, node, properties, body))[0]


async def ask_for_body(
    client: WireClient, node: str, properties: dict[str, Any], body: object
) -> tuple[dict[str, Any], Any]:
    """The application properties and the body of the response to a request."""
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
    return found[APPLICATION_PROPERTIES], found[VALUE]


async def drain_queue(client: WireClient, handle: int, deliveries: int) -> None:
    client.send(disposition_body(0, deliveries - 1, ACCEPTED))
    for _ in range(deliveries):
        assert (await outcome_of(client))[0] == ACCEPTED
