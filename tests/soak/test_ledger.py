"""The ledger finds what it is for: it would be worth nothing if nothing could fail before it."""

import pytest

from tests.soak.ledger import Entry, Step, Verdict, judge, packed, unpacked

KILL_NS = 100


def verdict_on(*steps: tuple[Step, int], number: int = 0, messages: int = 1) -> Verdict:
    """Of one message, and of steps with their times."""
    return judge([Entry(step, 0, number, at_ns) for step, at_ns in steps], messages, [KILL_NS])


SENT, RECEIVED, COMPLETED = (Step.SENT, 1), (Step.RECEIVED, 2), (Step.COMPLETED, 3)


def wrong(verdict: Verdict) -> set[str]:
    names = ("missing", "lost", "came_again", "settled_twice", "never_sent")
    return {name for name in names if getattr(verdict, name)}


@pytest.mark.parametrize(
    "steps",
    [
        [SENT, RECEIVED, COMPLETED],
        [SENT, RECEIVED, (Step.ABANDONED, 3), (Step.RECEIVED, 4), (Step.COMPLETED, 5)],
        # Nobody knows whether it was completed: both are right.
        [SENT, RECEIVED, (Step.COMPLETE_UNKNOWN, 3)],
        [SENT, RECEIVED, (Step.COMPLETE_UNKNOWN, 3), (Step.RECEIVED, 4), (Step.COMPLETED, 5)],
        # Refused because the broker that had the lock is gone: it may have been completed before.
        [SENT, RECEIVED, (Step.COMPLETE_REFUSED, KILL_NS + 1)],
        # The send was confirmed after the message had come already.
        [(Step.RECEIVED, 1), (Step.SENT, 2), COMPLETED],
    ],
)
def test_what_may_happen_is_no_fault(steps: list[tuple[Step, int]]) -> None:
    assert wrong(verdict_on(*steps)) == set()


@pytest.mark.parametrize(
    ("steps", "faults"),
    [
        ([], {"missing"}),
        ([SENT], {"lost"}),
        ([SENT, RECEIVED], {"lost"}),
        ([SENT, RECEIVED, (Step.ABANDONED, 3)], {"lost"}),
        ([SENT, RECEIVED, (Step.COMPLETE_REFUSED, 3)], {"lost"}),
        ([SENT, RECEIVED, COMPLETED, (Step.RECEIVED, 4)], {"came_again"}),
        ([SENT, RECEIVED, COMPLETED, (Step.COMPLETED, 4)], {"settled_twice"}),
        ([RECEIVED, COMPLETED], {"missing", "never_sent"}),
        ([(Step.SEND_UNKNOWN, 1), RECEIVED], {"missing", "lost"}),
    ],
)
def test_what_must_not_happen_is_found(steps: list[tuple[Step, int]], faults: set[str]) -> None:
    assert wrong(verdict_on(*steps)) == faults


def test_an_unconfirmed_send_may_never_have_happened() -> None:
    """It counts for nothing, and the number is sent again as another message."""
    entries = [Entry(Step.SEND_UNKNOWN, 0, 0, 1), Entry(Step.SENT, 1, 0, 2)]
    entries += [Entry(Step.RECEIVED, 1, 0, 3), Entry(Step.COMPLETED, 1, 0, 4)]
    assert wrong(judge(entries, 1, [])) == set()


def test_logs_survive_the_file_and_the_end_of_their_writer() -> None:
    """What was cut off counts as not written."""
    entries = [Entry(Step.SENT, 3, 70_000, 2**60), Entry(Step.COMPLETED, 0, 1, 5)]
    data = b"".join(map(packed, entries))
    assert list(unpacked(data)) == entries
    assert list(unpacked(data[:-1])) == entries[:1]
