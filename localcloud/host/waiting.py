"""Waiting for events and for tasks, but not longer than a while."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event is set before the time is over; returns as soon as it is."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


class RunningTasks:
    """Tasks side by side, each kept until it is done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, grace_s: float) -> None:
        """Lets them come to their end, at most for `grace_s` seconds, and cancels those that do not."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
