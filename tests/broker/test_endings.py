"""How connections end when the peer does not do its part. In this process, to see what is left of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from localcloud.broker.connection import Connection
from localcloud.broker.declarations.config import parse
from localcloud.broker.message import parse_message
from localcloud.broker.namespace import Namespace
from localcloud.broker.queue import Queue
from localcloud.broker.records import open_journal
from localcloud.broker.wire import frame_writer
from localcloud.journal import Journal, MemoryJournal
from tests.broker.wire import attach_producer_body, data_message, outcome_of, transfer_body, wire_client

Serving = tuple[int, Namespace, set[Connection]]


@asynccontextmanager
async def serving(journal: Journal) -> AsyncIterator[Serving]:
    """Port, entities and open connections of a broker."""
    loop = asyncio.get_running_loop()
    namespace = Namespace(parse({"servicebus": {"queues": {"q": {}}}}), loop, journal)
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(namespace, connections), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], namespace, connections
        for connection in list(connections):
            connection.close()
    namespace.close()
    await journal.close()


async def until_none_is_open(connections: set[Connection]) -> None:
    async with asyncio.timeout(10):
        while connections:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)


async def test_a_peer_that_never_reads_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told why its connection ends, but only as long as it might listen."""
    monkeypatch.setattr(frame_writer, "_FAREWELL_S", 0.2)
    async with serving(MemoryJournal()) as (port, namespace, connections), wire_client(port) as client:
        queue = namespace.find("q")
        assert isinstance(queue, Queue)
        for _ in range(30):
            queue.put([parse_message(data_message(bytes(900_000)))])
        await client.begin(incoming_window=1 << 20)
        await client.consume(0, "q", credit=100)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined] # it is one that reads too
        client.send(b"\x00\x53\x99\x45")
        await until_none_is_open(connections)


async def test_a_peer_that_has_closed_its_side_still_gets_its_answers(tmp_path: Path) -> None:
    """Which come later when they wait for the journal."""
    async with serving(open_journal(tmp_path)) as (port, _, connections), wire_client(port) as client:
        await client.begin()
        client.send(attach_producer_body(0, "q"))
        client.send(transfer_body(0, 0), data_message(b"last words"))
        client.writer.write_eof()
        await outcome_of(client)
        assert await client.receive() is None
        await until_none_is_open(connections)


async def test_what_comes_behind_the_close_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much it is, as long as the connection lingers."""
    monkeypatch.setattr(frame_writer, "_LINGER_S", 5.0)
    async with serving(MemoryJournal()) as (port, _, connections), wire_client(port) as client:
        await client.begin()
        [connection] = connections
        client.writer.write(b"\xff\xff\xff\xff\x02\x00\x00\x00")  # a frame of four gigabytes
        while await client.receive() is not None:
            pass
        for _ in range(100):
            client.send(transfer_body(0, 0, more=True), bytes(100_000))
            await client.writer.drain()
        assert connection._reader._available < 100_000


async def test_empty_parts_of_a_message_without_end_take_no_memory() -> None:
    async with serving(MemoryJournal()) as (port, _, connections), wire_client(port) as client:
        await client.begin()
        await client.produce(0, "q")
        [connection] = connections
        for _ in range(1000):
            client.send(transfer_body(0, 0, more=True))
        await client.produce(1, "q")  # answered behind them
        [link] = [
            link for session in connection._sessions.values() for link in session.links.values() if link.handle == 0
        ]
        assert not link._parts  # type: ignore[attr-defined] # of an incoming one
