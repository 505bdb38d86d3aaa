"""NCRONTAB schedules against a walk over every second."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.ncrontab import Schedule

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("0 */5 * * * *", "2024-05-01T10:00:00", "2024-05-01T10:05:00"),
        ("0 */5 * * * *", "2024-05-01T10:04:59.999999", "2024-05-01T10:05:00"),
        ("*/5 * * * *", "2024-05-01T10:03:07", "2024-05-01T10:05:00"),  # five fields: second 0
        ("30 0 9-17/2 * * MON-FRI", "2024-05-03T17:01:00", "2024-05-06T09:00:30"),
        ("0 0 0 29 feb *", "2024-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 13 * 5", "2024-05-01T00:00:00", "2024-09-13T00:00:00"),  # a Friday the 13th: both must hold
        ("0 0 0 * * 0", "2024-05-01T00:00:00", "2024-05-05T00:00:00"),
        ("10/20 * * * * *", "2024-05-01T10:00:10", "2024-05-01T10:00:30"),
        ("5-1 * * * * *", "2024-05-01T10:00:05", "2024-05-01T10:01:01"),  # turned round
        ("0 0 0 1 January,JUL *", "2024-02-01T00:00:00", "2024-07-01T00:00:00"),
        ("59 59 23 31 12 *", "2024-12-31T23:59:59", "2025-12-31T23:59:59"),
    ],
)
def test_the_next_moment_is_the_one_that_the_expression_says(expression: str, after: str, due: str) -> None:
    assert Schedule.parse(expression).next_after(at(after)) == at(due)


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * * *", "60 * * * * *", "* * 24 * * *", "* * * 0 * *", "* * * * 13 *", "* * * * * 7",
     "* * * * foo *", "*/0 * * * * *", "1- * * * * *", "*-3 * * * * *", "a * * * * *", "? * * * * *", "-1 * * * * *",
     "0 0 0 30 2 *", "00:00:30"],
)  # fmt: skip
def test_a_wrong_or_never_due_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"field|due"):
        Schedule.parse(expression)


def subset(lowest: int, highest: int) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just("*"),
        st.integers(2, 30).map(lambda step: f"*/{step}"),
        st.lists(st.integers(lowest, highest), min_size=1, max_size=4).map(lambda each: ",".join(map(str, each))),
        st.tuples(st.integers(lowest, highest), st.integers(lowest, highest)).map(lambda each: f"{each[0]}-{each[1]}"),
    )


def numbers(text: str, lowest: int, highest: int) -> set[int]:
    """What a field means, told in another way than the parser's."""
    if text == "*":
        return set(range(lowest, highest + 1))
    if text.startswith("*/"):
        return {value for value in range(lowest, highest + 1) if (value - lowest) % int(text[2:]) == 0}
    if "-" in text:
        first, last = sorted(map(int, text.split("-")))
        return set(range(first, last + 1))
    return set(map(int, text.split(",")))


@given(MOMENTS, subset(0, 59), subset(0, 59), subset(0, 23))
def test_no_due_second_is_skipped_within_a_day(moment: datetime, second: str, minute: str, hour: str) -> None:
    due = Schedule.parse(f"{second} {minute} {hour} * * *").next_after(moment)
    seconds, minutes, hours = numbers(second, 0, 59), numbers(minute, 0, 59), numbers(hour, 0, 23)
    assert due > moment
    assert due.second in seconds
    assert due.minute in minutes
    assert due.hour in hours
    earlier = moment.replace(microsecond=0) + timedelta(seconds=1)
    while earlier < due:  # from hour to hour, minute to minute, second to second: nothing in between may match
        if earlier.hour not in hours:
            earlier = earlier.replace(minute=0, second=0) + timedelta(hours=1)
        elif earlier.minute not in minutes:
            earlier = earlier.replace(second=0) + timedelta(minutes=1)
        else:
            assert earlier.second not in seconds
            earlier += timedelta(seconds=1)


@given(MOMENTS, subset(1, 28), subset(1, 12), subset(0, 6))
def test_no_due_day_is_skipped(moment: datetime, day: str, month: str, weekday: str) -> None:
    due = Schedule.parse(f"0 0 0 {day} {month} {weekday}").next_after(moment)
    days, months, weekdays = numbers(day, 1, 31), numbers(month, 1, 12), numbers(weekday, 0, 6)
    candidate = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while candidate.day not in days or candidate.month not in months or candidate.isoweekday() % 7 not in weekdays:
        candidate += timedelta(days=1)
    assert due == candidate


def test_a_schedule_knows_how_close_its_occurrences_come() -> None:
    moment = at("2024-05-01T10:00:00")
    assert Schedule.parse("*/30 * * * * *").is_shorter_than(timedelta(minutes=1), moment)
    assert Schedule.parse("0,50 0 * * * *").is_shorter_than(timedelta(minutes=1), moment)
    assert not Schedule.parse("0 * * * * *").is_shorter_than(timedelta(minutes=1), moment)
