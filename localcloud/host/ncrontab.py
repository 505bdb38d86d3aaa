"""NCRONTAB schedules as timer triggers use them: `{second} {minute} {hour} {day} {month} {day-of-week}`, UTC.

Rules as in the NCrontab library that the real extension uses: five fields mean second 0, Sunday is 0, a day must
satisfy day *and* day-of-week (other crons take either), `a/n` runs from `a` to the field's end, and a reversed range
is turned round.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FULL_NAMES = {
    name[:3]: name
    for name in (
        *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
        *("november", "december", "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"),
    )
}
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_HORIZON = timedelta(days=366 * 41)  # the 29th of February on a given weekday can be 40 years away, across 2100


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    words: tuple[str, ...] = ()

    def parse(self, text: str) -> frozenset[int]:
        return frozenset(value for part in text.split(",") for value in self._parse_part(part))

    def _parse_part(self, part: str) -> range:
        match = _PART.fullmatch(part)
        if not match:
            raise ValueError(f"{part!r} makes no sense in the field {self.name}")
        step = int(match["step"] or 1)
        if step < 1:
            raise ValueError(f"the step in {part!r} of the field {self.name} must be at least 1")
        if match["first"] == "*":
            if match["last"]:
                raise ValueError(f"{part!r} makes no sense in the field {self.name}")
            first, last = self.lowest, self.highest
        else:
            first = self._parse_value(match["first"])
            open_end = self.highest if step > 1 else first
            last = self._parse_value(match["last"]) if match["last"] else open_end
        return range(min(first, last), max(first, last) + 1, step)

    def _parse_value(self, text: str) -> int:
        if text.isdigit() and self.lowest <= int(text) <= self.highest:
            return int(text)
        word = text.lower()
        if word[:3] in self.words and _FULL_NAMES[word[:3]].startswith(word):
            return self.lowest + self.words.index(word[:3])
        raise ValueError(f"{text!r} is not between {self.lowest} and {self.highest} in the field {self.name}")


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day-of-week", 0, 6, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Moments in UTC at which a timer is due."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> "Schedule":
        """The schedule of an NCRONTAB expression. Raises `ValueError` for one that is wrong or never due."""
        texts = expression.split()
        if len(texts) == len(_FIELDS) - 1:
            texts.insert(0, "0")
        if len(texts) != len(_FIELDS):
            raise ValueError(f"{expression!r} is no NCRONTAB expression: six fields are needed, seconds first")
        schedule = cls(*(field.parse(text) for field, text in zip(_FIELDS, texts, strict=True)))
        schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC))
        return schedule

    def next_after(self, moment: datetime) -> datetime:
        """The first due moment later than `moment`, an aware datetime. Raises `ValueError` if there is none."""
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day, end = start.date(), start.date() + _HORIZON
        earliest = start.time()
        while day <= end:
            if day.month not in self.months:
                day, earliest = _first_of_next_month(day), time.min
                continue
            if self._includes_day(day) and (found := self._first_time(earliest)):
                return datetime.combine(day, found, UTC)
            day, earliest = day + timedelta(days=1), time.min
        raise ValueError("the schedule is never due")

    def following(self, moment: datetime) -> Iterator[datetime]:
        """All due moments later than `moment`, in order."""
        while True:
            moment = self.next_after(moment)
            yield moment

    def is_shorter_than(self, interval: timedelta, moment: datetime) -> bool:
        """Whether any of the next few occurrences after `moment` are closer together than `interval`."""
        upcoming = list(islice(self.following(moment), 6))
        return any(later - earlier < interval for earlier, later in pairwise(upcoming))

    def _includes_day(self, day: date) -> bool:
        return day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _first_time(self, earliest: time) -> time | None:
        for hour in sorted(hour for hour in self.hours if hour >= earliest.hour):
            first_minute = earliest.minute if hour == earliest.hour else 0
            for minute in sorted(minute for minute in self.minutes if minute >= first_minute):
                same_minute = hour == earliest.hour and minute == earliest.minute
                first_second = earliest.second if same_minute else 0
                seconds = [second for second in self.seconds if second >= first_second]
                if seconds:
                    return time(hour, minute, min(seconds))
        return None


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
