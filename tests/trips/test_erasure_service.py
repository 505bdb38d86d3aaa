"""An erasure leaves no trace, whatever happens while it is under way, and takes nothing that came after it."""

import asyncio
import itertools
import re
from typing import Any

import pytest

from functions.trips import archive_service, record_store, service, vehicle_trips
from functions.trips.archive_store import PARKED_FROM
from functions.trips.erasure import MARK_MS, SECOND_LOOK_MS
from functions.trips.progress import Arrival
from functions.trips.store import Store, partition_of
from functions.trips.telemetry import decode as telemetry
from functions.trips.vehicle_trips import VehicleTrips
from shared.clock import from_epoch_ms
from shared.errors import Rejected
from shared.identity import privacy
from shared.identity.caller import Caller
from shared.identity.vehicle import shard
from shared.messaging import parking, publisher
from shared.messaging.contracts import EraseVehicle, SetPrivacyMode, to_envelope
from shared.messaging.publisher import Outgoing
from shared.storage import blobs
from shared.storage.tables import Table
from tests.telemetry import packed
from tests.trips.conftest import Announced, Car, clock
from tests.trips.drives import MORNING_MS, bodies, drive
from tests.trips.filled import ARRIVED_MS, ERASED_MS, HELD, MARKS, a_day, erase, fill, finish, forget, obey
from tests.trips.killing import Fuse, Killed
from tests.trips.walk import everything, traces

CALLER = Caller("car", "")

pytestmark = pytest.mark.usefixtures("alone")


def erased(announced: Announced, car: Car) -> list[dict[str, Any]]:
    return [told for told in announced(car.vehicle_id) if told["type"] == "VehicleErased"]


async def places(car: Car) -> set[str]:
    """The kinds of places where there is anything of the car."""
    names = {f" {partition_of(car.partition, car.vehicle_id)} ": " P ", f" {shard(car.vehicle_id)} ": " S "}
    found = await traces(car.vehicle_id)
    for name, short in {**names, car.vehicle_id: "CAR"}.items():
        found = [place.replace(name, short) for place in found]
    return {re.sub(r"(?<=CAR) .*|\|.*|/.*", "", place) for place in found}


async def test_a_filled_car_leaves_traces_of_all_kinds(car: Car) -> None:
    """So that the tests that find none have looked in the right places."""
    await fill(car)
    assert await places(car) == {
        *("OpenTrips: P CAR", "OpenTrips: P ~alarm", "OpenTrips: P ~outbox", "OpenTrips: P ~record"),
        *("Trips: CAR", "ChargingSessions: CAR", "TripRollups: S CAR"),
        *("TripRollups: S ~changed", "TripRollups: S ~digest", "TripRollups: S ~fleet"),
        *(f"Parked: {source} {9_999_999_999_999 - ARRIVED_MS}" for source in PARKED_FROM),
        *("Parked: ~CAR", *(f"parked: {source}" for source in PARKED_FROM)),
    }


async def test_after_an_erasure_nothing_is_left_but_the_mark_which_goes_too(
    car: Car, announced: Announced, commands: list[Outgoing]
) -> None:
    await fill(car)
    await erase(car)
    assert await places(car) == MARKS
    (following,) = commands
    assert following.not_before == from_epoch_ms(ERASED_MS + SECOND_LOOK_MS)
    assert erased(announced, car) == []
    await obey(following.envelope, car)
    assert await places(car) == MARKS
    (told,) = erased(announced, car)
    assert told == {
        "type": "VehicleErased",
        "id": "VehicleErased-trips-r1",
        "vehicle_id": car.vehicle_id,
        "request_id": "r1",
        "job": "trips",
        "erased_at_ms": ERASED_MS,
        "removed": HELD,
    }
    (state,) = [row for row in await car.rows() if row.key == car.vehicle_id]
    assert vehicle_trips.decode(state.binary("state")) == VehicleTrips(horizon_ms=ERASED_MS)
    assert await car.kept() == []
    await forget(car, ERASED_MS + MARK_MS)
    assert await places(car) == MARKS
    await forget(car, ERASED_MS + MARK_MS + 1)
    assert await traces(car.vehicle_id) == []


