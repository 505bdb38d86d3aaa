"""How a campaign progresses over the fleet: counting in shards, and when the whole is complete.

A campaign is planned in sixteen parts. A part that is closed names its shards with vehicles; a shard that is finished
reports its totals. The campaign is complete when all parts are closed and all of their shards have reported. Nothing
is ever incremented across partitions, so no message can be counted twice.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.identity.vehicle import SHARD_RANGES, Vehicle

PARTS = frozenset(part.digit for part in SHARD_RANGES)


@dataclass(frozen=True, slots=True)
class Totals:
    """Vehicles of a campaign or of a shard of it; one that rejected the update counts as failed."""

    targeted: int = 0
    succeeded: int = 0
    failed: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.targeted + other.targeted, self.succeeded + other.succeeded, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """The vehicles of one shard; until it is `planned` more may be added."""

    totals: Totals = Totals()
    planned: bool = False

    @property
    def finished(self) -> bool:
        """Final: nothing is counted after it, because every vehicle is counted once."""
        return self.planned and self.totals.succeeded + self.totals.failed == self.totals.targeted

    def with_vehicles(self, count: int, *, last: bool) -> "ShardProgress":
        return ShardProgress(self.totals + Totals(targeted=count), planned=last)

    def with_end(self, *, succeeded: bool) -> "ShardProgress":
        return replace(self, totals=self.totals + (Totals(succeeded=1) if succeeded else Totals(failed=1)))


async def by_shard(vehicles: AsyncIterator[Vehicle]) -> AsyncIterator[tuple[str, list[str]]]:
    """The ids of vehicles that come in the order of their shards, one list for each shard."""
    shard, vehicle_ids = "", list[str]()
    async for vehicle in vehicles:
        if vehicle.shard != shard and vehicle_ids:
            yield shard, vehicle_ids
            vehicle_ids = []
        shard = vehicle.shard
        vehicle_ids.append(vehicle.vehicle_id)
    if vehicle_ids:
        yield shard, vehicle_ids


def batches(vehicle_ids: Iterable[str], assigned: set[str], size: int) -> Iterator[tuple[Sequence[str], bool]]:
    """Vehicles that are still to be assigned, at most `size` at once, and whether it is the last batch.

    There is always a last batch, if need be an empty one, since it is what closes the shard.
    """
    missing = [vehicle_id for vehicle_id in vehicle_ids if vehicle_id not in assigned]
    for start in range(0, max(len(missing), 1), size):
        yield missing[start : start + size], start + size >= len(missing)


def completed(plan: Mapping[str, Iterable[str]], finished: Mapping[str, Totals]) -> Totals | None:
    """The totals of the campaign, or None while a part is not closed or a shard not finished.

    `plan` holds the shards with vehicles of each closed part, `finished` the totals of each finished shard.
    """
    if plan.keys() != PARTS:
        return None
    shards = {shard for of_part in plan.values() for shard in of_part}
    if not shards <= finished.keys():
        return None
    return sum((finished[shard] for shard in shards), Totals())
