"""The fleet's totals in real tables: summed shard by shard, published once, with no vehicle in them."""

import secrets
from collections.abc import Sequence

import pytest

from functions.trips import fleet_store, rollup_service, rollup_store
from functions.trips.fleet_totals import FleetTotal, Sum
from localcloud.services import LocalCloud
from shared.identity.vehicle import ShardRange, shard
from shared.settings import FLEET_TOTALS_TABLE, TRIP_ROLLUPS_TABLE
from shared.storage.tables import Row, Table, Write
from tests.trips.rollups import Owned, RollUps, alike, clock_at, emptied, patched, trip


@pytest.fixture
async def roll_ups(local_services: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> RollUps:
    await emptied()
    return patched(monkeypatch)


@pytest.fixture
def brand() -> str:
    """Of this test alone: other tests' vehicles are in the same tables. A slash must do no harm."""
    return f"Aurora/{secrets.token_hex(4)}"


async def totals(month: str, brand: str) -> dict[str, FleetTotal]:
    return {total.model: total for total in await rollup_service.read_fleet_totals(month) if total.brand == brand}


async def drove(count: int, month: str, brand: str, model: str = "E1") -> list[Owned]:
    """So many vehicles, with two trips of 20 km each."""
    first, second = Owned(), Owned()  # in two shards
    names = alike(first.vehicle_id, (count - 2) // 2) + alike(second.vehicle_id, (count - 1) // 2)
    fleet = [first, second, *map(Owned, names)]
    for one in fleet:
        await one.drove(*(trip(f"{month}-0{day}T10:00:00", brand=brand, model=model, energy_kwh=3.0) for day in (2, 5)))
    return fleet


async def kept(month: str) -> list[Row]:
    """Vehicles' parts and shards' sums of a month."""
    rows = Table(TRIP_ROLLUPS_TABLE).query()
    return [row async for row in rows if f"~fleet|{month}" in f"{row.partition} {row.key}"]


async def test_a_month_is_published_when_it_is_settled_by_brand_and_model(roll_ups: RollUps, brand: str) -> None:
    fleet = await drove(12, "2023-04", brand)
    fleet += await drove(9, "2023-04", brand, "E2") + await drove(3, "2023-04", brand, "E3")
    for night in ("2023-05-01T03:30:00", "2023-05-05T03:30:00"):
        await roll_ups.run(night)
        assert await totals("2023-04", brand) == {}
    await roll_ups.run("2023-05-06T03:30:00")
    found = await totals("2023-04", brand)
    assert {model: (one.vehicles, one.trips, one.distance_km, one.energy_kwh) for model, one in found.items()} == {
        "E1": (10, 24, 480, 72),
        "other": (10, 24, 480, 72),
    }
    published = [f"{row.key} {row.values}" async for row in Table(FLEET_TOTALS_TABLE).query("2023-04")]
    assert published
    assert not [text for text in published for one in fleet if one.vehicle_id in text]


async def test_nine_vehicles_are_not_published(roll_ups: RollUps, brand: str) -> None:
    await drove(9, "2023-06", brand)
    await roll_ups.run("2023-07-06T03:30:00")
    assert await totals("2023-06", brand) == {}
    assert await fleet_store.is_published("2023-06")


async def test_what_is_published_never_changes(roll_ups: RollUps, brand: str) -> None:
    """Whoever compares before and after would see what one late vehicle drove."""
    await drove(10, "2023-08", brand)
    await roll_ups.run("2023-09-06T03:30:00")
    before = await totals("2023-08", brand)
    await drove(10, "2023-08", brand)
    await roll_ups.run("2023-09-07T03:30:00")
    assert await totals("2023-08", brand) == before


async def test_a_revision_or_withdrawal_before_that_counts(roll_ups: RollUps, brand: str) -> None:
    fleet = await drove(22, "2023-10", brand)
    await roll_ups.run("2023-10-20T03:30:00")
    for one in fleet[:11]:
        await one.drove(trip("2023-10-02T10:00:00", brand=brand, model="E1", distance_km=30.0))
    await fleet[11].withdrew(trip("2023-10-02T10:00:00"))
    for day in ("02", "05"):
        await fleet[12].withdrew(trip(f"2023-10-{day}T10:00:00"))
    await roll_ups.run("2023-11-06T03:30:00")
    (total,) = (await totals("2023-10", brand)).values()
    assert (total.vehicles, total.trips, total.distance_km) == (20, 41, 930)  # 21 vehicles, 11 × 50 + 20 + 9 × 40 km


async def test_a_vehicle_of_no_known_model_is_in_no_cell(roll_ups: RollUps, brand: str) -> None:
    for one in [Owned() for _ in range(10)]:
        await one.drove(trip("2023-12-02T10:00:00", brand=brand, model=None))
    await roll_ups.run("2024-01-06T03:30:00")
    assert await totals("2023-12", brand) == {}


async def test_vehicles_parts_and_shards_sums_are_removed_when_the_next_month_is_due(
    roll_ups: RollUps, brand: str
) -> None:
    await drove(10, "2024-02", brand)
    await roll_ups.run("2024-03-06T03:30:00")
    assert {row.key.split("|")[0] for row in await kept("2024-02")} == {"~fleet", "part", "shard"}
    await roll_ups.run("2024-04-06T03:30:00")
    assert await kept("2024-02") == []
    assert [total.vehicles for total in (await totals("2024-02", brand)).values()] == [10]


async def test_a_shard_of_many_models_is_summed(roll_ups: RollUps) -> None:
    """More than one property of a row holds."""
    cell = {"trips": Sum(10, 300, 40), "distance_m": Sum(10, 10_000_000, 2_000_000)}
    cells = [(("Aurora", f"Model number {number}"), cell) for number in range(3000)]
    await fleet_store.add_sum("2024-08", "000", cells)
    await fleet_store.add_sum("2024-08", "000", [])
    await fleet_store.close_part("2024-08", "0", ["000"])
    assert await fleet_store.is_complete("2024-08", "0")
    assert await fleet_store.sums("2024-08") == cells


EFFECTS = 4  # the plan of a part, the sum of a shard, and what is published in two; with one more nothing is killed


class Killed(BaseException):
    """The process is gone: nothing catches this, and the broker delivers the message again."""


@pytest.mark.parametrize("effect", range(EFFECTS + 1))
async def test_killed_between_any_two_effects_the_month_is_published_all_the_same(
    roll_ups: RollUps, brand: str, monkeypatch: pytest.MonkeyPatch, effect: int
) -> None:
    month, night = f"{2100 + effect}-04", f"{2100 + effect}-05-06T03:30:00"
    first = Owned()
    for one in [first, *(Owned(name) for name in alike(first.vehicle_id, 9))]:
        await one.drove(trip(f"{month}-02T10:00:00", brand=brand))
    name, commit, left = shard(first.vehicle_id), Table.commit, effect

    async def fused_commit(table: Table, writes: Sequence[Write]) -> list[str]:
        nonlocal left
        ours = {("~fleet|" + month, "part|" + name[0]), ("~fleet|" + month, "shard|" + name)}
        if table.name == FLEET_TOTALS_TABLE or ours & {(write.row.partition, write.row.key) for write in writes}:
            left -= 1
            if left == -1:
                raise Killed
        return await commit(table, writes)

    monkeypatch.setattr(Table, "commit", fused_commit)
    killed = 0
    try:
        await roll_ups.run(night)
    except Killed:
        killed += 1
        assert await totals(month, brand) == {}, "nobody sees a part of it"
        await roll_ups.work(night)
    assert killed == (effect < EFFECTS)
    (total,) = (await totals(month, brand)).values()
    assert (total.vehicles, total.distance_km) == (10, 200)


async def test_parts_and_shards_may_come_in_any_order(roll_ups: RollUps, brand: str) -> None:
    """The last to be heard may be a part that has no vehicles."""
    night = "2024-07-06T03:30:00"
    await drove(10, "2024-06", brand)
    await rollup_service.start(clock=clock_at(night))
    parts = list(roll_ups.commands)
    empty = [part for part in parts if not await rollup_store.shards(ShardRange(str(part.subject)))]
    roll_ups.commands[:] = [part for part in parts if part not in empty[-1:]]
    await roll_ups.work(night)
    assert await fleet_store.is_published("2024-06") == (not empty)
    roll_ups.commands[:] = empty[-1:]
    await roll_ups.work(night)
    assert [total.vehicles for total in (await totals("2024-06", brand)).values()] == [10]