@pytest.mark.parametrize("gone", ["the shorter", "the longer"])
async def test_an_erasure_leaves_other_vehicles_alone_whatever_they_are_called(
    car: Car, commands: list[Outgoing], gone: str
) -> None:
    """In one partition, with ids of which one begins with the other."""
    names = (f"{car.vehicle_id}.{number}" for number in itertools.count())
    shard = partition_of(car.partition, car.vehicle_id)
    longer = Car(partition=car.partition, vehicle_id=next(n for n in names if partition_of(car.partition, n) == shard))
    await fill(car, longer)

    async def of_the_other() -> dict[str, bytes]:
        if gone == "the shorter":
            return {place: held async for place, held in everything() if longer.vehicle_id.encode() in held}
        both = {place: held async for place, held in everything() if car.vehicle_id.encode() in held}
        return {place: held for place, held in both.items() if longer.vehicle_id.encode() not in held}

    before = await of_the_other()
    assert len(before) > 20
    erased = car if gone == "the shorter" else longer
    await erase(erased)
    await finish(erased)
    assert await of_the_other() == before


EFFECTS = 24  # transactions, sendings and blobs of erasure, second look and oblivion; with one more nothing is killed


@pytest.mark.parametrize("effect", range(EFFECTS + 1))
async def test_killed_between_any_two_effects_it_ends_the_same(
    car: Car, announced: Announced, commands: list[Outgoing], monkeypatch: pytest.MonkeyPatch, effect: int
) -> None:
    """The command is delivered again to a new process, some time later."""
    await fill(car)
    fuse = Fuse(monkeypatch, effect)
    for owner, name in ((Table, "commit"), (publisher, "send"), (blobs, "delete")):
        fuse.put_in(owner, name)
    killed = 0
    for step in (erase, finish, forget):
        try:
            await step(car)
        except Killed:
            killed += 1
            car.store = Store()
            await step(car)
    assert killed == (effect < EFFECTS)
    assert await traces(car.vehicle_id) == []
    assert {one.envelope.id for one in commands} == {"FinishErasure-r1"}
    assert [(one["id"], one["removed"]) for one in erased(announced, car)] == [("VehicleErased-trips-r1", HELD)]


async def test_what_was_read_before_and_is_written_after_goes_at_the_second_look(
    car: Car, commands: list[Outgoing]
) -> None:
    """An instance carries a finished trip, and another one parks a message, while a third erases the vehicle."""
    await fill(car)
    waiting = [row for row in await car.rows() if row.key.startswith("~record|")]
    await erase(car)
    for row in waiting:
        await record_store._carry(row)
    message = car.message(b"hello", arrived_ms=ARRIVED_MS)
    await parking.park(message.origin, Rejected("bad-telemetry", "no JSON"), message.body)
    assert {"Trips: CAR", "Parked: ~CAR"} <= await places(car)
    await finish(car)
    assert await places(car) == MARKS


async def test_an_instance_with_a_warm_state_of_before_brings_nothing_back(car: Car, commands: list[Outgoing]) -> None:
    other = Car(vehicle_id=car.vehicle_id, partition=car.partition)
    await fill(car)
    await other.sends(a_day()[:1], ARRIVED_MS)
    await erase(car)
    await other.sends(bodies(drive(20, start_ms=ERASED_MS + 1), boot="b2"), ERASED_MS + 30 * 60_000)
    await other.closes()
    assert [row.values["started_at_ms"] for row in await car.trips()] == [ERASED_MS + 1]


