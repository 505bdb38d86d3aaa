"""The broker as a server: listens until it is told to stop."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from localcloud.broker.connection import Connection
from localcloud.broker.declarations.config import BrokerConfig
from localcloud.broker.errors import CONNECTION_FORCED, AmqpError
from localcloud.broker.namespace import Namespace
from localcloud.broker.records import open_journal
from localcloud.lifetime import until_stopped


async def serve(
    config: BrokerConfig,
    address: str,
    port: int,
    data: Path | None,
    stop: asyncio.Event,
    on_ready: Callable[[int], None],
) -> None:
    """Serves until `stop` is set. `on_ready` gets the port once clients can connect.

    `data` is the folder in which entities keep what they hold; without one they keep nothing. Raises OSError,
    `Misconfigured` if the folder cannot be used, and `Unavailable` if it cannot be written any more.
    """
    loop = asyncio.get_running_loop()
    journal = open_journal(data)
    try:
        namespace = Namespace(config, loop, journal)
        connections: set[Connection] = set()
        server = await loop.create_server(lambda: Connection(namespace, connections), address, port)
        try:
            on_ready(server.sockets[0].getsockname()[1])
            await until_stopped(stop, asyncio.ensure_future(journal.failed()))
        finally:
            server.close()
            for connection in list(connections):
                connection.close(AmqpError(CONNECTION_FORCED, "The broker stops."))
            namespace.close()  # and nobody waits for the connections: with a journal that failed they hold for ever
    finally:
        await journal.close()
