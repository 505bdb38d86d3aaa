"""Duplicate detection: a message id counts once within a window."""

from collections import OrderedDict
from collections.abc import Hashable

from localcloud.broker.records import EntityRecords


def duplicate_history(window_s: float | None, records: EntityRecords) -> "DuplicateHistory | None":
    """None without a window: nothing is a duplicate then."""
    return None if window_s is None else DuplicateHistory(window_s, records)


class DuplicateHistory:
    """The message ids of the last `window_s` seconds."""

    def __init__(self, window_s: float, records: EntityRecords) -> None:
        self._window_ms = round(window_s * 1000)
        self._records = records
        self._seen: OrderedDict[Hashable, int] = OrderedDict(records.message_ids())

    def is_new(self, message_id: Hashable, now_ms: int) -> bool:
        """Whether the id is the first of its kind; remembers it if so. A message without an id is always new."""
        until_ms = now_ms - self._window_ms
        while self._seen and next(iter(self._seen.values())) <= until_ms:
            self._seen.popitem(last=False)
            self._records.forget_message_ids(until_ms)
        if message_id is None:
            return True
        if message_id in self._seen:
            return False
        self._seen[message_id] = now_ms
        self._records.message_id(message_id, now_ms)
        return True
