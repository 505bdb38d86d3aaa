"""The broker as a server: listens until it is told to stop."""

import asyncio
from collections.abc import Callable

from localcloud.broker.config import BrokerConfig
from localcloud.broker.connection import Connection
from localcloud.broker.errors import CONNECTION_FORCED, AmqpError
from localcloud.broker.namespace import Namespace


async def serve(
    config: BrokerConfig, address: str, port: int, stop: asyncio.Event, on_ready: Callable[[int], None]
) -> None:
    """Serves until `stop` is set. `on_ready` gets the port once clients can connect. Raises OSError."""
    loop = asyncio.get_running_loop()
    namespace = Namespace(config, loop)
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(namespace, connections), address, port)
    try:
        on_ready(server.sockets[0].getsockname()[1])
        await stop.wait()
    finally:
        server.close()
        for connection in list(connections):
            connection.close(AmqpError(CONNECTION_FORCED, "The broker stops."))
        namespace.close()
        await server.wait_closed()
