"""Outgoing messages, written in the same transaction as the state that they tell of, then sent.

A crash after the commit leaves the rows; whoever loads that state next finds and sends them. Message ids are stable,
so a message that had been sent already is sent again as the same message.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from shared.clock import from_epoch_ms, to_epoch_ms
from shared.errors import Conflict
from shared.messaging import publisher
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.observability import outgoing_traceparent
from shared.storage.tables import MAX_TRANSACTION_ENTITIES, Row, Table, Write, delete, upsert

# "~" sorts after every vehicle id and campaign id, so outbox rows never mingle with state.
PREFIX = "~outbox|"


def rows(partition: str, messages: Iterable[Outgoing]) -> list[Write]:
    """The writes that belong into the transaction of the state."""
    return [upsert(_to_row(partition, message)) for message in messages]


async def flush(table: Table, partition: str) -> int:
    """Sends and removes everything that waits in this partition; returns how many. Raises `Unavailable`."""
    sent = 0
    while waiting := [row async for row in _waiting(table, partition)]:
        await send(table, waiting)
        sent += len(waiting)
    return sent


async def send(table: Table, waiting: Sequence[Row]) -> None:
    """Sends these outbox rows of one partition, then removes them."""
    await publisher.send([_from_row(row) for row in waiting])
    try:
        await table.commit([delete(Row(row.partition, row.key)) for row in waiting])
    except Conflict:
        # Another instance has sent and removed some of them meanwhile: as the same messages.
        for row in waiting:
            await _remove(table, row)


async def _remove(table: Table, row: Row) -> None:
    try:
        await table.commit([delete(Row(row.partition, row.key))])
    except Conflict:
        return


def _waiting(table: Table, partition: str) -> AsyncIterator[Row]:
    return table.query(partition, key_from=PREFIX, key_before=PREFIX + "\uffff", limit=MAX_TRANSACTION_ENTITIES)


def _to_row(partition: str, message: Outgoing) -> Row:
    envelope = message.envelope
    return Row(
        partition,
        PREFIX + envelope.id,
        {
            "destination": message.destination,
            "id": envelope.id,
            "type": envelope.type,
            "source": envelope.source,
            "time_ms": to_epoch_ms(envelope.time),
            "data": envelope.data,
            "subject": envelope.subject,
            "traceparent": envelope.traceparent or outgoing_traceparent(),
            "not_before_ms": to_epoch_ms(message.not_before) if message.not_before else None,
        },
    )


def _from_row(row: Row) -> Outgoing:
    values = row.values
    not_before_ms = values.get("not_before_ms")
    return Outgoing(
        destination=str(values["destination"]),
        envelope=Envelope(
            id=str(values["id"]),
            type=str(values["type"]),
            source=str(values["source"]),
            time=_moment(values["time_ms"]),
            data=row.binary("data"),
            subject=_optional(values.get("subject")),
            traceparent=_optional(values.get("traceparent")),
        ),
        not_before=None if not_before_ms is None else _moment(not_before_ms),
    )


def _moment(epoch_ms: object) -> datetime:
    assert isinstance(epoch_ms, int)
    return from_epoch_ms(epoch_ms)


def _optional(value: object) -> str | None:
    return None if value is None else str(value)
