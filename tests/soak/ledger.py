"""What became of every message, from what producers and consumers have written down. Pure.

A message is a number and the attempt to send it: when a send fails, nobody knows whether it was carried out, so the
number is sent again, as another message, and both may come. What a call that failed means is taken exactly:

- A send without a confirmation may have happened or not. If the message comes, it must not be lost from then on.
- A completion without a confirmation may have happened or not: the message may come again or not.
- A refused completion (the lock is lost) has not happened, unless the broker was killed since the message came: then
  the SDK may have asked twice, and the first time may have been the one that counted.
"""

import struct
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import NamedTuple

_RECORD = struct.Struct("<BxHIQ")


class Step(IntEnum):
    SENT = auto()  # confirmed
    SEND_UNKNOWN = auto()
    RECEIVED = auto()
    COMPLETED = auto()  # confirmed
    COMPLETE_UNKNOWN = auto()
    COMPLETE_REFUSED = auto()
    ABANDONED = auto()
    ABANDON_FAILED = auto()


class Entry(NamedTuple):
    step: Step
    attempt: int
    number: int
    at_ns: int  # of a clock that all processes share


def packed(entry: Entry) -> bytes:
    return _RECORD.pack(*entry)


def unpacked(data: bytes) -> Iterator[Entry]:
    """The entries of a log. One that was cut off by the end of its writer is left out."""
    whole = len(data) // _RECORD.size * _RECORD.size
    for step, attempt, number, at_ns in _RECORD.iter_unpack(data[:whole]):
        yield Entry(Step(step), attempt, number, at_ns)


Key = tuple[int, int]  # number and attempt


@dataclass(slots=True)
class Verdict:
    steps: Counter[Step] = field(default_factory=Counter)
    redelivered: int = 0
    missing: list[int] = field(default_factory=list)  # numbers that nobody confirmed to have taken
    lost: list[Key] = field(default_factory=list)  # messages that were there and were never settled
    came_again: list[Key] = field(default_factory=list)  # after their completion was confirmed
    settled_twice: list[Key] = field(default_factory=list)
    never_sent: list[Key] = field(default_factory=list)


def judge(entries: Iterable[Entry], messages: int, kills_ns: Sequence[int]) -> Verdict:
    """What happened to `messages` numbers from 0 on, once the queue is empty and nobody works any more."""
    verdict = Verdict()
    sent: set[Key] = set()
    perhaps_sent: set[Key] = set()
    received_ns: dict[Key, int] = {}
    completed: set[Key] = set()
    perhaps_completed: set[Key] = set()
    for step, attempt, number, at_ns in sorted(entries, key=lambda entry: entry.at_ns):
        key = (number, attempt)
        verdict.steps[step] += 1
        match step:
            case Step.SENT:
                sent.add(key)
            case Step.SEND_UNKNOWN:
                perhaps_sent.add(key)
            case Step.RECEIVED:
                verdict.redelivered += key in received_ns
                received_ns[key] = at_ns
                if key in completed:
                    verdict.came_again.append(key)
            case Step.COMPLETED:
                if key in completed:
                    verdict.settled_twice.append(key)
                completed.add(key)
            case Step.COMPLETE_UNKNOWN:
                perhaps_completed.add(key)
            case Step.COMPLETE_REFUSED:
                if bisect(kills_ns, received_ns.get(key, 0)) < bisect(kills_ns, at_ns):
                    perhaps_completed.add(key)
    numbers = {number for number, _ in sent}
    verdict.missing = [number for number in range(messages) if number not in numbers]
    settled = completed | perhaps_completed
    verdict.lost = sorted((sent | received_ns.keys()) - settled)
    verdict.never_sent = sorted(received_ns.keys() - sent - perhaps_sent)
    return verdict
