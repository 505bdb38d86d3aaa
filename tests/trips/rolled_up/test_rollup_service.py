"""Roll-ups in real tables: what changed is brought up to date, told once, whatever happens on the way."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Any

import azure.functions as func
import pytest

from functions.trips import rollup, rollup_service, rollup_store, totals_service, triggers
from functions.trips.rollup import Period
from functions.trips.rollup_messages import RollUpShard, roll_up_shard
from functions.trips.rollup_store import Update
from localcloud.services import LocalCloud
from shared.errors import Conflict, Rejected
from shared.identity.vehicle import shard
from shared.messaging import publisher
from shared.messaging.contracts import CloseTrip, ResetLongTermMemory, to_envelope
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.settings import TRIP_ROLLUPS_TABLE
from shared.storage.tables import Table, Write
from tests.trips.killing import Fuse, Killed
from tests.trips.rollups import (
    A_DAY_LATER,
    MONDAY,
    NEXT_MONDAY_NIGHT,
    WEDNESDAY_NIGHT,
    Owned,
    RollUps,
    alike,
    at,
    clock_at,
    marks,
    patched,
    read,
    stored,
    trip,
    week,
)

# --- Totals


async def test_what_changed_is_in_the_totals_after_the_timer_and_before_it_on_request(
    car: Owned, roll_ups: RollUps
) -> None:
    await car.drove(*week())
    expected = rollup.by_period(week())
    assert await stored(car) == {}
    assert await read(car) == expected
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert await stored(car) == expected == await read(car)
    assert expected[Period(MONDAY, "week")].energy_kwh == 5.0
    assert expected[Period(date(2026, 4, 29), "day")].trips == 1
    assert await marks(car) == []


async def test_a_revision_changes_its_periods_and_a_withdrawn_trip_leaves_them(car: Owned, roll_ups: RollUps) -> None:
    first, second, third = week()
    await car.drove(first, second, third)
    await roll_ups.run(WEDNESDAY_NIGHT)
    moved = trip(second.started_at_ms, distance_km=55.0, start_time_zone="America/New_York")  # Tuesday there
    await car.drove(moved)
    await car.withdrew(third)
    expected = rollup.by_period([first, moved])
    assert await read(car) == expected
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert await stored(car) == expected == await read(car)
    assert Period(date(2026, 5, 1), "month") not in expected
    await car.withdrew(first, moved)
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert await stored(car) == {} == await read(car)


async def test_what_was_carried_is_noted_and_counts_nowhere(car: Owned, roll_ups: RollUps) -> None:
    await car.drove(trip("2026-04-27T06:00:00", kind="carried"))
    await roll_ups.run(NEXT_MONDAY_NIGHT)
    assert await car.rows() == {}
    assert roll_ups.digests(car.vehicle_id) == []


async def test_a_second_run_has_nothing_to_do(car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch) -> None:
    await car.drove(*week())
    await roll_ups.run(WEDNESDAY_NIGHT)
    before = await car.rows()
    monkeypatch.setattr(rollup_store, "trips", None)  # would fail if it was asked
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert await car.rows() == before


async def test_a_shard_with_too_many_changes_goes_on_in_further_rounds(
    roll_ups: RollUps, car: Owned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a vehicle with changes in several months, or with more than fit into one transaction."""
    neighbours = [car, *[Owned(name) for name in alike(car.vehicle_id, 3)]]
    monkeypatch.setattr(totals_service, "CHANGES_AT_ONCE", 7)
    monkeypatch.setattr(totals_service, "CHANGES_OF_A_VEHICLE", 3)
    rows = [trip(f"2026-0{month}-1{day}T12:00:00") for month in (2, 4) for day in range(5)]
    for one in neighbours:
        await one.drove(*rows)
    await roll_ups.run(WEDNESDAY_NIGHT)
    for one in neighbours:
        assert await stored(one) == rollup.by_period(rows)
        assert await marks(one) == []


