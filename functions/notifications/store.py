"""Where recipients and deliveries are kept: table Notifications, one partition for each vehicle.

Rows `recipient|{recipient_id}` and `delivery|{delivery_id}`, newest delivery first; with them the inbox marks and the
messages that wait to be sent. All functions raise `Unavailable`.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from functions.notifications.decision import Notification, Recipient
from functions.notifications.delivery import Delivery
from shared import settings
from shared.errors import Conflict, Rejected
from shared.messaging import inbox, outbox
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Row, Table, insert, replace

MAX_RECIPIENTS = 20  # of one vehicle, so that all that a notification writes fits into one transaction
_table = Table(settings.NOTIFICATIONS_TABLE)
_RECIPIENT = "recipient|"
_DELIVERY = "delivery|"


@dataclass(frozen=True, slots=True)
class Stored:
    """A delivery as it was read or written; the etag fences the next change."""

    delivery: Delivery
    etag: str | None


# --- Recipients


async def recipients(vehicle_id: str) -> list[Recipient]:
    """All who are told about the vehicle."""
    return [_recipient(row) async for row in _rows(vehicle_id, _RECIPIENT)]


async def recipient(vehicle_id: str, recipient_id: str) -> Recipient | None:
    row = await _table.get(vehicle_id, _RECIPIENT + recipient_id)
    return None if row is None else _recipient(row)


async def set_recipient(recipient: Recipient) -> bool:
    """Adds or changes the recipient; returns whether this was newer than what was known.

    Raises `Rejected` if the vehicle has too many, `Conflict` if someone else changes the same one.
    """
    known = await _table.get(recipient.vehicle_id, _RECIPIENT + recipient.recipient_id)
    if known is None:
        if len(await recipients(recipient.vehicle_id)) >= MAX_RECIPIENTS:
            raise Rejected("too-many-recipients", f"a vehicle has at most {MAX_RECIPIENTS} recipients")
        await _table.commit([insert(_recipient_row(recipient))])
        return True
    if _recipient(known).set_at_ms >= recipient.set_at_ms:
        return False
    await _table.commit([replace(_recipient_row(recipient, known.etag))])
    return True


# --- Deliveries


async def deliveries(vehicle_id: str, *, limit: int | None = None) -> AsyncIterator[Delivery]:
    """The vehicle's deliveries with their status, newest first."""
    async for row in _rows(vehicle_id, _DELIVERY, limit=limit):
        yield _delivery(row)


async def delivery(vehicle_id: str, delivery_id: str) -> Stored | None:
    row = await _table.get(vehicle_id, _DELIVERY + delivery_id)
    return None if row is None else Stored(_delivery(row), row.etag)


async def record(told: Notification, begun: Sequence[Delivery], messages: Iterable[Outgoing], now: datetime) -> bool:
    """Notes that this is told, with its deliveries and their commands; returns False if that was noted before."""
    partition = told.vehicle_id
    rows = [_delivery_row(delivery) for delivery in begun]
    marked = inbox.mark(partition, told.notification_id, now)
    try:
        await _table.commit([marked, *map(insert, rows), *outbox.rows(partition, messages)])
    except Conflict:
        return False
    return True


async def save(before: Stored, after: Delivery, messages: Iterable[Outgoing] = ()) -> Stored:
    """Moves a delivery on. Raises `Conflict` if someone else did so meanwhile."""
    row = _delivery_row(after, before.etag)
    etags = await _table.commit([replace(row), *outbox.rows(row.partition, messages)])
    return Stored(after, etags[0])


async def send_messages(vehicle_id: str) -> None:
    await outbox.flush(_table, vehicle_id)


# --- Rows


def _rows(vehicle_id: str, prefix: str, *, limit: int | None = None) -> AsyncIterator[Row]:
    return _table.query(vehicle_id, key_from=prefix, key_before=prefix + "\uffff", limit=limit)


def _recipient_row(recipient: Recipient, etag: str | None = None) -> Row:
    encoded = {"recipient": msgspec.json.encode(recipient)}
    return Row(recipient.vehicle_id, _RECIPIENT + recipient.recipient_id, encoded, etag)


def _recipient(row: Row) -> Recipient:
    encoded = row.values["recipient"]
    assert isinstance(encoded, bytes)
    return msgspec.json.decode(encoded, type=Recipient)


def _delivery_row(delivery: Delivery, etag: str | None = None) -> Row:
    values = msgspec.to_builtins(delivery, builtin_types=(bytes,))
    return Row(delivery.vehicle_id, _DELIVERY + delivery.delivery_id, values, etag)


def _delivery(row: Row) -> Delivery:
    return msgspec.convert(row.values, Delivery, builtin_types=(bytes,))
