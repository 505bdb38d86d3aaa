"""Waiting for what announces itself nowhere."""

import asyncio
from collections.abc import Callable


async def eventually(predicate: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Returns as soon as it holds. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while True:
            if predicate():
                return
            await asyncio.sleep(0.01)
