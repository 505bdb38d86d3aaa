"""Where operations look and tidy: what every job has parked."""

import asyncio
from collections.abc import Iterable

from shared.messaging import parking
from shared.messaging.parking import Parked


async def newest_parked(sources: Iterable[str], limit: int) -> list[Parked]:
    """The newest of these sources, newest first, at most `limit`. Raises `Unavailable`."""

    async def of(source: str) -> list[Parked]:
        return [item async for item in parking.parked(source, limit=limit)]

    found = [item for items in await asyncio.gather(*map(of, sources)) for item in items]
    found.sort(key=lambda item: item.origin.arrived_at, reverse=True)
    return found[:limit]


async def remove_parked(source: str, before_ms: int) -> int:
    """Removes what arrived before then; returns how many messages that were. Raises `Unavailable`."""
    return await parking.remove_older(source, before_ms)
