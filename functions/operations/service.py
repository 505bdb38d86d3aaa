"""What is set aside, for the people who have to look at it."""

import logging

from functions.operations import store
from shared.clock import DAY_MS, Clock, to_epoch_ms, utc_now
from shared.errors import Rejected
from shared.settings import PARKING_SOURCES, settings

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


async def parked(source: str | None, limit: str | None) -> list[dict[str, str | None]]:
    """The newest parked messages, of one source or of each. Raises `Rejected` for a wrong query, `Unavailable`.

    Reasons only: bodies may hold personal data, and stay in storage.
    """
    if source is not None and source not in PARKING_SOURCES:
        raise Rejected("unknown-source", f"{source[:80]!r} is none of {', '.join(PARKING_SOURCES)}")
    sources = PARKING_SOURCES if source is None else (source,)
    found = await store.newest_parked(sources, _limit(limit))
    return [item.as_json() for item in found]


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= MAX_LIMIT:
        raise Rejected("bad-limit", f"limit has to be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


async def expire_parked(*, clock: Clock = utc_now) -> None:
    """Removes what was set aside longer ago than `PARKED_RETENTION_DAYS`. Raises `Unavailable`."""
    before_ms = to_epoch_ms(clock()) - settings().parked_retention_days * DAY_MS
    for source in PARKING_SOURCES:
        removed = await store.remove_parked(source, before_ms)
        if removed:
            log.info("%s: removed %d parked messages of before the retention time", source, removed)
