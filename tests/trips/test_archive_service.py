"""What is kept of a vehicle is handed out to people, and removed when it is old."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from functions.trips import archive_service, rollup_service
from functions.trips.retention import RemoveOld
from functions.trips.rollup_messages import RollUpShard, roll_up_shard
from functions.trips.store import Store
from shared import settings
from shared.clock import DAY_MS
from shared.errors import Rejected
from shared.identity.vehicle import shard
from shared.messaging.publisher import Outgoing
from shared.settings import DOMAIN_EVENTS, TELEMETRY_HUB, TRIP_COMMANDS
from shared.storage.tables import Row, Table, upsert
from tests.trips.conftest import Car, clock
from tests.trips.drives import MORNING_MS
from tests.trips.filled import ERASED_MS, a_day, fill, obey
from tests.trips.gpx_rules import NAMESPACE, checked
from tests.trips.rollups import Owned, trip

# --- What is handed out


async def test_everything_that_is_stored_is_handed_out(car: Car) -> None:
    """All of the car's, and nothing of what another one sent."""
    await fill(car)
    told = json.loads(await archive_service.read(car.vehicle_id, "json", store=car.store, clock=clock(ERASED_MS)))
    assert {name: len(told[name]) for name in ("trips", "charging_sessions", "messages", "open_trips")} == {
        "trips": 1,
        "charging_sessions": 1,
        "messages": 9,
        "open_trips": 1,
    }
    assert [one["message"] for one in told["messages"]] == [json.loads(body) for body in a_day()]
    assert told["trips"][0]["trip_id"] == f"{car.vehicle_id}-{MORNING_MS}"
    assert [(one["source"], one["body"]) for one in told["set_aside"]] == [
        (TELEMETRY_HUB, "hello"),
        (TRIP_COMMANDS, {"vehicle_id": car.vehicle_id, "of": TRIP_COMMANDS}),
        (DOMAIN_EVENTS, {"vehicle_id": car.vehicle_id, "of": DOMAIN_EVENTS}),
    ]
    document = checked(await archive_service.read(car.vehicle_id, "gpx", store=car.store, clock=clock(ERASED_MS)))
    tracks = document.findall(f"{NAMESPACE}trk")
    measured = [len(track.findall(f".//{NAMESPACE}trkpt/{NAMESPACE}time")) for track in tracks]
    assert measured == [121, 20 + 121], "the first trip, and what was measured since"
    assert len(document.findall(f"{NAMESPACE}wpt")) == 1


@pytest.mark.parametrize(("vehicle_id", "form"), [("car", "kml"), ("no/vehicle", "json")])
async def test_a_wrong_question_is_refused(vehicle_id: str, form: str) -> None:
    with pytest.raises(Rejected):
        await archive_service.read(vehicle_id, form)


# --- What is too old

NIGHT_MS = 978_307_200_000 + 1100 * DAY_MS  # long before the trips of other tests
TRIPS_FROM_MS, POSITIONS_FROM_MS = NIGHT_MS - 1096 * DAY_MS, NIGHT_MS - 90 * DAY_MS
TABLES = {settings.TRIPS_TABLE: ("start_lat", "polyline"), settings.CHARGING_SESSIONS_TABLE: ("lat", "place")}


async def keep(car: Car, table: str, started_at_ms: int, **values: Any) -> None:
    located = dict.fromkeys(TABLES[table], 50.0) | {"polyline": "_p~iF", "place": "Wolfsburg, DE"}
    row = {"vehicle_id": car.vehicle_id, **msgspec.structs.asdict(trip(started_at_ms)), **located, **values}
    key = f"{9_999_999_999_999 - started_at_ms:013d}"
    await Table(table).commit([upsert(Row(car.vehicle_id, key, row))])


async def a_night(commands: list[Outgoing], now_ms: int = NIGHT_MS) -> int:
    """The timer and all that follows from it; returns how many commands that were."""
    await archive_service.start_retention(clock=clock(now_ms))
    count = 0
    while commands:
        count += 1
        await archive_service.obey(commands.pop().envelope, store=Store(), clock=clock(now_ms))
    return count


