"""Where credentials are kept: one row per vehicle in its shard, and one row per public key that was ever used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from functions.certificates.rotation import Credentials, KeyUse
from shared import settings
from shared.clock import to_epoch_ms
from shared.errors import Conflict
from shared.identity.vehicle import ShardRange, shard
from shared.messaging import outbox
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Row, Table, Value, insert, replace

_ATTEND_AT = "attend_at_ms"
_STATE = "credentials"
# Sorts after every shard, so that a scan never meets keys. Each key is a partition: nothing ever needs two at once.
_KEY_PARTITION = "key|"
_KEY_ROW = "first-use"


@dataclass(frozen=True, slots=True)
class Stored:
    """Credentials as they were read or written, with the etag that fences their next change."""

    credentials: Credentials
    etag: str


def _table() -> Table:
    return Table(settings.CERTIFICATES_TABLE)


async def load(vehicle_id: str) -> Stored | None:
    """The vehicle's credentials, or None if it was never enrolled. Raises `Unavailable`."""
    row = await _table().get(shard(vehicle_id), vehicle_id)
    return None if row is None else _stored(row)


async def save(credentials: Credentials, etag: str | None, messages: Sequence[Outgoing] = ()) -> Stored:
    """Writes the credentials and what shall be sent about them, both or neither.

    Raises `Conflict` if they are not as `etag` says (None: absent), `Unavailable`.
    """
    partition = shard(credentials.vehicle_id)
    values: dict[str, Value | None] = {
        _ATTEND_AT: to_epoch_ms(credentials.attend_at),
        _STATE: msgspec.json.encode(credentials).decode(),
    }
    row = Row(partition, credentials.vehicle_id, values, etag)
    write = insert(row) if etag is None else replace(row)
    etags = await _table().commit([write, *outbox.rows(partition, messages)])
    return Stored(credentials, etags[0])


async def due(part: ShardRange, now: datetime, limit: int) -> list[Stored]:
    """Credentials in one part of the fleet that a scan shall look at. Raises `Unavailable`."""
    rows = _table().query(
        partition_from=part.first, partition_before=part.before, at_most={_ATTEND_AT: to_epoch_ms(now)}, limit=limit
    )
    return [_stored(row) async for row in rows]


async def flush(vehicle_id: str) -> None:
    """Sends the messages that wait beside the vehicle's credentials. Raises `Unavailable`."""
    await outbox.flush(_table(), shard(vehicle_id))


async def claim_key(key: str, use: KeyUse) -> KeyUse:
    """The first use of a key in the whole fleet: this one, if there was none before. Raises `Unavailable`."""
    partition = _KEY_PARTITION + key
    row = Row(partition, _KEY_ROW, {"vehicle_id": use.vehicle_id, "purpose": use.purpose})
    try:
        await _table().commit([insert(row)])
    except Conflict:
        first = await _table().get(partition, _KEY_ROW)
        if first is None:
            raise
        return KeyUse(str(first.values["vehicle_id"]), str(first.values["purpose"]))
    return use


def _stored(row: Row) -> Stored:
    assert row.etag is not None
    return Stored(msgspec.json.decode(str(row.values[_STATE]), type=Credentials), row.etag)
