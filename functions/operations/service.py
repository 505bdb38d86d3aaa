"""What is set aside, for the people who have to look at it."""

from functions.operations import store
from shared.errors import Rejected
from shared.settings import PARKING_SOURCES

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
