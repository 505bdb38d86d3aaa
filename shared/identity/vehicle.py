"""Vehicles: pseudonymous ids, and the registry that knows what each one is.

A VIN is personal data (CJEU C-319/22); it lives in the registry row and nowhere else.
"""

import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from shared import settings
from shared.errors import Rejected
from shared.storage.tables import Row, Table, upsert

SHARDS = 4096
# Of the characters that IoT Hub allows in a device id, those that are also safe in table keys and topics.
_VEHICLE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_vehicle_id(vehicle_id: str) -> str:
    """The id itself. Raises `Rejected` if it cannot be one."""
    if not _VEHICLE_ID.fullmatch(vehicle_id):
        raise Rejected("bad-vehicle-id", f"{vehicle_id[:80]!r} is not a vehicle id")
    return vehicle_id


def checksum(vehicle_id: str) -> int:
    """CRC-32 of the id: spreads vehicles evenly and stays the same for ever."""
    return zlib.crc32(vehicle_id.encode())


def shard(vehicle_id: str) -> str:
    """The partition of everything that is planned over the whole fleet: "000" to "fff"."""
    return f"{checksum(vehicle_id) % SHARDS:03x}"


@dataclass(frozen=True, slots=True)
class ShardRange:
    """A contiguous part of the fleet that one message of a fan-out covers: shards that start with `digit`."""

    digit: str

    @property
    def first(self) -> str:
        """Inclusive lower bound of the partition keys."""
        return self.digit

    @property
    def before(self) -> str:
        """Exclusive upper bound of the partition keys."""
        return chr(ord(self.digit) + 1)


SHARD_RANGES = tuple(ShardRange(digit) for digit in "0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What the fleet knows about a vehicle."""

    vehicle_id: str
    brand: str
    model: str
    market: str
    vin: str | None = None

    @property
    def shard(self) -> str:
        return shard(self.vehicle_id)


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
