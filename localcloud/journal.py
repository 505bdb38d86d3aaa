"""What a service of the local cloud keeps through its own end, however sudden: SQLite, written in groups.

A service works in memory and writes down each change on the way. What was written in one turn of the event loop, and
while the last group was on its way to the disk, becomes one transaction with one fsync. Nothing that tells of a change
may leave the service before the change is on the disk: `when_durable` holds it back until then.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from localcloud.errors import Misconfigured, Unavailable

Parameters = Callable[[], Sequence[Any]]


class Journal(Protocol):
    def write(self, sql: str, parameters: Parameters) -> None:
        """Adds a statement; statements are carried out in their order.

        `parameters` is called when the group is carried out, and never by a journal that keeps nothing.
        """

    def write_latest(self, key: Hashable, sql: str, parameters: Parameters) -> None:
        """Adds a statement that takes the place of an earlier one with the same key in the group.

        What changes often is written once a group so. These statements come behind all others.
        """

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Calls back once all that was written so far is on the disk, in the order of the calls; at once if it is."""

    def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows as they were left; for the start, before anything is written."""

    async def failed(self) -> None:
        """Never returns. Raises `Unavailable` once nothing can be written any more: the service must end."""

    async def close(self) -> None:
        """Carries out what is left."""


class MemoryJournal:
    """Keeps nothing: all that happened is gone with the service."""

    def write(self, sql: str, parameters: Parameters) -> None:
        pass

    def write_latest(self, key: Hashable, sql: str, parameters: Parameters) -> None:
        pass

    def when_durable(self, callback: Callable[[], None]) -> None:
        callback()

    def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        del sql, parameters
        return []

    async def failed(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        pass


class _Group:
    """Statements of one transaction, and who waits for it."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Parameters]] = []
        self.latest: dict[Hashable, tuple[str, Parameters]] = {}
        self.callbacks: deque[Callable[[], None]] = deque()

    @property
    def is_empty(self) -> bool:
        return not self.statements and not self.latest


class SqliteJournal:
    def __init__(self, path: Path, schema: str, version: int) -> None:
        """Opens or makes the database with the tables of `schema`. To be made with a running event loop.

        Raises `Misconfigured` if the file cannot be used: another process has it, it is of another `version`, or it is
        none of ours.
        """
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._next = _Group()
        self._under_way: _Group | None = None
        self._scheduled = False
        self._database = _open(path, schema, version)

    def write(self, sql: str, parameters: Parameters) -> None:
        self._next.statements.append((sql, parameters))
        self._schedule()

    def write_latest(self, key: Hashable, sql: str, parameters: Parameters) -> None:
        self._next.latest[key] = (sql, parameters)
        self._schedule()

    def when_durable(self, callback: Callable[[], None]) -> None:
        if not self._next.is_empty:
            self._next.callbacks.append(callback)
        elif self._under_way is not None:
            self._under_way.callbacks.append(callback)
        else:
            callback()

    def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._database.execute(sql, parameters).fetchall()

    async def failed(self) -> None:
        await asyncio.shield(self._failure)

    async def close(self) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self.when_durable(lambda: done.set_result(None))
        await asyncio.wait([done, self._failure], return_when=asyncio.FIRST_COMPLETED)
        self._committer.shutdown()
        self._database.close()
        if not self._failure.done():
            self._failure.cancel()

    def _schedule(self) -> None:
        if self._under_way is None and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._carry_out)

    def _carry_out(self) -> None:
        """Statements run here and only the commit, which waits for the disk, in a thread.

        A thread for the statements too would fight with this one for the interpreter at each of them.
        """
        self._scheduled = False
        group, self._next = self._next, _Group()
        self._under_way = group
        try:
            self._database.execute("BEGIN")
            for sql, parameters in (*group.statements, *group.latest.values()):
                self._database.execute(sql, parameters())
        except Exception as error:  # noqa: BLE001 - whatever it is: what follows must not be written without it
            self._fail(error)
            return
        commit = self._loop.run_in_executor(self._committer, self._database.commit)
        commit.add_done_callback(self._on_committed)

    def _on_committed(self, commit: "asyncio.Future[None]") -> None:
        group = self._under_way
        assert group is not None
        if (error := commit.exception()) is not None:
            self._fail(error)  # the group stays under way for ever: who waits for it must not go on
            return
        # Who asks meanwhile comes behind those who wait.
        while group.callbacks:
            group.callbacks.popleft()()
        self._under_way = None
        if not self._next.is_empty:
            self._schedule()

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_exception(Unavailable(f"{self._path} cannot be written: {error}"))


def _open(path: Path, schema: str, version: int) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Its commit runs in a thread, one call at a time.
        database = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            _prepare(database, path, schema, version)
        except BaseException:
            database.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise Misconfigured(f"{path} cannot be used: {error}") from error
    return database


def _prepare(database: sqlite3.Connection, path: Path, schema: str, version: int) -> None:
    database.execute("PRAGMA locking_mode = EXCLUSIVE")  # until it is closed or the process ends
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found == 0:
        database.executescript(f"BEGIN; {schema}; PRAGMA user_version = {version}; COMMIT")
    elif found != version:
        raise Misconfigured(f"{path} has layout {found}, and this version reads {version}; use another folder")
