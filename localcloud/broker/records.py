"""What the entities of a namespace keep through an end of the broker, as rows of its journal.

Each queue, subscription, dead-letter queue and partition has a table of its own, by sequence number, so that the oldest
and the newest rows are where it reads and writes. Locks are not kept: whoever held one has lost its connection too.
"""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from localcloud.broker.message import Message, parse_kept
from localcloud.broker.stored import State, StoredMessage
from localcloud.broker.wire.decoder import decode
from localcloud.broker.wire.encoder import encode
from localcloud.journal import Journal, MemoryJournal, SqliteJournal

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE entities (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, last_number INTEGER, next_offset INTEGER);
CREATE TABLE session_states (entity INTEGER, session_id TEXT, state BLOB, PRIMARY KEY (entity, session_id));
CREATE TABLE message_ids (entity INTEGER, message_id BLOB, seen_ms INTEGER, PRIMARY KEY (entity, message_id));
CREATE INDEX message_ids_by_time ON message_ids (entity, seen_ms);
CREATE TABLE rule_changes (entity INTEGER, name TEXT COLLATE NOCASE, description BLOB, PRIMARY KEY (entity, name))
"""


def open_journal(folder: Path | None) -> Journal:
    """The journal in a folder, or one that keeps nothing. Raises `Misconfigured`."""
    return MemoryJournal() if folder is None else SqliteJournal(folder / "broker.sqlite3", _SCHEMA, _VERSION)


class KeptMessage(NamedTuple):
    """A message as it lay in its entity."""

    content: Message
    sequence_number: int
    enqueued_ms: int
    state: State
    delivery_count: int
    expires_ms: int | None


class Found(NamedTuple):
    """An entity as it was left."""

    id: int
    last_number: int
    next_offset: int
    is_new: bool


class _NumberedRows:
    """What an entity holds: a table of its own, with a row for each sequence number."""

    _kind: ClassVar[str]
    _columns: ClassVar[tuple[str, ...]]

    def __init__(self, journal: Journal, found: Found) -> None:
        self.last_number = found.last_number  # as it was left
        self._journal = journal
        self._id = found.id
        self._is_new = found.is_new
        self._table = f"{self._kind}_{found.id}"  # a table's name cannot be a parameter
        if found.is_new:
            journal.write(f"CREATE TABLE {self._table} ({', '.join(self._columns)})", tuple)
        values = ", ".join("?" * len(self._columns))
        self._insert = f"INSERT INTO {self._table} VALUES ({values})"  # noqa: S608 - see above

    def _rows(self) -> list[tuple[Any, ...]]:
        """As they were left, oldest first."""
        if self._is_new:
            return []
        return self._journal.read(f"SELECT * FROM {self._table} ORDER BY number")  # noqa: S608 - see above


class EntityRecords(_NumberedRows):
    """The rows of a queue, subscription or topic."""

    _kind = "messages"
    _columns = (
        "number INTEGER PRIMARY KEY",
        "enqueued_ms INTEGER",
        "state INTEGER",
        "delivery_count INTEGER",
        "expires_ms INTEGER",
        "hops INTEGER",
        "content BLOB",
    )

    def __init__(self, journal: Journal, found: Found) -> None:
        super().__init__(journal, found)
        self._update = f"UPDATE {self._table} SET state = ?, delivery_count = ? WHERE number = ?"  # noqa: S608
        self._rewrite = f"UPDATE {self._table} SET content = ? WHERE number = ?"  # noqa: S608
        self._delete = f"DELETE FROM {self._table} WHERE number = ?"  # noqa: S608

    # ---- messages

    def number(self, last_number: int) -> None:
        """Remembers the last sequence number given, so that none is given twice."""
        self._journal.write_latest(
            (self._id, "number"),
            "UPDATE entities SET last_number = ? WHERE id = ?",
            lambda: (last_number, self._id),
        )

    def add(self, message: StoredMessage) -> None:
        self.number(message.sequence_number)
        self._journal.write(
            self._insert,
            lambda: (
                message.sequence_number,
                message.enqueued_ms,
                message.unlocked_state.value,
                message.delivery_count,
                message.expires_ms,
                message.content.hops,
                message.content.kept(),
            ),
        )

    def change(self, message: StoredMessage) -> None:
        """Another state or count of deliveries."""
        self._journal.write(
            self._update,
            lambda: (message.unlocked_state.value, message.delivery_count, message.sequence_number),
        )

    def change_content(self, message: StoredMessage) -> None:
        self._journal.write(self._rewrite, lambda: (message.content.kept(), message.sequence_number))

    def remove(self, sequence_number: int) -> None:
        self._journal.write(self._delete, lambda: (sequence_number,))

    def messages(self) -> Iterator[KeptMessage]:
        """Everything that was there, oldest first."""
        for row in self._rows():
            number, enqueued_ms, state, delivery_count, expires_ms, hops, content = row
            yield KeptMessage(parse_kept(content, hops), number, enqueued_ms, State(state), delivery_count, expires_ms)

    # ---- what else an entity remembers

    def session_state(self, session_id: str, state: bytes | None) -> None:
        key = (self._id, "session", session_id)
        if state is None:
            delete = "DELETE FROM session_states WHERE entity = ? AND session_id = ?"
            self._journal.write_latest(key, delete, lambda: (self._id, session_id))
        else:
            replace = "INSERT OR REPLACE INTO session_states VALUES (?, ?, ?)"
            self._journal.write_latest(key, replace, lambda: (self._id, session_id, state))

    def session_states(self) -> list[tuple[str, bytes]]:
        return self._journal.read("SELECT session_id, state FROM session_states WHERE entity = ?", self._id)

    def message_id(self, message_id: Hashable, seen_ms: int) -> None:
        self._journal.write(
            "INSERT OR REPLACE INTO message_ids VALUES (?, ?, ?)", lambda: (self._id, encode(message_id), seen_ms)
        )

    def forget_message_ids(self, until_ms: int) -> None:
        self._journal.write_latest(
            (self._id, "ids"),
            "DELETE FROM message_ids WHERE entity = ? AND seen_ms <= ?",
            lambda: (self._id, until_ms),
        )

    def message_ids(self) -> list[tuple[Hashable, int]]:
        """Ids and when they were seen, oldest first."""
        rows = self._journal.read(
            "SELECT message_id, seen_ms FROM message_ids WHERE entity = ? ORDER BY seen_ms, rowid", self._id
        )
        return [(decode(message_id)[0], seen_ms) for message_id, seen_ms in rows]

    def rule_change(self, name: str, description: bytes | None) -> None:
        """A rule that was added, by its encoded description, or a declared one that was removed."""
        self._journal.write(
            "INSERT OR REPLACE INTO rule_changes VALUES (?, ?, ?)", lambda: (self._id, name, description)
        )

    def forget_rule(self, name: str) -> None:
        """A rule that was added and is removed."""
        self._journal.write(
            "DELETE FROM rule_changes WHERE entity = ? AND name = ?",
            lambda: (self._id, name),
        )

    def rule_changes(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Names and descriptions of the rules that differ from the declared ones, in the order of the changes."""
        rows = self._journal.read(
            "SELECT name, description FROM rule_changes WHERE entity = ? ORDER BY rowid", self._id
        )
        return [(name, None if encoded is None else decode(encoded)[0]) for name, encoded in rows]


