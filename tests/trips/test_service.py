"""Telemetry becomes trips in real tables, told once over the real broker, whatever happens on the way."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.trips import compact, service
from functions.trips.compact import RECENT_BYTES
from functions.trips.store import Store
from shared import settings
from shared.errors import Rejected, Unavailable
from shared.identity import privacy
from shared.messaging import publisher
from shared.messaging.contracts import StartCampaign, to_envelope
from shared.messaging.publisher import Outgoing
from shared.storage.tables import Table
from tests.telemetry import packed
from tests.trips.conftest import Announced, Car, counted
from tests.trips.drives import bodies, drive, recorded, two_drives
from tests.trips.killing import Fuse, Killed
from tests.trips.minutes import at


async def test_a_recorded_drive_is_stored_and_told_once(car: Car, drives: Path, announced: Announced) -> None:
    samples = recorded(drives / "twizy-t3-04-22-2021-1.csv", drives / "twizy-t3-04-22-2021-2.csv")
    now_ms = samples[-1]["t"] + 5000
    await car.sends(bodies(samples), now_ms)
    assert len(await car.trips()) == 1, "the second one is under way"
    await car.closes()
    first, second = await car.trips()
    assert first.key == f"{9999999999999 - 1619080970000:013d}"
    assert {name: value for name, value in first.values.items() if name not in {"polyline", "odata.etag"}} == {
        "kind": "driven",
        "trip_id": f"{car.vehicle_id}-1619080970000",
        "vehicle_id": car.vehicle_id,
        "started_at_ms": 1619080970000,
        "ended_at_ms": 1619082018000,
        "distance_km": 14.147,
        "distance_source": "speed",
        "distance_speed_km": 14.147,
        "distance_gps_km": 14.612,
        "disagreement_pct": 3.3,
        "duration_s": 1048.0,
        "moving_s": 1003.0,
        "idle_s": 45.0,
        "avg_speed_kmh": 48.6,
        "max_speed_kmh": 81.58,
        "soc_start_pct": 97.74,
        "soc_end_pct": 79.0,
        "start_lat": 33.986153,
        "start_lon": -6.72496,
        "end_lat": 33.953743,
        "end_lon": -6.85159,
        "samples": 1049,
        "dropped": "{}",
        "revision": 1,
        "eco_score": 98,
        "harsh_accelerations": 0,
        "harsh_brakings": 0,
        "harsh_cornerings": 0,
        "urban_share": 0.4425,
        "rural_share": 0.5575,
        "motorway_share": 0.0,
        "start_place": "Salé Al Jadida, MA",
        "end_place": "Rabat, MA",
        "start_time_zone": "Africa/Casablanca",
        "end_time_zone": "Africa/Casablanca",
        "night_share": 0.0,
        "quality": "A",
        "quality_reasons": "[]",
    }
    assert len(str(first.values["polyline"])) > 50
    told = announced(car.vehicle_id)
    assert counted(told) == {"TripCompleted": 2}
    assert [one["id"] for one in told] == [f"{row.values['trip_id']!s}-1" for row in (first, second)]
    assert (told[0]["distance_km"], told[0]["fuel_l"]) == (14.147, None)
    assert "start_lat" not in told[0], "no positions outside the tables"


@pytest.mark.parametrize("seed", range(3))
async def test_disorder_repetition_and_redelivery_give_the_same_rows(car: Car, announced: Announced, seed: int) -> None:
    other, chance = Car(), random.Random(seed)
    await other.sends(two_drives())
    await other.closes()
    sent = car.messages(two_drives())
    sent += chance.sample(sent, len(sent) // 2)
    chance.shuffle(sent)
    for start in range(0, len(sent), 3):
        for _ in range(chance.choice([1, 2])):
            await service.hear(sent[start : start + 3], store=car.store)
            if chance.random() < 0.3:
                car.store = Store()  # a new process, or another instance
    await car.closes()
    await car.closes()

    def comparable(rows: Sequence[Any]) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.values.items() if k not in {"trip_id", "vehicle_id"}} for row in rows]

    assert comparable(await car.trips()) == comparable(await other.trips())
    assert counted(announced(car.vehicle_id)) == {"TripCompleted": 2}


async def test_a_batch_of_many_cars_takes_few_transactions(car: Car, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "RECENT_BYTES", RECENT_BYTES)
    cars = [Car(partition=car.partition) for _ in range(100)]
    sent = [bodies(drive(60, every_s=5)) for _ in cars]
    batches = [
        [
            c.message(body, number)
            for c, own in zip(cars, sent, strict=True)
            for number, body in enumerate(own[i : i + 3])
        ]
        for i in range(0, 9, 3)
    ]
    calls = Counter[str]()

    def count(name: str) -> None:
        method: Callable[..., Any] = getattr(Table, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return method(*args, **kwargs)

        monkeypatch.setattr(Table, name, counting)

    for name in ("commit", "get", "query"):
        count(name)
    await service.hear(batches[0], store=car.store)
    cold = calls.copy()
    assert cold["get"] == 3 * 100, "of new cars what they are and what their drivers chose is looked up once"
    calls.clear()
    await service.hear(batches[0], store=Store())
    assert calls == {"get": 100, "query": 4, "commit": 2}, "by points; what waits to be sent, and the partitions' names"
    for batch in batches[1:]:
        calls.clear()
        await service.hear(batch, store=car.store)
        assert calls.total() <= 0.02 * len(batch), calls
    assert len(await car.kept()) == 900


async def test_more_messages_of_a_car_than_a_transaction_holds_are_all_taken_in(car: Car) -> None:
    sent = bodies(drive(300, every_s=5), size=20)
    assert len(sent) > 150
    await car.sends(sent, at(300))
    await car.closes()
    (trip,) = await car.trips()
    assert trip.values["samples"] == 3601


async def test_a_car_with_many_gaps_and_a_repeated_message_does_not_block_its_partition(car: Car) -> None:
    """A transaction that names a row twice is refused, and a batch that is refused would be retried for ever."""
    sent = bodies(drive(60), size=1)
    gaps = [body for body in sent if msgspec.json.decode(body)["seq"] % 2]
    await car.sends(gaps)
    await car.sends([sent[6], sent[6]])
    assert [one.seq for one in await car.kept()].count(6) == 1


async def test_each_message_in_a_row_of_its_own_and_a_trip_still_fit_into_a_transaction(
    car: Car, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a car that begins anew with every message: what is kept beside its state moves into as many rows."""
    monkeypatch.setattr(compact, "RECENT_BYTES", RECENT_BYTES)
    sent = [
        packed([{"t": at(5 * n) + 1000 * s, "speed_kmh": 90.0, "ignition": s < 2} for s in range(3)], f"b{n:02}", 0)
        for n in range(70)
    ]
    for start in range(0, 30, 3):
        await car.sends(sent[start : start + 3], at(400))
    await car.sends(sent[30:], at(400))
    await car.closes()
    assert len(await car.trips()) == 70


