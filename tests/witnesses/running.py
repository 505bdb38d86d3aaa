"""Node's test runner at work on the witnesses of one service."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.witnesses.listing import HERE, Behaviour

# Each is a process, which checks several behaviours at once.
_FILES_AT_ONCE: Final = 2
_GOODBYE_S: Final = 5.0
_LONGEST_LINE_BYTES: Final = 1 << 24


class Run:
    """Results as they come."""

    def __init__(self, expected: Sequence[Behaviour]) -> None:
        loop = asyncio.get_running_loop()
        self._results: dict[Behaviour, asyncio.Future[str | None]] = {one: loop.create_future() for one in expected}

    async def require(self, behaviour: Behaviour) -> None:
        """Returns when the behaviour was shown; fails the test with what node says otherwise."""
        failure = await self._results[behaviour]
        if failure is not None:
            pytest.fail(f"{behaviour.file.name}: {behaviour.name}\n{failure}", pytrace=False)

    async def read(self, file: Path, reports: asyncio.StreamReader, log: Path) -> None:
        """Takes what the reporter says of a file, until it ends: who still waits then learns why there is no result."""
        waiting = {one.name: result for one, result in self._results.items() if one.file == file}
        others: list[str] = []
        async for line in reports:
            report = json.loads(line)
            if report["name"] in waiting:
                waiting.pop(report["name"]).set_result(report["failure"])
            elif report["failure"] is not None:
                others.append(report["failure"])
        reason = "\n".join(("node reported no result", *others, log.read_text(errors="replace")))
        for result in waiting.values():
            result.set_result(reason)


@asynccontextmanager
async def running(expected: Sequence[Behaviour], environment: Mapping[str, str], logs: Path) -> AsyncIterator[Run]:
    """Runs the files that state these behaviours, with the environment added to ours."""
    run = Run(expected)
    node = _node()
    turns = asyncio.Semaphore(_FILES_AT_ONCE)

    async def run_file(file: Path) -> None:
        log = logs / f"{file.stem}.log"
        async with turns:
            with log.open("wb") as errors:
                process = await asyncio.create_subprocess_exec(
                    *(node, f"--test-reporter={HERE / 'lib' / 'reporter.mjs'}", str(file)),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, **environment},
                    limit=_LONGEST_LINE_BYTES,
                )
            assert process.stdout is not None
            try:
                await run.read(file, process.stdout, log)
                with suppress(TimeoutError):  # an SDK may leave something behind that keeps the process awake
                    await asyncio.wait_for(process.wait(), _GOODBYE_S)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    files = [asyncio.create_task(run_file(file)) for file in {one.file: None for one in expected}]
    try:
        yield run
    finally:
        for task in files:
            task.cancel()
        await asyncio.gather(*files, return_exceptions=True)


def _node() -> str:
    """The command; fails the test that needs it when the witnesses cannot run, because to skip them would hide it."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / ".installed").exists():
        pytest.fail("the witnesses need Node 20 and their packages, which `make test` installs", pytrace=False)
    return node
