"""Damaged conversations by the thousand, some at a time."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from typing import Final

from tests.soak.figures import Report

AT_A_TIME: Final = 8
_ENOUGH_FAILURES: Final = 20


class Rounds(ABC):
    """One run: counts what was said and answered."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.conversations = 0
        self.damages = 0
        self.endings: Counter[str] = Counter()

    async def say(self, damages: int) -> None:
        """Conversations until that much has been damaged."""
        until = self.damages + damages

        async def worker() -> None:
            while self.damages < until and len(self._report.failures) < _ENOUGH_FAILURES:
                number = self.conversations
                self.conversations += 1
                await self.converse(number)

        await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))

    @abstractmethod
    async def converse(self, number: int) -> None:
        """Holds the conversation of that number and adds to `damages` what it damaged."""
