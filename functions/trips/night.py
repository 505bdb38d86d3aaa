"""How much of a drive was in the night."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.clock import DAY_MS
from shared.errors import Rejected

# Night is from 22:00 to 06:00 by the clock on the wall, as in Spain's Workers' Statute (art. 36.1). It holds what
# Directive 2003/88/EC (art. 2.3) asks of every national definition, seven hours or more with midnight to 5:00, and the
# hours that insurers in Britain count as night driving, 23:00 to 5:00 or 6:00.
NIGHT_BEGINS_H = 22
NIGHT_ENDS_H = 6

_HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def night_share(start_ms: int, end_ms: int, time_zone: str) -> float:
    """The share, from 0 to 1, of the time between two moments (epoch ms) at which local clocks show night.

    Exact to the millisecond also where clocks are changed, provided that this happens once a day at most. Takes time in
    proportion to the days. 0 for an empty interval. Raises `Rejected` for a time zone that is not known.
    """
    try:
        zone = ZoneInfo(time_zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:  # also for names that are no file names, or folders
        raise Rejected("unknown-time-zone", f"{time_zone[:80]!r} is not a time zone of the IANA database") from error
    if end_ms <= start_ms:
        return 0.0
    days = pairwise([*range(start_ms, end_ms, DAY_MS), end_ms])
    return sum(_night_ms(begin, end, zone) for begin, end in days) / (end_ms - start_ms)


def _night_ms(begin_ms: int, end_ms: int, zone: ZoneInfo) -> int:
    """Night within a day at most: before and after the moment, if there is one, at which clocks are changed."""
    before, after = _offset_ms(begin_ms, zone), _offset_ms(end_ms, zone)
    change_ms = end_ms
    if before != after:
        day = range(begin_ms, end_ms)
        change_ms = begin_ms + bisect_left(day, True, key=lambda t: _offset_ms(t, zone) != before)
    return (
        _nights_until(change_ms + before)
        - _nights_until(begin_ms + before)
        + _nights_until(end_ms + after)
        - _nights_until(change_ms + after)
    )


def _nights_until(wall_ms: int) -> int:
    """Night from the clock's year 1970 on, in milliseconds, if the clock is never changed."""
    days, today_ms = divmod(wall_ms, DAY_MS)
    night_ms = min(today_ms, NIGHT_ENDS_H * _HOUR_MS) + max(0, today_ms - NIGHT_BEGINS_H * _HOUR_MS)
    return days * (NIGHT_ENDS_H + 24 - NIGHT_BEGINS_H) * _HOUR_MS + night_ms


def _offset_ms(epoch_ms: int, zone: ZoneInfo) -> int:
    offset = (_EPOCH + timedelta(milliseconds=epoch_ms)).astimezone(zone).utcoffset()
    assert offset is not None  # astimezone never gives a naive time
    return offset // timedelta(milliseconds=1)
