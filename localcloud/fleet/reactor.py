"""Reacting to wishes that may change while one is still being fulfilled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from localcloud.fleet.link import HubUnreachableError, patiently

_log = logging.getLogger(__name__)


class Reactor:
    """Reacts to one desired property: to its newest value only, and to one at a time.

    A reaction is cancelled when the wish changes; it must therefore be one that may be cut off anywhere and begun anew,
    which it must be anyway: the vehicle may lose its power.
    """

    def __init__(self, name: str, react: Callable[[Mapping[str, Any]], Awaitable[None]], retry_s: float) -> None:
        self._name = name
        self._retry_s = retry_s
        self._react = react
        self._value: Any = None
        self._task: asyncio.Task[None] | None = None

    def wish(self, value: Any, *, again: bool = False) -> None:
        """`again` repeats a finished reaction to the same value."""
        if value == self._value and (self.busy or not again):
            return
        self._value = value
        self._task = asyncio.create_task(self._run(self._task, value))

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    async def settle(self) -> None:
        """Returns when nothing is left to do."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, previous: asyncio.Task[None] | None, value: Any) -> None:
        if previous is not None and not previous.done():
            previous.cancel()
            await asyncio.wait({previous})
        if value is None:
            return
        try:
            await patiently(lambda: self._react(value), self._retry_s)
        except msgspec.ValidationError as error:
            _log.warning("desired property %s makes no sense: %s", self._name, error)
        except HubUnreachableError:
            pass  # the vehicle is being shut down; it begins anew when it is back
        except Exception:  # noqa: BLE001 - a fault in one reaction must not stop the vehicle from reacting to the next
            _log.exception("desired property %s", self._name)
