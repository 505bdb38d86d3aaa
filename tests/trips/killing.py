"""A process that is killed at one of its effects."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class Fuse:
    """Lets so many effects pass and kills at the next one; what is done again after that passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, effects: int) -> None:
        self._monkeypatch = monkeypatch
        self._left = effects

    def put_in(self, owner: Any, name: str, counts: Callable[..., bool] = lambda *_, **__: True) -> None:
        """Before a function; `counts` says of a call whether it is an effect."""
        function: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def fused(*args: Any, **more: Any) -> Any:
            if counts(*args, **more):
                self._left -= 1
                if self._left == -1:
                    raise Killed
            return await function(*args, **more)

        self._monkeypatch.setattr(owner, name, fused)
