"""Where the fleet's totals come about: from each vehicle's part to sums of shards, and to what is published.

- TripRollups, partition of a shard: `~fleet|{month}|{vehicle}` the vehicle's part.
- TripRollups, partition `~fleet|{month}`: `part|{digit}` the shards with vehicles of a part of the fleet, and
  `shard|{shard}` the sum of each. Both are inserted once and never change until the next month is due, so all who find
  the month complete publish the same.
- FleetTotals, partition `{month}`: one row for each brand and model, and `~published` when all of them are there.

All functions raise `Unavailable`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from functions.trips.fleet_totals import Cell, FleetTotal, Sum, VehicleClass
from functions.trips.rollup import Totals
from shared import settings
from shared.errors import Conflict
from shared.identity.vehicle import SHARD_RANGES, shard
from shared.storage.tables import MAX_TRANSACTION_ENTITIES, Row, Table, Write, delete, insert, upsert

_FLEET, _PART, _SHARD, _PUBLISHED = "~fleet|", "part|", "shard|", "~published"

MANY = 1000
MAX_PROPERTY_BYTES = 64 * 1024  # a row holds 1 MiB, the sums of some 5,000 models
ALL_PARTS = tuple(part.digit for part in SHARD_RANGES)
_rollups = Table(settings.TRIP_ROLLUPS_TABLE)
_published = Table(settings.FLEET_TOTALS_TABLE)
_Sums = list[tuple[VehicleClass, dict[str, Sum]]]


@dataclass(frozen=True, slots=True)
class PartOfVehicle:
    """What a vehicle adds to the fleet's totals of a month. Totals of None: nothing any more, the row is removed."""

    vehicle_id: str
    month: str
    vehicle_class: VehicleClass
    totals: Totals | None

    def write(self) -> Write:
        partition, key = shard(self.vehicle_id), _part_key(self.vehicle_id, self.month)
        if self.totals is None:
            return delete(Row(partition, key))
        brand, model = self.vehicle_class
        return upsert(Row(partition, key, {"brand": brand, "model": model, **msgspec.structs.asdict(self.totals)}))


async def part(vehicle_id: str, month: str) -> PartOfVehicle | None:
    """What the vehicle adds to a month, as it is stored."""
    row = await _rollups.get(shard(vehicle_id), _part_key(vehicle_id, month))
    return None if row is None else _part(row)


async def parts(name: str, month: str) -> list[PartOfVehicle]:
    """What each vehicle of a shard adds to a month."""
    rows = _rollups.query(name, key_from=f"{_FLEET}{month}|", key_before=f"{_FLEET}{month}~")
    return [_part(row) async for row in rows]


async def remove_parts(name: str, before_month: str) -> None:
    """Removes vehicles' parts of older months, or many of them: what was to be published of them is."""
    rows = _rollups.query(name, key_from=_FLEET, key_before=f"{_FLEET}{before_month}", limit=MANY, select=())
    await _remove([row async for row in rows])


async def remove_sums(before_month: str) -> None:
    """Removes shards' sums of older months, or many of them: of a rare model such a sum may be one vehicle's."""
    before = f"{_FLEET}{before_month}"
    rows = _rollups.query(partition_from=_FLEET, partition_before=before, limit=MANY, select=())
    await _remove([row async for row in rows])


# --- Sums of shards


async def close_part(month: str, digit: str, shards: Iterable[str]) -> None:
    """Notes which shards of a part have vehicles, unless that was noted before."""
    await _insert_once(Row(_sums(month), _PART + digit, {"shards": ",".join(shards)}))


async def is_summed(month: str, name: str) -> bool:
    return await _rollups.get(_sums(month), _SHARD + name) is not None


async def add_sum(month: str, name: str, cells: Iterable[tuple[VehicleClass, Cell]]) -> None:
    """Notes the sum of a shard, unless that was noted before."""
    encoded = msgspec.msgpack.encode(list(cells))
    slices = [encoded[start : start + MAX_PROPERTY_BYTES] for start in range(0, len(encoded), MAX_PROPERTY_BYTES)]
    await _insert_once(Row(_sums(month), _SHARD + name, {f"{number:02d}": each for number, each in enumerate(slices)}))


async def is_complete(month: str, digits: Iterable[str]) -> bool:
    """Whether these parts are closed and all of their shards are summed."""
    for digit in digits:
        closed = await _rollups.get(_sums(month), _PART + digit)
        if closed is None:
            return False
        first = f"{_SHARD}{digit}"
        rows = _rollups.query(_sums(month), key_from=first, key_before=first + "~", select=())
        summed = {row.key.removeprefix(_SHARD) async for row in rows}
        if not _planned(closed) <= summed:
            return False
    return True


async def sums(month: str) -> _Sums:
    """The sums of all shards of a complete month."""
    planned, found = set[str](), dict[str, _Sums]()
    async for row in _rollups.query(_sums(month)):
        if row.key.startswith(_PART):
            planned |= _planned(row)
        else:
            slices = [row.values[name] for name in sorted(row.values)]
            encoded = b"".join(each for each in slices if isinstance(each, bytes))
            found[row.key.removeprefix(_SHARD)] = msgspec.msgpack.decode(encoded, type=_Sums)
    return [cell for name in planned for cell in found[name]]


# --- What is published


async def is_published(month: str) -> bool:
    return await _published.get(month, _PUBLISHED) is not None


async def publish(month: str, totals: Sequence[FleetTotal]) -> None:
    """Publishes a month: to be seen when all of it is there."""
    rows = [Row(month, _class_key(total), msgspec.structs.asdict(total)) for total in totals]
    for start in range(0, len(rows), MAX_TRANSACTION_ENTITIES):
        await _published.commit([upsert(row) for row in rows[start : start + MAX_TRANSACTION_ENTITIES]])
    await _published.commit([upsert(Row(month, _PUBLISHED, {"classes": len(rows)}))])


async def published(month: str) -> list[FleetTotal]:
    """The totals of a month by brand and model; none before they are published."""
    if not await is_published(month):
        return []
    rows = _published.query(month, key_before=_PUBLISHED)
    found = [msgspec.convert(row.values, FleetTotal) async for row in rows]
    return sorted(found, key=lambda total: (total.brand, total.model))


async def _remove(rows: Sequence[Row]) -> None:
    for _, of_partition in groupby(rows, key=lambda row: row.partition):
        writes = [delete(Row(row.partition, row.key)) for row in of_partition]
        for start in range(0, len(writes), MAX_TRANSACTION_ENTITIES):
            try:
                await _rollups.commit(writes[start : start + MAX_TRANSACTION_ENTITIES])
            except Conflict:
                return  # someone else removes them at the same time


async def _insert_once(row: Row) -> None:
    try:
        await _rollups.commit([insert(row)])
    except Conflict:
        return


def _sums(month: str) -> str:
    return f"{_FLEET}{month}"


def _planned(closed: Row) -> set[str]:
    return set(filter(None, str(closed.values["shards"]).split(",")))


def _part_key(vehicle_id: str, month: str) -> str:
    return f"{_FLEET}{month}|{vehicle_id}"


def _part(row: Row) -> PartOfVehicle:
    _, month, vehicle_id = row.key.split("|")
    vehicle_class = str(row.values["brand"]), str(row.values["model"])
    return PartOfVehicle(vehicle_id, month, vehicle_class, msgspec.convert(row.values, Totals))


def _class_key(total: FleetTotal) -> str:
    """Hashed, because names of models may hold what a table key must not."""
    return hashlib.sha256(f"{total.brand}|{total.model}".encode()).hexdigest()[:32]
