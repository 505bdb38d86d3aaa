"""How long trips are kept, and how a fleet's trips are divided among those who remove the old ones: pure.

Trips are found by vehicle, not by age, so every vehicle that has trips has to be visited. The registry would not name
those that are not registered any more. So whoever removes leaps over the table from one vehicle to the next, one small
read each, within a range of vehicle ids. After a few hundred vehicles it leaves the two halves of what is left to
others: soon there are as many at work as the fleet needs, however its ids are distributed.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import convert

from functions.trips.rollup import Kind, Period
from shared.clock import DAY_MS, from_epoch_ms
from shared.messaging.contracts import Message, to_envelope
from shared.messaging.envelope import Envelope

SOURCE = "trips"

# Where a vehicle was, by the names of the rows' properties. Time zones stay: days are counted by them.
_LINE = "polyline"  # readers rely on it to be there
_POSITIONS = {"start_lat", "start_lon", "end_lat", "end_lon", "start_place", "end_place", "lat", "lon", "place", _LINE}

# In the order of table keys: what vehicle ids are made of, and a character before and one behind.
_DIGITS = "!-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz{"
_LENGTH = 65  # of a vehicle id and one more
_Bound = Annotated[str, msgspec.Meta(pattern=r"^[!.0-9A-Z_a-z{-]{1,65}\Z")]

FIRST, BEHIND_LAST = "!", "{"


class RemoveOld(Message, frozen=True, kw_only=True):
    """Remove what is too old of the vehicles with ids from `first` to before `before`, as of `at_ms`."""

    table: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{3,63}\Z")]
    at_ms: int
    first: _Bound = FIRST
    before: _Bound = BEHIND_LAST


def cutoff_ms(at_ms: int, days: int) -> int:
    """What began before this moment is older than so many days; what began at it is not."""
    return at_ms - days * DAY_MS


def last_day_over(at_ms: int) -> date:
    """A day that has begun everywhere, and before which nothing is of a later moment by any clock on earth."""
    return (from_epoch_ms(at_ms) - timedelta(days=1)).date()


def is_over(rollup_key: str, day: date) -> bool:
    """Whether a roll-up, by its key `{vehicle}|{first day}|{kind}`, is of a period without this day and later ones.

    What was told of a week is as old as the week.
    """
    _, first_day, kind = rollup_key.split("|")
    period = Period(date.fromisoformat(first_day), "week" if kind == "digest" else convert(kind, Kind))
    return period.next_first_day <= day


def without_positions(values: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a trip or charging session with all that it measured but where that was."""
    kept = {name: value for name, value in values.items() if name not in _POSITIONS}
    return kept | {_LINE: ""} if _LINE in values else kept


def next_id(vehicle_id: str) -> str:
    """Lies behind this vehicle id and before the next one."""
    return f"{vehicle_id}!"


def halves(first: str, before: str) -> list[tuple[str, str]]:
    """The range in two, or as it is if there is nothing between its ends."""
    middle = _text((_number(first) + _number(before)) // 2)
    return [(first, middle), (middle, before)] if first < middle < before else [(first, before)]


def _number(text: str) -> int:
    number = 0
    for place in range(_LENGTH):
        number = number * len(_DIGITS) + (_DIGITS.index(text[place]) if place < len(text) else 0)
    return number


def _text(number: int) -> str:
    digits = list[str]()
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits)).rstrip(_DIGITS[0]) or _DIGITS[0]


def envelope(command: RemoveOld, now_ms: int) -> Envelope:
    """The id is of the range, which may be too long to be part of it."""
    span = hashlib.sha256(f"{command.first}|{command.before}".encode()).hexdigest()[:32]
    return to_envelope(
        command,
        message_id=f"RemoveOld-{command.table}-{command.at_ms}-{span}",
        source=SOURCE,
        subject=command.table,
        time_ms=now_ms,
    )