async def test_what_comes_after_an_erasure_begins_anew_and_no_repetition_takes_it(
    car: Car, commands: list[Outgoing]
) -> None:
    """What was measured before and arrives after is not taken in either."""
    await fill(car)
    await erase(car)
    late = bodies(drive(20, start_ms=MORNING_MS + 80 * 60_000), boot="late")
    new = bodies(drive(20, start_ms=ERASED_MS + 1), boot="new")
    await car.sends([*late, *new], ERASED_MS + 30 * 60_000)
    await car.sends([b"hello again"], ERASED_MS + 30 * 60_000)
    await car.closes()
    for step in (erase, finish, erase, finish):
        await step(car, now_ms=ERASED_MS + 60 * 60_000) if step is erase else await step(car)
    assert [row.values["started_at_ms"] for row in await car.trips()] == [ERASED_MS + 1]
    assert {one.boot for one in await car.kept()} == {"new"}
    assert "bad-telemetry" in {code for code, _ in await car.parked()}
    await forget(car)
    assert [row.values["started_at_ms"] for row in await car.trips()] == [ERASED_MS + 1]
    await erase(car, ERASED_MS + 2 * MARK_MS, "r2")
    await finish(car, "r2")
    assert await places(car) == MARKS


async def test_samples_of_a_clock_that_is_ahead_go_too(car: Car, commands: list[Outgoing]) -> None:
    await car.sends(bodies(drive(3, start_ms=ERASED_MS + 30_000)), ARRIVED_MS)
    await car.closes()
    assert len(await car.trips()) == 1
    await erase(car)
    assert await places(car) == MARKS


async def test_a_wish_for_privacy_outlives_the_erasure(car: Car, commands: list[Outgoing]) -> None:
    """It stands beside the registry, which no job erases by itself, and holds for what comes next."""
    await fill(car)
    await privacy.set_private(car.vehicle_id, is_private=True)
    for step in (erase, finish, forget):
        await step(car)
    assert await places(car) == {"Vehicles: S CAR"}
    await car.sends(bodies(drive(20, start_ms=ERASED_MS + 1)), ERASED_MS + 30 * 60_000)
    await car.closes()
    (trip,) = await car.trips()
    assert "start_lat" not in trip.values


async def test_an_erasure_while_the_vehicle_is_private_leaves_it_private(car: Car, commands: list[Outgoing]) -> None:
    await car.sends(a_day(), ARRIVED_MS)
    command = SetPrivacyMode(vehicle_id=car.vehicle_id, is_private=True)
    envelope = to_envelope(command, message_id="p", source="t", subject=car.vehicle_id, time_ms=ARRIVED_MS)
    await service.obey(envelope, store=car.store, clock=clock(ARRIVED_MS))
    await erase(car)
    (state,) = [row for row in await car.rows() if row.key == car.vehicle_id]
    assert vehicle_trips.decode(state.values["state"]).is_private  # type: ignore[arg-type] # a property of bytes


async def test_a_vehicle_that_nobody_heard_of_is_erased_like_any_other(
    car: Car, announced: Announced, commands: list[Outgoing]
) -> None:
    """Its first messages may be under way: they must not make a state of before."""
    await Car(partition=car.partition).sends(a_day(), ARRIVED_MS)
    for number in range(2):
        await car.store.list_partition(f"{car.partition}-{number}")
    await erase(car)
    assert await places(car) >= MARKS
    await car.sends(a_day(), ARRIVED_MS)
    await car.closes()
    assert await car.trips() == []
    await finish(car)
    assert [one["removed"] for one in erased(announced, car)] == [{}]
    await forget(car)


async def test_an_erasure_that_was_not_finished_is_finished_when_it_would_be_forgotten(
    car: Car, announced: Announced, commands: list[Outgoing]
) -> None:
    """Someone may have set the command for the second look aside."""
    await fill(car)
    await erase(car)
    commands.clear()
    await forget(car)
    (again,) = [one for one in commands if one.envelope.subject == car.vehicle_id]
    assert await places(car) == MARKS
    await obey(again.envelope, car)
    await forget(car)
    assert await traces(car.vehicle_id) == []
    assert len(erased(announced, car)) == 1