def overtake(car: Owned, act: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this happen once, between deciding about the car's totals and saving them."""
    save = rollup_store.save

    async def overtaken(updates: Sequence[Update]) -> int:
        if car.vehicle_id in {update.vehicle_id for update in updates}:
            monkeypatch.setattr(rollup_store, "save", save)
            await act()
        return await save(updates)

    monkeypatch.setattr(rollup_store, "save", overtaken)


async def test_a_trip_that_changes_while_it_is_rolled_up_is_rolled_up_again(
    car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The neighbour of the same transaction does not suffer from it."""
    (other,) = (Owned(name) for name in alike(car.vehicle_id, 1))
    first, later = trip("2026-04-27T06:00:00"), trip("2026-04-27T06:00:00", distance_km=99.0)
    await car.drove(first)
    await other.drove(first)
    overtake(car, lambda: car.drove(later), monkeypatch)
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert (await stored(car), len(await marks(car))) == ({}, 1)
    assert await stored(other) == rollup.by_period([first])
    assert await read(car) == rollup.by_period([later])
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert await stored(car) == rollup.by_period([later])


async def test_two_who_roll_up_different_days_at_once_do_not_lose_one_in_the_week(
    car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one has not seen the other's day, and the mark that it removes is another."""
    monday, tuesday = trip("2026-04-27T12:00:00"), trip("2026-04-28T12:00:00")
    await car.drove(monday)

    async def roll_up_tuesday() -> None:
        await car.drove(tuesday)
        mark = (await rollup_store.changes_of(car.vehicle_id))[1]
        assert await rollup_store.save([await totals_service._update([mark], "2026-04", at(WEDNESDAY_NIGHT))]) == 1

    overtake(car, roll_up_tuesday, monkeypatch)
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert await stored(car) == rollup.by_period([tuesday])
    await roll_ups.run(WEDNESDAY_NIGHT)
    assert await stored(car) == rollup.by_period([monday, tuesday])


async def test_runs_at_the_same_time_end_the_same(car: Owned, roll_ups: RollUps) -> None:
    """Who finds nothing left to do that another did not do is to come again later."""
    await car.drove(*week())
    command = RollUpShard(run_id="r", shard=shard(car.vehicle_id), month="2026-03", sum_month=False)
    envelope = roll_up_shard(command, 0)
    runs = (rollup_service.obey(envelope, clock=clock_at(NEXT_MONDAY_NIGHT)) for _ in "abc")
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, Conflict) for outcome in outcomes)
    await roll_ups.run(A_DAY_LATER)
    assert await stored(car) == rollup.by_period(week())
    assert len(roll_ups.digests(car.vehicle_id)) == 1


async def test_trips_that_never_come_to_rest_are_left_for_later(
    car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals_service, "CHANGES_AT_ONCE", 1)
    await car.drove(trip("2026-04-27T06:00:00"))

    async def overtaken(_: Any) -> int:
        return 0

    monkeypatch.setattr(rollup_store, "save", overtaken)
    with pytest.raises(Conflict, match="faster"):
        await roll_ups.run(WEDNESDAY_NIGHT)


