"""The journal: what was told to be durable is there, whatever ends the process."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from localcloud.errors import Misconfigured, Unavailable
from localcloud.journal import MemoryJournal, SqliteJournal

SCHEMA = "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
INSERT = "INSERT INTO facts VALUES (?, ?)"
REPLACE = "INSERT OR REPLACE INTO facts VALUES (?, ?)"


def opened(path: Path, version: int = 1) -> SqliteJournal:
    return SqliteJournal(path, SCHEMA, version)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = opened(tmp_path / "journal.sqlite3")
    yield journal
    await journal.close()


def durable(journal: SqliteJournal) -> asyncio.Event:
    event = asyncio.Event()
    journal.when_durable(event.set)
    return event


def facts(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as database:
        return dict(database.execute("SELECT name, value FROM facts"))


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    """A journal that is opened again has the rows of the one before."""
    first = opened(tmp_path / "a.sqlite3")
    first.write(INSERT, lambda: ("one", 1))
    await first.close()
    second = opened(tmp_path / "a.sqlite3")
    assert second.read("SELECT value FROM facts WHERE name = ?", "one") == [(1,)]
    await second.close()


async def test_nothing_is_durable_before_it_is_committed(journal: SqliteJournal) -> None:
    """Whoever waits is called back after the commit, not when the statement is handed over."""
    journal.write(INSERT, lambda: ("one", 1))
    waiting = durable(journal)
    assert not waiting.is_set()
    await waiting.wait()
    assert journal.read("SELECT name FROM facts") == [("one",)]


def test_nothing_to_wait_for_calls_back_at_once() -> None:
    """Without anything written, and without a file, nobody waits."""
    called: list[int] = []
    MemoryJournal().when_durable(lambda: called.append(1))
    assert called == [1]


async def test_callbacks_come_in_the_order_of_their_calls(journal: SqliteJournal) -> None:
    """Also behind what one of them writes, and behind those that are asked for by a callback."""
    called: list[str] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: called.append(name)

    def first() -> None:
        called.append("first")
        journal.when_durable(note("asked by the first"))

    journal.write(INSERT, lambda: ("one", 1))
    journal.when_durable(first)
    journal.when_durable(note("second"))
    journal.when_durable(lambda: journal.write(INSERT, lambda: ("two", 2)))
    journal.when_durable(note("behind what was written meanwhile"))
    await durable(journal).wait()
    assert called == ["first", "second", "behind what was written meanwhile", "asked by the first"]
    assert journal.read("SELECT count(*) FROM facts") == [(2,)]


async def test_who_fails_when_told_keeps_nobody_waiting(journal: SqliteJournal) -> None:
    """The others hear of their changes all the same, without anything more being written."""

    def fail() -> None:
        raise OSError("the peer is gone")

    journal.write(INSERT, lambda: ("one", 1))
    journal.when_durable(fail)
    await asyncio.wait_for(durable(journal).wait(), 10)


async def test_what_is_written_when_told_of_the_last_group_is_kept_too(tmp_path: Path) -> None:
    """A journal that closes carries out also what its callbacks write."""
    journal = opened(tmp_path / "a.sqlite3")
    journal.write(INSERT, lambda: ("one", 1))
    journal.when_durable(lambda: journal.write(INSERT, lambda: ("two", 2)))
    await journal.close()
    assert facts(tmp_path / "a.sqlite3") == {"one": 1, "two": 2}


async def test_one_turn_of_the_loop_is_one_transaction(tmp_path: Path) -> None:
    """If one statement of a turn cannot be carried out, none of them is, and the journal has failed."""
    journal = opened(tmp_path / "a.sqlite3")
    journal.write(INSERT, lambda: ("one", 1))
    journal.write(INSERT, lambda: ("one", 2))
    told = durable(journal)
    with pytest.raises(Unavailable, match=r"a\.sqlite3 cannot be written: UNIQUE"):
        await journal.failed()
    await journal.close()
    assert not told.is_set()
    assert facts(tmp_path / "a.sqlite3") == {}


async def test_the_latest_of_a_group_is_written_once(journal: SqliteJournal) -> None:
    """Its parameters are asked for when the group is carried out, of earlier ones never."""
    value = 1
    journal.write_latest("key", REPLACE, lambda: pytest.fail("this one is obsolete"))
    journal.write_latest("key", REPLACE, lambda: ("one", value))
    value = 2
    await durable(journal).wait()
    assert journal.read("SELECT value FROM facts") == [(2,)]


async def test_a_folder_has_one_user(journal: SqliteJournal, tmp_path: Path) -> None:
    """A second process, or a second journal, is told that the file is taken."""
    with pytest.raises(Misconfigured, match="is in use by another process"):
        opened(tmp_path / "journal.sqlite3")


@pytest.mark.usefixtures("journal")
async def test_another_layout_is_refused(tmp_path: Path) -> None:
    """A file of another version is left alone."""
    await opened(tmp_path / "a.sqlite3", version=1).close()
    with pytest.raises(Misconfigured, match="has layout 1, and this version reads 2"):
        opened(tmp_path / "a.sqlite3", version=2)


async def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """What is no database is named and not overwritten."""
    path = tmp_path / "a.sqlite3"
    path.write_bytes(b"something else entirely, and long enough" * 100)
    with pytest.raises(Misconfigured, match="not a database"):
        opened(path)
    assert path.read_bytes().startswith(b"something else")


_KILLED = """
import asyncio, sys
from pathlib import Path
from localcloud.journal import SqliteJournal

async def main():
    journal = SqliteJournal(Path(sys.argv[1]), sys.argv[2], 1)
    number = 0
    while True:
        for _ in range(7):
            number += 1
            journal.write("INSERT INTO facts VALUES (?, ?)", lambda number=number: (str(number), number))
        journal.when_durable(lambda number=number: print(number, flush=True))
        await asyncio.sleep(0)

asyncio.run(main())
"""


def test_a_killed_process_has_kept_what_it_told(tmp_path: Path) -> None:
    """After SIGKILL in the middle of its writing all that was told is there, in whole groups."""
    path = tmp_path / "a.sqlite3"
    command = [sys.executable, "-c", _KILLED, str(path), SCHEMA]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(50)]
        process.kill()
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    kept = sorted(facts(path).values())
    assert kept == list(range(1, len(kept) + 1))
    assert kept[-1] >= told[-1]
    assert len(kept) % 7 == 0
    assert len(told) >= 50