@pytest.mark.parametrize("table", TABLES)
async def test_positions_and_records_are_kept_to_the_millisecond(
    car: Car, commands: list[Outgoing], table: str
) -> None:
    moments = [TRIPS_FROM_MS - 1, TRIPS_FROM_MS, POSITIONS_FROM_MS - 1, POSITIONS_FROM_MS, NIGHT_MS]
    for moment_ms in moments:
        await keep(car, table, moment_ms)
    await a_night(commands)
    rows = [row async for row in Table(table).query(car.vehicle_id)][::-1]
    assert [row.values["started_at_ms"] for row in rows] == moments[1:]
    assert [TABLES[table][0] in row.values for row in rows] == [False, False, True, True]
    assert all(row.values["distance_km"] == 20.0 for row in rows)


async def test_rollups_go_with_the_trips_that_they_are_of(car: Car, commands: list[Outgoing]) -> None:
    """Of periods that are over as long; the long-term memory goes on to hold what it held."""
    owned = Owned(car.vehicle_id)
    moments = [TRIPS_FROM_MS - 40 * DAY_MS, TRIPS_FROM_MS - 1, TRIPS_FROM_MS]
    await owned.drove(*(trip(moment_ms) for moment_ms in moments))
    await _roll_up(car, commands)
    new = {"2001-01-05|day", "2001-01-01|week", "2001-01-01|month"}  # in Berlin, where it is an hour later
    assert await _rollups(owned) == {"2000-11-26|day", "2000-11-20|week", "2000-11-01|month"} | new
    await a_night(commands)
    assert await _rollups(owned) == {"long-term"} | new
    memories = await rollup_service.read_memories(car.vehicle_id)
    assert memories.long_term is not None
    assert memories.long_term.mileage_km == 60.0
    await a_night(commands, NIGHT_MS + 40 * DAY_MS)
    assert await _rollups(owned) == set(), "without a trip there is nothing to roll up"


async def _roll_up(car: Car, commands: list[Outgoing]) -> None:
    rolling = RollUpShard(run_id="night", shard=shard(car.vehicle_id), month="2000-01", sum_month=False)
    commands.append(Outgoing(settings.TRIP_COMMANDS, roll_up_shard(rolling, NIGHT_MS)))
    while commands:
        await rollup_service.obey(commands.pop().envelope, clock=clock(NIGHT_MS))


async def _rollups(owned: Owned) -> set[str]:
    """Parts of the fleet's totals are passed over: these go when the totals are published."""
    return {key.removeprefix("|") for key in await owned.rows() if not key.startswith("~fleet")}


async def test_what_has_no_positions_is_not_written_again(car: Car, commands: list[Outgoing]) -> None:
    await keep(car, settings.TRIPS_TABLE, POSITIONS_FROM_MS - 1)
    await a_night(commands)
    (before,) = await car.trips()
    await a_night(commands)
    assert await car.trips() == [before]


async def test_a_trip_that_is_revised_meanwhile_keeps_the_revision(
    car: Car, commands: list[Outgoing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the others lose their positions all the same."""
    for offset in (3, 2, 1):
        await keep(car, settings.TRIPS_TABLE, POSITIONS_FROM_MS - offset)
    commit = Table.commit

    async def overtaken(table: Table, writes: Sequence[Any]) -> list[str]:
        monkeypatch.setattr(Table, "commit", commit)
        await keep(car, settings.TRIPS_TABLE, POSITIONS_FROM_MS - 2, revision=2)
        return await commit(table, writes)

    monkeypatch.setattr(Table, "commit", overtaken)
    await a_night(commands)
    assert [("start_lat" in row.values) for row in await car.trips()] == [False, True, False]
    await a_night(commands)
    assert ["start_lat" in row.values for row in await car.trips()] == [False, False, False]


async def test_a_fleet_is_divided_among_commands(
    car: Car, commands: list[Outgoing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_service, "VEHICLES_AT_ONCE", 3)
    cars = [Car(vehicle_id=f"{car.vehicle_id}-{number}") for number in range(20)]
    for one in cars:
        await keep(one, settings.TRIPS_TABLE, TRIPS_FROM_MS - 1)
    assert await a_night(commands) > 7
    assert [await one.trips() for one in cars] == [[]] * 20


async def test_a_command_for_another_table_is_refused(car: Car) -> None:
    """Nobody's mistake removes vehicles from the registry."""
    with pytest.raises(Rejected) as caught:
        await obey(RemoveOld(table=settings.VEHICLES_TABLE, at_ms=NIGHT_MS), car)
    assert caught.value.code == "unknown-table"
