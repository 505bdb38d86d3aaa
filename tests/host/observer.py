"""Hears what the functions of the test app were given, from whichever process they run in."""

import asyncio
import json
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Observation = dict[str, Any]
WAIT_S = 20.0


class Observer(asyncio.DatagramProtocol):
    """A Unix datagram socket that keeps every observation and wakes those who wait for one."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self._heard = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def listen(cls) -> "tuple[Observer, asyncio.DatagramTransport, Path]":
        # Not in pytest's folder: the path of a Unix socket has at most 107 characters.
        path = Path(tempfile.mkdtemp(prefix="host-")) / "observed"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.setblocking(False)
        listener.bind(str(path))
        transport, observer = await asyncio.get_running_loop().create_datagram_endpoint(cls, sock=listener)
        return observer, transport, path

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.observations.append(json.loads(data))
        task = asyncio.create_task(self._wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self) -> None:
        async with self._heard:
            self._heard.notify_all()

    async def wait(
        self, function: str, count: int = 1, *, where: Callable[[Observation], bool] = lambda _: True
    ) -> list[Observation]:
        """The observations of `function` so far, as soon as there are `count`."""

        def found() -> list[Observation]:
            return [each for each in self.observations if each["function"] == function and where(each)]

        async with asyncio.timeout(WAIT_S), self._heard:
            await self._heard.wait_for(lambda: len(found()) >= count)
        return found()

    def bodies(self, function: str) -> list[str]:
        """Of all messages that `function` was given, in order, batches flattened."""
        seen = (each["seen"] for each in self.observations if each["function"] == function)
        return [item["body"] for each in seen for item in (each if isinstance(each, list) else [each])]
