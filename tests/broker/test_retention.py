"""How long and how much a partition keeps, with time that the test sets."""

from typing import NamedTuple

import pytest

from localcloud.broker.errors import AmqpError
from localcloud.broker.events.partition import Partition, parse_event
from localcloud.broker.events.position import START, Bound, Position
from localcloud.broker.events.retention import Retention
from localcloud.broker.message import DATA
from localcloud.broker.records import Records
from localcloud.broker.wire.encoder import described, encode
from localcloud.journal import MemoryJournal

BODY = described(DATA, encode(bytes(1000)))
RETENTION = Retention(max_age_ms=6400, max_bytes=160_000)


class Kept(NamedTuple):
    enqueued_ms: int
    size_bytes: int = 1000


@pytest.mark.parametrize(
    ("now_ms", "surplus"),
    [(6400, 0), (6500, 0), (6501, 2), (6900, 5), (7400, 10), (99_999, 10)],
)
def test_events_go_when_they_are_too_old(now_ms: int, surplus: int) -> None:
    """A 64th of the time after the oldest is due, and with it all that are due by then."""
    events = [Kept(100 * number) for number in range(10)]
    assert RETENTION.surplus(events, 10_000, now_ms) == surplus


@pytest.mark.parametrize(("count", "surplus"), [(160, 0), (161, 11), (200, 50)])
def test_events_go_when_there_are_too_many(count: int, surplus: int) -> None:
    """With a 16th of the room for those to come."""
    events = [Kept(0)] * count
    assert RETENTION.surplus(events, 1000 * count, 0) == surplus


def test_an_event_larger_than_all_room_goes_at_once() -> None:
    assert RETENTION.surplus([Kept(0, 170_000)], 170_000, 0) == 1


def test_a_partition_forgets_with_time() -> None:
    """What is left keeps its numbers; the last event's are known even if it is gone."""
    partition = Partition("0", RETENTION, Records(MemoryJournal()).of_partition("hub/Partitions/0"))
    first = partition.first_sequence_number
    for moment_ms in (0, 1000, 8000):
        partition.append(parse_event(BODY), moment_ms)
    assert partition.first_sequence_number == first + 2
    assert partition.sequence_number_at(START) == first + 2
    assert partition.sequence_number_at(Position(Bound.SEQUENCE_NUMBER, first, inclusive=True)) == first + 2
    partition.forget(20_000)
    assert partition.is_empty
    assert partition.last is not None
    assert partition.last.sequence_number == first + 2
    assert partition.sequence_number_at(START) == first + 3


def test_times_of_a_partition_never_go_back() -> None:
    """Though the clock may: positions by time are found by halving."""
    partition = Partition("0", RETENTION, Records(MemoryJournal()).of_partition("hub/Partitions/0"))
    for moment_ms in (5000, 4000, 6000):
        partition.append(parse_event(BODY), moment_ms)
    first = partition.first_sequence_number
    assert partition.sequence_number_at(Position(Bound.ENQUEUED_TIME, 4500)) == first
    assert partition.sequence_number_at(Position(Bound.ENQUEUED_TIME, 5000)) == first + 2


@pytest.mark.parametrize(("bound", "kind"), [(Bound.OFFSET, "offset"), (Bound.SEQUENCE_NUMBER, "sequence number")])
def test_a_position_behind_every_event_is_refused(bound: Bound, kind: str) -> None:
    partition = Partition("0", RETENTION, Records(MemoryJournal()).of_partition("hub/Partitions/0"))
    partition.append(parse_event(BODY), 0)
    with pytest.raises(AmqpError, match=f"The supplied {kind} '[0-9]+' is invalid. The last {kind} in the system is"):
        partition.sequence_number_at(Position(bound, 1 << 62))
