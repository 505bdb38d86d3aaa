"""When a timer is due: at the moments of an NCRONTAB expression, or after equal intervals."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from localcloud.host.host_json_document import parse_time_span
from localcloud.host.ncrontab import Schedule

_LONGER_THAN_HOURS = re.compile(r"(2[4-9]|[3-9]\d):(\d\d):(\d\d)")


class Timetable(Protocol):
    def next_after(self, moment: datetime) -> datetime: ...

    def is_shorter_than(self, interval: timedelta, moment: datetime) -> bool: ...


@dataclass(frozen=True, slots=True)
class ConstantInterval:
    """A TimeSpan in the place of an expression, counted from the last invocation."""

    interval: timedelta

    def next_after(self, moment: datetime) -> datetime:
        return moment + self.interval

    def is_shorter_than(self, interval: timedelta, moment: datetime) -> bool:  # noqa: ARG002 - the protocol's
        return self.interval < interval


def parse_timetable(text: str) -> Timetable:
    """An expression, or a TimeSpan. Raises `ValueError`.

    Where its first number is 24 or more, a TimeSpan is days, hours and minutes ("Azure Functions timer trigger",
    TimeSpan).
    """
    if ":" not in text:
        return Schedule.parse(text)
    if days := _LONGER_THAN_HOURS.fullmatch(text.strip()):
        interval = timedelta(days=int(days[1]), hours=int(days[2]), minutes=int(days[3]))
    else:
        interval = parse_time_span(text)
    if interval <= timedelta():
        raise ValueError(f"the interval {text!r} must be longer than nothing")
    return ConstantInterval(interval)
