"""What the hub keeps through its own end: devices with their twins, and notifications that are still to be delivered.

Telemetry is not among it: a device keeps a message until it is acknowledged, and that is after the Event Hub has it.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from localcloud.iothub.events import Notification
from localcloud.iothub.registry import Device
from localcloud.journal import Journal, MemoryJournal, SqliteJournal

_VERSION: Final = 1
_SCHEMA: Final = """
    CREATE TABLE devices (device_id TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE notifications (number INTEGER PRIMARY KEY, document BLOB NOT NULL)
"""
_KEEP: Final = "INSERT OR REPLACE INTO devices VALUES (?, ?)"
_FORGET: Final = "DELETE FROM devices WHERE device_id = ?"
_OWE: Final = "INSERT INTO notifications VALUES (?, ?)"
_SETTLE: Final = "DELETE FROM notifications WHERE number = ?"


def open_journal(folder: Path | None) -> Journal:
    """The journal in a folder, or one that keeps nothing. Raises `Misconfigured`."""
    return MemoryJournal() if folder is None else SqliteJournal(folder / "iothub.sqlite3", _SCHEMA, _VERSION)


class Records:
    """The hub's tables. To be read before anything is written."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        rows = journal.read("SELECT number, document FROM notifications ORDER BY number")
        self._owed = {number: msgspec.json.decode(document, type=Notification) for number, document in rows}
        self._numbers = itertools.count(max(self._owed, default=0) + 1)

    def devices(self) -> Iterator[Device]:
        """As they were left, in the order in which they were made."""
        rows = self._journal.read("SELECT document FROM devices")
        devices = [msgspec.json.decode(document, type=Device) for (document,) in rows]
        yield from sorted(devices, key=lambda device: device.generation_id)

    def owed(self) -> dict[int, Notification]:
        """The notifications of an earlier hub that may not have reached their Event Hubs; asked for once."""
        owed, self._owed = self._owed, {}
        return owed

    def keep(self, device: Device) -> None:
        """Writes the device down as it is when the group is written, once however often it changed until then."""
        self._journal.write_latest(device.device_id, _KEEP, lambda: (device.device_id, msgspec.json.encode(device)))

    def forget(self, device_id: str) -> None:
        self._journal.write_latest(device_id, _FORGET, lambda: (device_id,))

    def owe(self, notification: Notification) -> int:
        """Keeps a notification until it is settled by the number that it gets."""
        number = next(self._numbers)
        self._journal.write(_OWE, lambda: (number, msgspec.json.encode(notification)))
        return number

    def settle(self, number: int) -> None:
        self._journal.write(_SETTLE, lambda: (number,))
