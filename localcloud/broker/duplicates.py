"""Duplicate detection: a message id counts once within a window."""

from collections import OrderedDict
from collections.abc import Hashable


class DuplicateHistory:
    """The message ids of the last `window_s` seconds."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._seen: OrderedDict[Hashable, float] = OrderedDict()

    def is_new(self, message_id: Hashable, now_s: float) -> bool:
        """Whether the id is the first of its kind; remembers it if so. A message without an id is always new."""
        while self._seen and next(iter(self._seen.values())) + self._window_s <= now_s:
            self._seen.popitem(last=False)
        if message_id is None:
            return True
        if message_id in self._seen:
            return False
        self._seen[message_id] = now_s
        return True
