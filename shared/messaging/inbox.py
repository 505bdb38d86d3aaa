"""Which messages were handled already: marks that are written in the same transaction as their effect.

A mark is an insert, so handling the same message twice conflicts instead of taking effect twice.
"""

from datetime import datetime

from shared.clock import to_epoch_ms
from shared.storage.tables import Row, Table, Write, insert

PREFIX = "~inbox|"


def mark(partition: str, message_id: str, now: datetime) -> Write:
    """The write that belongs into the transaction of the effect."""
    return insert(Row(partition, PREFIX + message_id, {"handled_at_ms": to_epoch_ms(now)}))


async def handled(table: Table, partition: str, message_id: str) -> bool:
    """Whether the message took effect before. Raises `Unavailable`."""
    return await table.get(partition, PREFIX + message_id) is not None