async def test_few_transactions_bring_many_vehicles_up_to_date(
    car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reads for each vehicle, but one write for a dozen."""
    fleet = [car, *[Owned(name) for name in alike(car.vehicle_id, 35)]]
    for one in fleet:
        await one.drove(trip("2026-04-28T06:00:00"), trip("2026-04-28T16:00:00"))
    done = Counter[str]()
    commit, query = Table.commit, Table.query

    async def counted_commit(table: Table, writes: Sequence[Write]) -> list[str]:
        done["commits"] += 1
        return await commit(table, writes)

    def counted_query(table: Table, *arguments: Any, **options: Any) -> Any:
        done["queries"] += 1
        return query(table, *arguments, **options)

    monkeypatch.setattr(Table, "commit", counted_commit)
    monkeypatch.setattr(Table, "query", counted_query)
    assert await totals_service.roll_up(shard(car.vehicle_id), "2026-03", at(WEDNESDAY_NIGHT)) is False
    assert done == {"queries": 1 + 2 * 36, "commits": 3}  # of 7 rows for each vehicle, 14 of them at once


# --- A run that is cut short


EFFECTS = 8  # transactions and sendings of a run that concern this car; with one more nothing is killed


@pytest.mark.parametrize("effect", range(EFFECTS + 1))
async def test_killed_between_any_two_effects_it_ends_the_same(
    car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch, effect: int
) -> None:
    """Of the timer, the part's command, and two rounds of the shard's, which tell digests."""
    monkeypatch.setattr(totals_service, "CHANGES_OF_A_VEHICLE", 2)
    await car.drove(*week())

    def is_ours(table: Table, writes: Sequence[Write]) -> bool:
        return table.name == TRIP_ROLLUPS_TABLE and any(car.vehicle_id in write.row.key for write in writes)

    def are_ours(sent: Sequence[Outgoing]) -> bool:
        ours = {car.vehicle_id, shard(car.vehicle_id), shard(car.vehicle_id)[0]}
        return bool(ours & {str(one.envelope.subject) for one in sent})

    fuse = Fuse(monkeypatch, effect)
    fuse.put_in(Table, "commit", is_ours)
    fuse.put_in(publisher, "send", are_ours)
    killed = 0
    while True:
        try:
            if roll_ups.commands:
                await roll_ups.work(NEXT_MONDAY_NIGHT)
            else:
                await roll_ups.run(NEXT_MONDAY_NIGHT)
            break
        except Killed:
            killed += 1
    assert killed == (effect < EFFECTS)
    assert await stored(car) == rollup.by_period(week())
    assert [digest.trips for digest in roll_ups.digests(car.vehicle_id)] == [3]
    assert not [key for key in await car.rows() if key.startswith(("~changed", "~digest", "~outbox"))]


# --- The trip computer


async def test_memories_are_those_of_the_rows_as_they_are(car: Owned) -> None:
    await car.drove(*week())
    await car.charged("2026-04-28T01:00:00")
    await car.charged("2026-04-20T01:00:00")
    found = await rollup_service.read_memories(car.vehicle_id)
    assert [
        memory and (memory.since, memory.trips) for memory in (found.short_term, found.cyclic, found.long_term)
    ] == [
        ("start", 1),
        ("charging", 2),
        ("records", 3),
    ]
    await car.withdrew(week()[2])
    found = await rollup_service.read_memories(car.vehicle_id)
    assert found.long_term is not None
    assert found.long_term.trips == 2
    nobody = await rollup_service.read_memories("nobody")
    assert (nobody.short_term, nobody.cyclic, nobody.long_term) == (None, None, None)


def reset(vehicle_id: str, moment: str) -> Envelope:
    command = ResetLongTermMemory(vehicle_id=vehicle_id)
    return to_envelope(command, message_id="r", source="test", subject=vehicle_id, time_ms=at(moment))


async def test_the_last_reset_holds_in_whatever_order_they_arrive(car: Owned) -> None:
    await car.drove(*week())
    for moment in ("2026-04-28T12:00:00", "2026-04-29T12:00:00", "2026-04-27T12:00:00", "2026-04-29T12:00:00"):
        await rollup_service.obey(reset(car.vehicle_id, moment))
    found = await rollup_service.read_memories(car.vehicle_id)
    assert found.long_term is not None
    assert (found.long_term.since, found.long_term.trips) == ("reset", 1)
    with pytest.raises(Rejected, match="bad-vehicle-id"):
        await rollup_service.obey(reset("no/car", "2026-04-28T12:00:00"))


async def test_what_is_removed_for_its_age_stays_in_totals_and_long_term_memory(car: Owned, roll_ups: RollUps) -> None:
    first, second, third = week()
    await car.drove(first, second, third)
    await roll_ups.run(WEDNESDAY_NIGHT)
    before = await rollup_service.read_memories(car.vehicle_id)
    for _ in range(2):  # also if it was cut short
        await rollup_service.carry_forward(car.vehicle_id, at("2026-04-30T00:00:00"))
    await car.lost(first, second)
    assert (await rollup_service.read_memories(car.vehicle_id)).long_term == before.long_term
    straggler = trip("2026-04-27T19:00:00")  # of a day whose trips are gone
    fourth = trip("2026-05-02T09:00:00", distance_km=5.0)
    await car.drove(straggler, fourth)
    await roll_ups.run("2026-06-20T03:30:00")
    assert await stored(car) == rollup.by_period([*week(), fourth])
    assert await marks(car) == []


async def test_erasure_leaves_nothing(car: Owned, roll_ups: RollUps, monkeypatch: pytest.MonkeyPatch) -> None:
    (other,) = (Owned(name) for name in alike(car.vehicle_id, 1))
    for one in (car, other):
        await one.drove(*week(), trip("2026-05-04T08:00:00"))
        await rollup_service.obey(reset(one.vehicle_id, "2026-04-28T12:00:00"))
    with monkeypatch.context() as patch:
        patch.setattr(rollup_store, "flush", _nothing)
        await roll_ups.run(NEXT_MONDAY_NIGHT)
    await car.noted(trip("2026-04-30T06:00:00"))
    kept = {key.split("|")[0] for key in await car.rows()}
    assert kept == {"", "~changed", "~digest", "~fleet", "~outbox"}
    spared = await other.rows()
    await rollup_store.erase(car.vehicle_id)
    await rollup_store.erase(car.vehicle_id)
    # The other's id begins with this one's.
    assert [key for key, row in (await car.rows()).items() if other.vehicle_id not in row.key] == []
    assert await other.rows() == spared


async def _nothing(_: str) -> None:
    return None


# --- Messages


async def test_a_command_of_someone_else_is_refused(local_services: LocalCloud) -> None:
    foreign = to_envelope(CloseTrip(vehicle_id="car"), message_id="1", source="t", subject="s", time_ms=0)
    with pytest.raises(Rejected, match="unknown-type"):
        await rollup_service.obey(foreign)


@pytest.mark.parametrize("wrong", [{"shard": "a/b"}, {"month": "2026"}, {"run_id": "x" * 65}])
async def test_a_command_that_cannot_be_is_refused(local_services: LocalCloud, wrong: dict[str, str]) -> None:
    known: dict[str, Any] = {"run_id": "r", "shard": "000", "month": "2026-04", "sum_month": False}
    with pytest.raises(Rejected, match="bad-data"):
        await rollup_service.obey(roll_up_shard(RollUpShard(**known | wrong), 0))


async def test_the_timer_starts_a_roll_up_of_every_part(
    local_services: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll_ups, app = patched(monkeypatch), func.FunctionApp()
    app.register_functions(triggers.trips)
    functions = {function.get_function_name(): function.get_user_function() for function in app.get_functions()}
    await functions["trips_rollup"](timer=None)
    assert sorted(str(command.subject) for command in roll_ups.commands) == list("0123456789abcdef")
