"""Which messages of a boot have arrived, and whether one is still awaited.

Messages of a boot are numbered without gaps, so a gap is a message under way. Sequence numbers that were received are
kept as ranges; forgetting one is harmless, because a message that is taken in twice changes nothing.
"""

from bisect import bisect_right

import msgspec

MAX_RANGES = 64


class Reception(msgspec.Struct, array_like=True):
    """The received sequence numbers of one boot as disjoint, ascending, inclusive ranges."""

    ranges: list[tuple[int, int]] = []
    waived: int = 0  # nothing below it is awaited any more
    heard_ms: int = 0  # arrival of the latest message

    def has(self, seq: int) -> bool:
        index = bisect_right(self.ranges, (seq, _BEYOND)) - 1
        return index >= 0 and self.ranges[index][1] >= seq

    @property
    def is_waiting(self) -> bool:
        """Whether a message is missing below the highest that was received."""
        return not self._reaches(self.ranges[-1][1]) if self.ranges else False

    def _reaches(self, highest: int) -> bool:
        index = bisect_right(self.ranges, (self.waived, _BEYOND)) - 1
        return self.waived > highest or (index >= 0 and self.ranges[index][1] >= highest)

    def add(self, seq: int) -> None:
        if self.has(seq):
            return
        index = bisect_right(self.ranges, (seq, _BEYOND))
        first = last = seq
        if index < len(self.ranges) and self.ranges[index][0] == seq + 1:
            last = self.ranges.pop(index)[1]
        if index > 0 and self.ranges[index - 1][1] == seq - 1:
            index -= 1
            first = self.ranges.pop(index)[0]
        self.ranges.insert(index, (first, last))
        if len(self.ranges) > MAX_RANGES:
            del self.ranges[0]
            self.waived = max(self.waived, self.ranges[0][0])

    def waive(self) -> None:
        """Waits no longer for what is missing."""
        if self.ranges:
            self.waived = max(self.waived, self.ranges[-1][1] + 1)


_BEYOND = 1 << 62
