"""How a service of the local cloud ends: by a signal, or because something ended that never should."""

import asyncio
import signal
from typing import Any, Final

EXIT_MISCONFIGURED: Final = 2
EXIT_PORT_TAKEN: Final = 3
EXIT_DATA_LOST: Final = 4


def stop_signal() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def until_stopped(stop: asyncio.Event, *endless: "asyncio.Future[Any]") -> None:
    """Returns when told to stop. What never ends by itself: if it does, its error is the service's."""
    stopping = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait([stopping, *endless], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in done - {stopping}:
        task.result()
