"""Cars of which everything is stored that can be, and the commands about what is stored."""

import json

import pytest

from functions.trips import record_store, rollup_service, rollup_store, service
from functions.trips.erasure import MARK_MS, SECOND_LOOK_MS, FinishErasure, ForgetErasures
from functions.trips.rollup_messages import RollUpShard, roll_up_shard
from shared.clock import from_epoch_ms
from shared.errors import Rejected, Unavailable
from shared.identity import registry
from shared.identity.vehicle import Vehicle, shard
from shared.messaging import parking
from shared.messaging.contracts import EraseVehicle, Message, to_envelope
from shared.messaging.envelope import Envelope
from shared.messaging.parking import Origin
from shared.settings import DOMAIN_EVENTS, TRIP_COMMANDS, VEHICLES_TABLE
from shared.storage.tables import Row, Table
from tests.trips.conftest import Car, clock
from tests.trips.drives import MORNING_MS, bodies, drive

ARRIVED_MS = MORNING_MS + 2 * 3_600_000
ERASED_MS = ARRIVED_MS + 60_000


async def obey(message: Message | Envelope, car: Car, now_ms: int = ERASED_MS) -> None:
    if isinstance(message, Message):
        message = to_envelope(message, message_id="m", source="test", subject="s", time_ms=now_ms)
    await service.obey(message, store=car.store, clock=clock(now_ms))


async def erase(car: Car, now_ms: int = ERASED_MS, request_id: str = "r1") -> None:
    await obey(EraseVehicle(vehicle_id=car.vehicle_id, request_id=request_id), car, now_ms)


async def finish(car: Car, request_id: str = "r1") -> None:
    await obey(FinishErasure(vehicle_id=car.vehicle_id, request_id=request_id), car, ERASED_MS + SECOND_LOOK_MS)


async def forget(car: Car, now_ms: int = ERASED_MS + MARK_MS + 1) -> None:
    await obey(ForgetErasures(run_id="night"), car, now_ms)


def a_day() -> list[bytes]:
    """Two drives, and a charging session between them."""
    charging = [
        {"t": MORNING_MS + minute * 60_000, "lat": 50.0, "lon": 8.0, "speed_kmh": 0.0, "soc_pct": 30.0 + minute}
        for minute in range(25, 45)
    ]
    samples = [*drive(20), *(row | {"charging": True} for row in charging)]
    return bodies([*samples, *drive(20, start_ms=MORNING_MS + 50 * 60_000)])


async def fill(*cars: Car) -> None:
    """All kinds of rows and blobs that there can be of a car."""
    for car in cars:
        known = Vehicle(car.vehicle_id, "Aurora", "E1", "DE")
        await registry.register(known)
        *earlier, latest = a_day()
        await car.sends(earlier, ARRIVED_MS)
        await car.sends([latest], ARRIVED_MS)
        await Table(VEHICLES_TABLE).remove([Row(known.shard, car.vehicle_id)])  # no job's to erase
        await car.sends([b"hello"], ARRIVED_MS)
        claim = b'{"v":1,"boot":"b","seq":0,"t":[1],"vehicle_id":"%s"}' % car.vehicle_id.encode()
        await Car(partition=car.partition).sends([claim], ARRIVED_MS)
        refused = Rejected("unknown-vehicle", f"no telemetry of {car.vehicle_id} was ever taken in")
        for source in (TRIP_COMMANDS, DOMAIN_EVENTS):
            named = json.dumps({"vehicle_id": car.vehicle_id, "of": source}).encode()
            await parking.park(Origin(source, f"of {car.vehicle_id}", from_epoch_ms(ARRIVED_MS)), refused, named)
        rolling = RollUpShard(run_id="night", shard=shard(car.vehicle_id), month="2025-05", sum_month=False)
        await rollup_service.obey(roll_up_shard(rolling, ARRIVED_MS), clock=clock(ARRIVED_MS))
        await rollup_store.note_changed([(car.vehicle_id, MORNING_MS)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_store, "_carry", _failing)
        for car in cars:  # last, because whatever is taken in carries what waits in the partition
            with pytest.raises(Unavailable):
                await car.closes()


async def _failing(_: object) -> None:
    raise Unavailable("the process is gone before it carries anything")


HELD = {"trips": 1, "charging_sessions": 1, "rollups": 3, "messages": 9, "outgoing": 2, "parked": 4}
MARKS = {"OpenTrips: P CAR", "OpenTrips: ~erasures CAR"}