async def test_bad_messages_are_parked_with_their_reason_and_the_rest_goes_on(car: Car) -> None:
    good = two_drives()
    bad = [
        b"hello",
        b'{"v":1,"x":' + b"[" * 1_000_000,
        good[0].replace(b'"v": 1', b'"v": 9'),
        good[0].replace(b'"v": 1', b'"v": 1, "vehicle_id": "victim"'),
        packed([{"t": at(60), "lat": 200}], "b1", len(good)),
    ]
    await car.sends([*bad, *good])
    await car.closes()
    assert await car.parked() == [
        ("bad-telemetry", "JSON is malformed: invalid character (byte 0)"),
        ("bad-telemetry", "the JSON is nested too deeply"),
        ("foreign-vehicle", f"{car.vehicle_id} sent a message that claims to be of another vehicle"),
        ("no-usable-sample", "sample 0: lat 200 is outside -90…90"),
        ("unknown-version", "version 9 of telemetry is not understood; known: 1"),
    ]
    assert [row.values["samples"] for row in await car.trips()] == [121, 121]


EFFECTS = 14  # transactions and sendings of two batches and a closing; with one more nothing is killed


@pytest.mark.parametrize("effect", range(EFFECTS + 1))
async def test_killed_between_any_two_effects_it_ends_the_same(
    car: Car, announced: Announced, monkeypatch: pytest.MonkeyPatch, effect: int
) -> None:
    """The batch is delivered again to a new process."""
    batches = [two_drives()[:3], two_drives()[3:]]
    fuse = Fuse(monkeypatch, effect)
    fuse.put_in(Table, "commit")
    fuse.put_in(publisher, "send")
    killed = 0
    steps: list[Callable[[], Awaitable[None]]] = [*(partial(car.sends, batch) for batch in batches), car.closes]
    for step in steps:
        try:
            await step()
        except Killed:
            killed += 1
            car.store = Store()
            await step()
    assert killed == (effect < EFFECTS)
    assert [row.values["samples"] for row in await car.trips()] == [121, 121]
    assert counted(announced(car.vehicle_id)) == {"TripCompleted": 2}
    assert not [row.key for row in await car.rows() if row.key.startswith(("~trip", "~outbox"))]