async def test_erasures_are_forgotten_in_portions(
    car: Car, commands: list[Outgoing], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_service, "ERASURES_AT_ONCE", 2)
    for number in range(3):
        await erase(car, request_id=f"r{number}")
        await finish(car, f"r{number}")
    commands.clear()
    await forget(car)
    while commands:
        await obey(commands.pop().envelope, car, ERASED_MS + MARK_MS + 1)
    assert await traces(car.vehicle_id) == []


@pytest.mark.parametrize(("vehicle_id", "request_id"), [("no/vehicle", "r"), ("car", "a|b"), ("car", "")])
async def test_an_erasure_of_what_cannot_be_is_refused(car: Car, vehicle_id: str, request_id: str) -> None:
    with pytest.raises(Rejected):
        await obey(EraseVehicle(vehicle_id=vehicle_id, request_id=request_id), car)


async def test_it_is_known_of_each_message_whether_it_is_of_before(car: Car, commands: list[Outgoing]) -> None:
    """By its arrival if it is unusable, otherwise also by what it measured."""

    async def is_dropped(arrived_ms: int, measured_ms: int) -> bool:
        sent = telemetry(packed([{"t": measured_ms, "lat": 50.0, "lon": 8.0}], "b9", 0), CALLER, arrived_ms)
        return await archive_service.without_erased(car.vehicle_id, [sent], ERASED_MS) == []

    assert not await archive_service.is_erased(car.vehicle_id, ERASED_MS)
    assert not await is_dropped(ERASED_MS, ERASED_MS)
    await fill(car)
    await erase(car)
    assert await archive_service.is_erased(car.vehicle_id, ERASED_MS)
    assert not await archive_service.is_erased(car.vehicle_id, ERASED_MS + 1)
    assert not await archive_service.is_erased(car.vehicle_id[:-1], ERASED_MS)
    assert await is_dropped(ERASED_MS, ERASED_MS + 200_000), "the clock is ahead"
    assert await is_dropped(ERASED_MS + 1, ERASED_MS), "it comes late"
    assert not await is_dropped(ERASED_MS + 1, ERASED_MS + 1)
    arrivals = [Arrival("b9", seq, ERASED_MS + seq) for seq in (0, 1)]
    assert await archive_service.without_erased(car.vehicle_id, arrivals, ERASED_MS) == arrivals[1:]


async def test_what_the_hub_delivers_again_leaves_no_trace(car: Car, commands: list[Outgoing]) -> None:
    """Good messages, bad ones, and those of a clock that is ahead: nothing is taken in, and nothing is parked."""
    ahead = bodies(drive(3, start_ms=ERASED_MS + 30_000), boot="ahead")
    await fill(car)
    await erase(car)
    for batch in (a_day(), [b"hello"], ahead, [packed([{"t": 5}], "b1", 99)], [*a_day(), b"hello"]):
        await car.sends(batch, ARRIVED_MS)
        await car.closes()
    await finish(car)
    assert await places(car) == MARKS
    await forget(car)
    assert await traces(car.vehicle_id) == []


async def test_what_was_measured_before_and_arrives_after_leaves_no_trace(car: Car, commands: list[Outgoing]) -> None:
    await fill(car)
    await erase(car)
    await car.sends(bodies(drive(20, start_ms=MORNING_MS + 80 * 60_000), boot="late"), ERASED_MS + 30 * 60_000)
    await finish(car)
    assert await places(car) == MARKS


@pytest.mark.parametrize("pause", range(6))
async def test_telemetry_that_is_taken_in_while_the_vehicle_is_erased(
    car: Car, commands: list[Outgoing], pause: int
) -> None:
    """Whoever is first at the state: the other one begins anew with what it left."""
    await fill(car)
    other = Car(vehicle_id=car.vehicle_id, partition=car.partition)

    async def hear() -> None:
        for _ in range(pause * 3):
            await asyncio.sleep(0)
        await other.sends([*bodies(drive(20, start_ms=MORNING_MS + 80 * 60_000), boot="b2"), b"hello"], ARRIVED_MS)

    await asyncio.gather(hear(), erase(car))
    await finish(car)
    assert await places(car) == MARKS
