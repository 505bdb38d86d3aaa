"""A connection of the broker without a network, for what has to be tried thousands of times."""

import asyncio

from localcloud.broker.connection import Connection
from localcloud.broker.namespace import Namespace


class RecordingTransport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written behind the end"
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0  # its peer takes everything at once


class Talk:
    """One client's connection, from the side of the network."""

    def __init__(self, namespace: Namespace) -> None:
        self.connections: set[Connection] = set()
        self.transport = RecordingTransport()
        self._connection = Connection(namespace, self.connections)
        self._connection.connection_made(self.transport)

    def hear(self, data: bytes) -> None:
        while data and not self.transport.ended:
            buffer = self._connection.get_buffer(len(data))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            self._connection.buffer_updated(count)
            data = data[count:]

    async def answers(self) -> bytes:
        """All that was said so far."""
        await asyncio.sleep(0)  # frames of one turn of the loop leave at its end
        return bytes(self.transport.written)

    def cut(self) -> None:
        self._connection.connection_lost(None)