# Header, other sections, sequence number, offset and time of an event.
EventRow = tuple[bytes, bytes, int, int, int]


class PartitionRecords(_NumberedRows):
    """The rows of a partition of an event hub."""

    _kind = "events"
    _columns = (
        "header BLOB",
        "rest BLOB",
        "number INTEGER PRIMARY KEY",
        "position INTEGER",
        "enqueued_ms INTEGER",
    )

    def __init__(self, journal: Journal, found: Found) -> None:
        super().__init__(journal, found)
        self.next_offset = found.next_offset  # 0: it never had an event
        self._delete = f"DELETE FROM {self._table} WHERE number < ?"  # noqa: S608

    def add(self, event: EventRow, sequence_number: int, next_offset: int) -> None:
        self._journal.write(self._insert, lambda: event)
        self._journal.write_latest(
            (self._id, "number"),
            "UPDATE entities SET last_number = ?, next_offset = ? WHERE id = ?",
            lambda: (sequence_number, next_offset, self._id),
        )

    def drop_before(self, sequence_number: int) -> None:
        self._journal.write_latest((self._id, "dropped"), self._delete, lambda: (sequence_number,))

    def events(self) -> Sequence[EventRow]:
        """What was there, oldest first."""
        return self._rows()


class Records:
    """The rows of all entities."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._found = {
            path: Found(entity_id, last_number, next_offset, is_new=False)
            for entity_id, path, last_number, next_offset in journal.read("SELECT * FROM entities")
        }
        self._next_id = max((found.id for found in self._found.values()), default=0) + 1

    def of(self, path: str) -> EntityRecords:
        """The rows of a queue, subscription or topic, which it may have had before."""
        return EntityRecords(self._journal, self._entity(path))

    def of_partition(self, path: str) -> PartitionRecords:
        """The rows of a partition, which it may have had before."""
        return PartitionRecords(self._journal, self._entity(path))

    def _entity(self, path: str) -> Found:
        found = self._found.pop(path.lower(), None)
        if found is not None:
            return found
        entity_id = self._next_id
        self._next_id += 1
        self._journal.write("INSERT INTO entities VALUES (?, ?, 0, 0)", lambda: (entity_id, path.lower()))
        return Found(entity_id, 0, 0, is_new=True)

    @property
    def undeclared(self) -> list[str]:
        """Paths of entities that nobody has asked for: they are kept until somebody does."""
        return sorted(self._found)
