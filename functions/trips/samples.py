"""Samples by column, and messages in the order in which their samples are folded.

What reads samples reads a `Run` of them: one message, or several that overlap in time, as one. So the trips follow
from the set of messages, and neither from how they were batched nor from when they came.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import msgspec


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Samples in time order. A column is empty if nobody measured it, else it has a value or None for each sample."""

    t: list[int]  # epoch milliseconds, never falling
    steps: list[int]  # from each sample to the next, milliseconds
    step_ms: int  # if all steps are the same, else 0
    whole: bool  # no column has a None in it
    lat: list[float] = []
    lon: list[float] = []
    speed_kmh: list[float] = []
    odo_km: list[float] = []
    soc_pct: list[float] = []
    power_kw: list[float] = []
    fuel_l_h: list[float] = []
    fuel_pct: list[float] = []
    temp_c: list[float] = []
    lateral_ms2: list[float] = []
    gear: list[str] = []
    ignition: list[bool] = []
    charging: list[bool] = []

    def part(self, first: int, beyond: int) -> Self:
        """Only these samples; a column without any value in them is empty."""
        columns = dict[str, Any]()
        whole = True
        for name in COLUMNS:
            if column := getattr(self, name)[first:beyond]:
                missing = 0 if self.whole else column.count(None)
                if missing < len(column):
                    columns[name] = column
                    whole = whole and not missing
        steps = self.steps[first : beyond - 1]
        step_ms = self.step_ms or even_step_ms(steps)
        return type(self)(t=self.t[first:beyond], steps=steps, step_ms=step_ms, whole=whole, **columns)


COLUMNS = tuple(name for name in Run.__struct_fields__ if name not in {"t", "steps", "step_ms", "whole"})


def even_step_ms(steps: list[int]) -> int:
    """The step, if all are the same, else 0."""
    return steps[0] if steps and steps.count(steps[0]) == len(steps) else 0


Place = tuple[int, str, int]
"""The order of samples: by time (epoch ms), then as they were sent: boot and sequence number of their message."""


class Message(msgspec.Struct, frozen=True):
    """A message with samples, and where it stands among the vehicle's others."""

    boot: str
    seq: int
    arrived_ms: int
    run: Run
    dropped: dict[str, int]  # samples that could not be used, by reason
    body: bytes = b""  # as it was sent

    @property
    def first(self) -> Place:
        return self.run.t[0], self.boot, self.seq

    @property
    def last(self) -> Place:
        return self.run.t[-1], self.boot, self.seq


class Chapter(NamedTuple):
    """A run, who sent each of its samples (or all of them), and where how many were dropped."""

    run: Run
    senders: Sequence[tuple[str, int]]
    dropped: Sequence[tuple[int, dict[str, int]]]  # at the index of the first sample of their message
    is_message: bool = False  # one message from its first sample on, neither merged nor cut

    def place(self, index: int) -> Place:
        """Where a sample stands in the order."""
        boot, seq = self.senders[index if len(self.senders) > 1 else 0]
        return self.run.t[index], boot, seq


def in_order(messages: Iterable[Message], after: Place | None = None) -> list[Chapter]:
    """The messages' samples in their order, those up to `after` left out.

    Messages that overlap in time become one run; others are neither cut nor joined. Leaving out a beginning does not
    change how the rest falls into runs, nor which of them are one message from its first sample on: what overlapped
    with a message has samples behind its first one, and those stay where it does.
    """
    later = [message for message in messages if after is None or message.last > after]
    if len(later) == 1:
        return [_single(later[0], after)]
    clusters = list[list[Message]]()
    last: Place | None = None
    for message in sorted(later, key=_first):
        if last is not None and message.first < last:
            clusters[-1].append(message)
            last = max(last, message.last)
        else:
            clusters.append([message])
            last = message.last
    return [_single(cluster[0], after) if len(cluster) == 1 else _merged(cluster, after) for cluster in clusters]


def _first(message: Message) -> Place:
    return message.first


def _single(message: Message, after: Place | None) -> Chapter:
    senders, run = ((message.boot, message.seq),), message.run
    if after is None or message.first > after:
        return Chapter(run, senders, ((0, message.dropped),) if message.dropped else (), is_message=True)
    is_later = (message.boot, message.seq) > after[1:]
    first = (bisect_left if is_later else bisect_right)(run.t, after[0])
    return Chapter(run.part(first, len(run.t)), senders, ())


def _merged(cluster: Sequence[Message], after: Place | None) -> Chapter:
    order = sorted(
        (place, number, index)
        for number, message in enumerate(cluster)
        for index, t in enumerate(message.run.t)
        if (place := (t, message.boot, message.seq)) and (after is None or place > after)
    )
    columns = dict[str, list[Any]]()
    for name in COLUMNS:
        ours = [getattr(message.run, name) for message in cluster]
        if any(ours):
            columns[name] = [ours[number][index] if ours[number] else None for _, number, index in order]
    t = [place[0] for place, _, _ in order]
    run = Run(t=t, steps=[b - a for a, b in pairwise(t)], step_ms=0, whole=False, **columns)
    dropped = [(index, cluster[number].dropped) for index, (_, number, first) in enumerate(order) if first == 0]
    return Chapter(run, [place[1:] for place, _, _ in order], [one for one in dropped if one[1]])
