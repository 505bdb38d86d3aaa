"""What a service of the local cloud keeps through its own end, however sudden: SQLite, written in groups.

A service works in memory and writes down each change on the way. What was written in one turn of the event loop becomes
one transaction at its end. Nothing that tells of a change may leave the service before that: `when_durable` holds it
back until then.

The transactions survive the process, SIGKILL included. They reach the disk itself when SQLite moves them from its
write-ahead log into the database, every thousand pages: an fsync for each would cost ten times the work of the broker,
and a power failure is not what a cloud on a laptop is there to survive.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Protocol

from localcloud.errors import Misconfigured, Unavailable

logger = logging.getLogger(__name__)

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
        """Calls back once all that was written so far survives this process, in the order of the calls."""

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


class SqliteJournal:
    def __init__(self, path: Path, schema: str, version: int) -> None:
        """Opens or makes the database with the tables of `schema`. To be made with a running event loop.

        Raises `Misconfigured` if the file cannot be used: another process has it, it is of another `version`, or it is
        none of ours.
        """
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._statements: list[tuple[str, Parameters]] = []
        self._latest: dict[Hashable, tuple[str, Parameters]] = {}
        self._callbacks: deque[Callable[[], None]] = deque()
        self._committing: asyncio.Handle | None = None
        self._database = _open(path, schema, version)

    def write(self, sql: str, parameters: Parameters) -> None:
        self._statements.append((sql, parameters))
        self._commit_soon()

    def write_latest(self, key: Hashable, sql: str, parameters: Parameters) -> None:
        self._latest[key] = (sql, parameters)
        self._commit_soon()

    def when_durable(self, callback: Callable[[], None]) -> None:
        if self._committing is None and not self._callbacks:
            callback()
        else:
            self._callbacks.append(callback)

    def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._database.execute(sql, parameters).fetchall()

    async def failed(self) -> None:
        await asyncio.shield(self._failure)

    async def close(self) -> None:
        while self._committing is not None and not self._failure.done():  # who is told may write once more
            self._committing.cancel()
            self._commit()
        self._database.close()
        if not self._failure.done():
            self._failure.cancel()

    def _commit_soon(self) -> None:
        if self._committing is None:
            self._committing = self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        statements = [*self._statements, *self._latest.values()]
        self._statements.clear()
        self._latest.clear()
        try:
            self._database.execute("BEGIN")
            for sql, parameters in statements:
                self._database.execute(sql, parameters())
            self._database.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is: what follows must not be written without it
            # It goes on committing for ever: who waits for it must not be told that it is done.
            self._failure.set_exception(Unavailable(f"{self._path} cannot be written: {error}"))
            return
        self._committing = None
        # Who asks meanwhile comes behind those who wait.
        while self._callbacks and self._committing is None:
            callback = self._callbacks.popleft()
            try:
                callback()
            except Exception:  # one connection that cannot be told must not keep the others waiting
                logger.exception("A change is kept, and telling of it failed")


def _open(path: Path, schema: str, version: int) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=0.5, isolation_level=None)
        try:
            _prepare(database, path, schema, version)
        except BaseException:
            database.close()
            raise
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise Misconfigured(f"{path} is in use by another process; stop that or use another folder") from error
        raise Misconfigured(f"{path} cannot be used: {error}") from error
    return database


def _prepare(database: sqlite3.Connection, path: Path, schema: str, version: int) -> None:
    database.execute("PRAGMA locking_mode = EXCLUSIVE")  # until it is closed or the process ends
    database.execute("PRAGMA journal_mode = WAL")
    # Durable when the process ends, whatever ends it; a power failure may cost the last transactions, never more.
    database.execute("PRAGMA synchronous = NORMAL")
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found == 0:
        database.executescript(f"BEGIN; {schema}; PRAGMA user_version = {version}; COMMIT")
    elif found != version:
        raise Misconfigured(f"{path} has layout {found}, and this version reads {version}; use another folder")