async def test_what_could_not_be_sent_is_sent_with_the_redelivered_batch(
    car: Car, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = publisher.send

    async def failing(sent: Sequence[Outgoing]) -> None:
        monkeypatch.setattr(publisher, "send", send)
        raise Unavailable("no broker")

    await car.sends([])
    monkeypatch.setattr(publisher, "send", failing)
    with pytest.raises(Unavailable):
        await car.sends(two_drives())
    assert announced(car.vehicle_id) == []
    await car.sends(two_drives())
    assert counted(announced(car.vehicle_id)) == {"TripCompleted": 1}


async def test_two_instances_with_warm_states_of_their_own_lose_nothing(car: Car, announced: Announced) -> None:
    sent = car.messages(two_drives())
    stores = [Store(), Store()]
    for index, message in enumerate(sent):
        await service.hear([message], store=stores[index % 2])
    await asyncio.gather(*(service.hear(sent, store=store) for store in stores))
    await car.closes(store=stores[0])
    assert [row.values["samples"] for row in await car.trips()] == [121, 121]
    assert counted(announced(car.vehicle_id)) == {"TripCompleted": 2}


async def test_instances_at_the_same_time_lose_nothing(car: Car) -> None:
    sent = car.messages(two_drives())
    await asyncio.gather(*(service.hear(sent[start::3], store=Store()) for start in range(3)))
    await car.closes()
    assert [row.values["samples"] for row in await car.trips()] == [121, 121]


async def test_late_data_makes_a_revision_of_row_and_message(car: Car, announced: Announced) -> None:
    sent = bodies([*drive(20), *drive(20, start_ms=at(20.5))])
    await car.sends(sent[:4])
    await car.closes()
    await car.sends(sent[4:])
    await car.closes()
    (trip,) = await car.trips()
    assert (trip.values["revision"], trip.values["samples"]) == (2, 242)
    told = announced(car.vehicle_id)
    assert counted(told) == {"TripCompleted": 1, "TripRevised": 1}
    assert [one["id"] for one in told] == [f"{trip.values['trip_id']!s}-{revision}" for revision in (1, 2)]


async def test_a_trip_that_merges_into_another_is_withdrawn_and_its_row_removed(car: Car, announced: Announced) -> None:
    first, gap, last = bodies(drive(5), size=31), drive(3, start_ms=at(5.1)), drive(5, start_ms=at(8.2))
    later = [packed(samples, "b1", seq) for seq, samples in ((1, gap), (2, last))]
    await car.sends([*first, later[1]])
    await car.closes()
    assert len(await car.trips()) == 2
    await car.sends([later[0]])
    await car.closes()
    (trip,) = await car.trips()
    assert trip.values["revision"] == 2
    told = announced(car.vehicle_id)
    assert counted(told) == {"TripCompleted": 2, "TripRevised": 2}
    (withdrawn,) = (one for one in told if one.get("withdrawn"))
    assert withdrawn["trip_id"] == f"{car.vehicle_id}-{at(8.2)}"


async def test_closing_a_car_that_nobody_heard_of_is_refused(car: Car) -> None:
    with pytest.raises(Rejected) as caught:
        await car.closes()
    assert caught.value.code == "unknown-vehicle"


async def test_an_unknown_command_is_refused(car: Car) -> None:
    command: Any = {"campaign_id": "c", "title": "t", "brand": "b", "model": "m", "version": "1"}
    foreign = StartCampaign(**command, artifact={"blob": "b", "sha256": "s", "size_bytes": 1})  # type: ignore[arg-type] # only encoded
    with pytest.raises(Rejected) as caught:
        await service.obey(to_envelope(foreign, message_id="1", source="t", subject="s", time_ms=0))
    assert caught.value.code == "unknown-type"


async def test_what_was_measured_longer_than_thirty_days_before_it_arrived_is_set_aside(car: Car) -> None:
    await car.sends(two_drives(), at(40 * 24 * 60))
    assert {code for code, _ in await car.parked()} == {"no-usable-sample"}
    await car.sends([packed([{"t": at(0)}], "b2", 0)], at(29 * 24 * 60))
    assert len(await car.parked()) == len(two_drives())


@pytest.fixture
def sixty_days_are_believed(car: Car, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TRIP_SAMPLE_MAX_AGE_DAYS", "60")
    settings.settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.settings.cache_clear()


@pytest.mark.usefixtures("sixty_days_are_believed")
@pytest.mark.parametrize("is_private", [False, True])
async def test_how_old_a_sample_may_be_is_a_setting(car: Car, *, is_private: bool) -> None:
    """Which holds as well when messages are read again, because one came late."""
    await privacy.set_private(car.vehicle_id, is_private=is_private)
    sent, arrived_ms = two_drives(), at(40 * 24 * 60)
    await car.sends(sent[1:], arrived_ms)
    await car.sends(sent[:1], arrived_ms)
    await car.closes()
    assert [trip.values["samples"] for trip in await car.trips()] == ([242] if is_private else [121, 121])
    assert await car.parked() == []
