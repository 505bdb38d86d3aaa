"""What the sweep does about vehicles that say nothing, in real tables."""

from collections.abc import Sequence

import pytest

from functions.trips import messages, service
from functions.trips.store import partition_of
from functions.trips.vehicle_trips import RETENTION_MS
from shared import settings
from shared.errors import Rejected
from shared.identity.vehicle import checksum
from shared.messaging import publisher
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Row, Table, upsert
from tests.telemetry import packed
from tests.trips.conftest import Car, clock
from tests.trips.drives import MORNING_MS, bodies, drive, two_drives
from tests.trips.minutes import MINUTE_MS, at


async def sweep(car: Car, now_ms: int, *, watched: bool = True) -> None:
    """The sweep of the car's partition; `watched` as if earlier sweeps had seen nothing arrive until now."""
    partition = partition_of(car.partition, car.vehicle_id)
    if watched:
        clock_row = await Table(settings.OPEN_TRIPS_TABLE).get(partition, "~clock")
        assert clock_row is not None
        arrived_ms = clock_row.values["arrived_ms"]
        assert isinstance(arrived_ms, int)
        seen = {"arrived_ms": arrived_ms, "quiet_ms": now_ms - arrived_ms, "at_ms": now_ms}
        await Table(settings.OPEN_TRIPS_TABLE).commit([upsert(Row(partition, "~watch", seen))])
    await service.obey(messages.sweep_partition("s", partition, now_ms), store=car.store, clock=clock(now_ms))


async def test_the_sweep_closes_what_has_fallen_silent(car: Car) -> None:
    heard_ms = at(60)
    await car.sends(bodies(drive(20)), heard_ms)
    await sweep(car, heard_ms + 899_000)
    assert await car.trips() == []
    await sweep(car, heard_ms + 900_000)
    assert len(await car.trips()) == 1
    rows = [row.key for row in await car.rows() if row.key.startswith("~alarm")]
    assert rows == [f"~alarm|{heard_ms + RETENTION_MS}|{car.vehicle_id}"]


async def test_after_an_outage_the_sweep_waits_for_what_waits_in_the_hub(car: Car) -> None:
    """The time of day is of no importance: nobody watched, so nobody knows that the car was silent."""
    heard_ms = at(60)
    await car.sends(bodies(drive(20)), heard_ms)
    await sweep(car, heard_ms + 10**8, watched=False)
    await sweep(car, heard_ms + 10**8 + MINUTE_MS, watched=False)
    assert await car.trips() == []
    for minute in range(2, 16):
        await sweep(car, heard_ms + 10**8 + minute * MINUTE_MS, watched=False)
    assert len(await car.trips()) == 1


async def test_the_sweep_gives_up_what_stays_missing(car: Car) -> None:
    heard_ms = at(60)
    sent = two_drives()
    await car.sends([sent[0], *sent[2:]], heard_ms)
    assert await car.trips() == []
    await sweep(car, heard_ms + 3_600_000)
    assert [row.values["samples"] for row in await car.trips()] == [91, 121]


async def test_the_sweep_removes_old_messages_and_late_ones_are_parked(car: Car) -> None:
    heard_ms, sent = at(60), two_drives()
    await car.sends(sent[:-1], heard_ms)
    await car.sends(sent[-1:], heard_ms)
    await sweep(car, heard_ms + MINUTE_MS * 20)
    end_ms = heard_ms + RETENTION_MS + MINUTE_MS * 30
    await sweep(car, end_ms)
    left = {row.key.split("|")[0] for row in await car.rows()}
    assert left == {car.vehicle_id, "~clock", "~watch"}
    assert await car.kept() == []
    assert len(await car.trips()) == 2
    late = packed(drive(5, start_ms=at(51)), "b1", len(sent))
    await car.sends([late], end_ms)
    assert await car.parked() == [("too-late", "the trips of that time are closed: they can be revised for 72 hours")]


async def test_the_timer_starts_a_sweep_of_every_partition(car: Car, monkeypatch: pytest.MonkeyPatch) -> None:
    await car.sends(bodies(drive(5)))
    sent = list[Outgoing]()

    async def send(outgoing: Sequence[Outgoing]) -> None:
        sent.extend(outgoing)

    monkeypatch.setattr(publisher, "send", send)
    await service.start_sweep(store=car.store)
    assert {one.destination for one in sent} == {settings.TRIP_COMMANDS}
    assert partition_of(car.partition, car.vehicle_id) in {one.envelope.subject for one in sent}


async def test_a_sweep_with_too_many_cars_goes_on_in_another_round(car: Car, monkeypatch: pytest.MonkeyPatch) -> None:
    heard_ms = at(60)
    sent = list[Outgoing]()
    for index in range(3):
        other = Car(partition=car.partition, vehicle_id=_alike(car.vehicle_id, index))
        await other.sends(bodies(drive(5)), heard_ms)
    await car.sends(bodies(drive(5)), heard_ms)
    send = publisher.send

    async def caught(outgoing: Sequence[Outgoing]) -> None:
        sent.extend(one for one in outgoing if one.destination == settings.TRIP_COMMANDS)
        await send([one for one in outgoing if one.destination != settings.TRIP_COMMANDS])

    monkeypatch.setattr(publisher, "send", caught)
    monkeypatch.setattr(service, "SWEEP_LIMIT", 2)
    await sweep(car, heard_ms + 900_000)
    assert [one.envelope.id.rpartition("-")[2] for one in sent] == ["2"]
    await service.obey(sent[0].envelope, store=car.store, clock=clock(heard_ms + 900_000))
    await sweep(car, heard_ms + 900_000)
    assert len(await car.trips()) == 1


def _alike(vehicle_id: str, index: int) -> str:
    """Another id that falls into the same partition."""
    return next(
        name
        for number in range(1000)
        if checksum(name := f"{vehicle_id}-{index}-{number}") % 2 == checksum(vehicle_id) % 2
    )


async def test_a_sweep_of_what_cannot_be_a_partition_is_refused(car: Car) -> None:
    """The table service refuses such a key, which nobody could tell from trouble."""
    with pytest.raises(Rejected) as caught:
        await service.obey(messages.sweep_partition("s", "a/b#c", MORNING_MS), store=car.store)
    assert caught.value.code == "bad-data"
