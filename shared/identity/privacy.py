"""Whether a vehicle's position may be stored: what its driver has chosen, wherever its data is handled.

Kept beside the registry's row and not in it, because registering a vehicle again must not forget it.
"""

from shared import settings
from shared.identity.vehicle import shard
from shared.storage.tables import Row, Table, upsert


async def is_private(vehicle_id: str) -> bool:
    """Raises `Unavailable`."""
    row = await Table(settings.VEHICLES_TABLE).get(shard(vehicle_id), _key(vehicle_id))
    return row is not None and row.values.get("is_private") is True


async def set_private(vehicle_id: str, *, is_private: bool) -> None:
    """Raises `Unavailable`."""
    row = Row(shard(vehicle_id), _key(vehicle_id), {"is_private": is_private})
    await Table(settings.VEHICLES_TABLE).commit([upsert(row)])


def _key(vehicle_id: str) -> str:
    """Vehicle ids have no "|" in them."""
    return f"{vehicle_id}|privacy"
