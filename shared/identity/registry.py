"""The registry of all vehicles: what each one is.

A VIN is personal data (CJEU C-319/22); it lives in the registry row and nowhere else.
"""

from collections.abc import AsyncIterator

from shared import settings
from shared.identity.vehicle import ShardRange, Vehicle, check_vehicle_id, shard
from shared.storage.tables import Row, Table, upsert


async def register(vehicle: Vehicle) -> None:
    """Adds or replaces the vehicle. Raises `Rejected` for an impossible id, `Unavailable`."""
    check_vehicle_id(vehicle.vehicle_id)
    row = Row(
        vehicle.shard,
        vehicle.vehicle_id,
        {"brand": vehicle.brand, "model": vehicle.model, "market": vehicle.market, "vin": vehicle.vin},
    )
    await Table(settings.VEHICLES_TABLE).commit([upsert(row)])


async def find(vehicle_id: str) -> Vehicle | None:
    """The vehicle, or None if it is not registered. Raises `Unavailable`."""
    row = await Table(settings.VEHICLES_TABLE).get(shard(vehicle_id), vehicle_id)
    return None if row is None else _vehicle(row)


async def of_model(part: ShardRange, *, brand: str, model: str) -> AsyncIterator[Vehicle]:
    """The vehicles of a brand and model in one part of the fleet, in shard order. Raises `Unavailable`."""
    rows = Table(settings.VEHICLES_TABLE).query(
        partition_from=part.first, partition_before=part.before, where={"brand": brand, "model": model}
    )
    async for row in rows:
        yield _vehicle(row)


def _vehicle(row: Row) -> Vehicle:
    vin = row.values.get("vin")
    return Vehicle(
        vehicle_id=row.key,
        brand=str(row.values["brand"]),
        model=str(row.values["model"]),
        market=str(row.values["market"]),
        vin=None if vin is None else str(vin),
    )
