"""Child processes of the local cloud: started, awaited until they serve, stopped, or killed on purpose."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localcloud.layout import StartFailed

STOP_S = 15.0
_PR_SET_PDEATHSIG = 1


class Child:
    """One running service. Its standard error goes to a log file of its own."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, earlier_log_bytes: int) -> None:
        self.name = name
        self.log = log
        self.ready: dict[str, Any] = {}
        self._process = process
        self._earlier_log_bytes = earlier_log_bytes
        self._drain: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> "Child":
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            earlier_log_bytes = errors.tell()
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=None if environment is None else dict(environment),
                preexec_fn=_die_with_parent,
                process_group=0,  # Ctrl-C is for us alone: the broker must outlive the host, which settles with it
                limit=1 << 20,
            )
        return cls(name, process, log, earlier_log_bytes)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; a negative one is the signal that ended it."""
        return self._process.returncode

    async def until_ready(self, timeout_s: float = 60.0) -> None:
        """Waits for the line `ready {…}` and keeps what it says. Raises `StartFailed`; one that is late runs on."""
        assert self._process.stdout
        try:
            async with asyncio.timeout(timeout_s):
                while line := await self._process.stdout.readline():
                    word, _, rest = line.decode(errors="replace").partition(" ")
                    if word == "ready":
                        self.ready = json.loads(rest)
                        self._drain = asyncio.create_task(self._read_on())
                        return
                await self._process.wait()
        except TimeoutError:
            raise StartFailed(
                f"{self.last_words(f'did not get ready within {timeout_s:.0f} s')}; see {self.log}"
            ) from None
        raise StartFailed(self.last_words("did not start"))

    async def until_listening(self, address: str, port: int, timeout_s: float = 60.0) -> None:
        """Waits until the port takes connections, for a service that announces nothing. Raises `StartFailed`."""
        self._drain = self._drain or asyncio.create_task(self._read_on())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.running:
                    try:
                        _, writer = await asyncio.open_connection(address, port)
                    except OSError:
                        await asyncio.sleep(0.05)
                    else:
                        writer.close()
                        return
        await self.stop()
        raise StartFailed(self.last_words("did not start"))

    async def until_ended(self) -> int:
        """Waits for the service's end, whatever causes it; returns its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Asks the service to end and insists if it does not."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                await self.kill()
        await self._end()

    async def kill(self) -> None:
        """SIGKILL: what a crash looks like."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._end()

    async def _end(self) -> None:
        if self._drain:
            await self._drain
            self._drain = None

    async def _read_on(self) -> None:
        assert self._process.stdout
        while await self._process.stdout.read(65536):
            pass

    def last_words(self, fate: str) -> str:
        """What became of the service, with its exit code if it ended, and the last line that it logged."""
        logged = self.log.read_bytes()[self._earlier_log_bytes :] if self.log.exists() else b""
        lines = logged.decode(errors="replace").strip().splitlines()
        last_line = f": {lines[-1]}" if lines else ""
        ended = "" if self.running else f" (exit code {self.exit_code})"
        return f"{self.name} {fate}{ended}{last_line}"


def _die_with_parent() -> None:
    """Linux: a child must not outlive us, even if we are killed. Elsewhere a SIGKILL of ours leaves it running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def child_environment(**extra: str) -> dict[str, str]:
    """Our environment, unbuffered, with the repository on the path."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **extra}
