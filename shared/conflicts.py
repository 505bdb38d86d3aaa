"""What to do when someone else was faster: decide anew, on the state that they left."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import Conflict

_Result = TypeVar("_Result")


async def decided(decide: Callable[[], Awaitable[_Result]], *, attempts: int) -> _Result:
    """What `decide` returns, which loads the state, decides and writes it, fenced.

    It is called again if someone else was faster, `attempts` times in all; then its `Conflict` is raised.
    """
    for _ in range(attempts - 1):
        try:
            return await decide()
        except Conflict:
            continue
    return await decide()
