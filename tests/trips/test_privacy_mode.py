"""Of a car in privacy mode no position is kept, and its trips are made all the same."""

from functions.trips import compact, service, vehicle_trips
from functions.trips.records import Fold, Trip
from functions.trips.silence import Seen, Silence
from functions.trips.vehicle_trips import VehicleTrips
from shared import settings
from shared.messaging import parking
from shared.messaging.contracts import SetPrivacyMode, to_envelope
from shared.settings import TELEMETRY_HUB
from shared.storage import blobs
from tests.telemetry import packed
from tests.trips.conftest import Car
from tests.trips.drives import MORNING_MS, bodies, drive, two_drives
from tests.trips.minutes import at


async def test_of_a_private_car_no_position_is_stored_and_its_distance_is_the_same(car: Car) -> None:
    """Not in messages, not in what is under way, not in trips, and not in what is set aside."""
    other = Car()
    off = [{"t": at(minute), "speed_kmh": 0.0, "ignition": False} for minute in (20.1, 50.1)]
    good = bodies([*drive(20), off[0], *drive(20, start_ms=at(30)), off[1]])
    for one in (car, other):
        command = SetPrivacyMode(vehicle_id=one.vehicle_id, is_private=one is car)
        envelope = to_envelope(command, message_id="p", source="t", subject=one.vehicle_id, time_ms=MORNING_MS)
        await service.obey(envelope, store=one.store)
        bad = packed([{"t": at(60), "lat": 200, "lon": 8.25}], "b1", len(good))
        await one.sends([*good, bad])
        rows = await one.rows()
        kept = compact.messages(one.vehicle_id, await one.kept())
        assert len(kept) == len(good)
        assert [message for message in kept if message.run.lat] == ([] if one is car else kept)
        states = [vehicle_trips.decode(bytes(row.values["state"])) for row in rows if "state" in row.values]  # type: ignore[arg-type] # bytes
        assert [state.fold.seen.lat is None for state in states] == [one is car]
        await one.closes()
    for private, open_ in zip(await car.trips(), await other.trips(), strict=True):
        names = {name for name in open_.values.keys() - private.values.keys() if name != "odata.etag"}
        assert names >= {"start_lat", "start_lon", "end_lat", "end_lon", "start_place", "end_place", "night_share"}
        assert private.values["polyline"] == ""
        for name in ("distance_km", "distance_source", "duration_s", "soc_start_pct", "soc_end_pct", "samples"):
            assert private.values[name] == open_.values[name]
    (item,) = [item async for item in parking.parked(TELEMETRY_HUB) if item.origin.vehicle_id == car.vehicle_id]
    body = await blobs.get(settings.PARKED_CONTAINER, item.blob)
    assert body is not None
    assert (item.code, "200" in item.detail, b"8.25" in body) == ("no-usable-sample", False, False)


async def test_a_revision_of_a_car_that_is_private_since_has_no_positions(car: Car) -> None:
    """Its earlier messages have them, until they expire."""
    sent = two_drives()
    await car.sends([*sent[:2], *sent[3:]])
    await car.closes()
    assert all("start_lat" in trip.values for trip in await car.trips())
    command = SetPrivacyMode(vehicle_id=car.vehicle_id, is_private=True)
    envelope = to_envelope(command, message_id="p", source="t", subject=car.vehicle_id, time_ms=MORNING_MS)
    await service.obey(envelope, store=car.store)
    await car.sends([sent[2]])
    await car.closes()
    revised = [trip.values for trip in await car.trips() if trip.values["revision"] == 2]
    assert revised
    for values in revised:
        assert not {"start_lat", "end_lon", "start_place", "end_place", "start_time_zone"} & values.keys()
        assert values["polyline"] == ""
        assert values["distance_source"] == "speed"


def test_what_was_under_way_at_the_horizon_is_forgotten_too() -> None:
    """A charging session that was inferred there knows where the car stood."""
    seen = Seen(at(0), 50.0, 8.0, soc_pct=40.0), Seen(at(90), 50.0, 8.0, soc_pct=60.0)
    state = VehicleTrips(
        fold=Fold(last=(at(90), "b1", 0), seen=seen[1], charge=Trip.in_silence("charging", Silence(*seen)))
    )
    state.move_horizon(at(100))
    assert state.footing is not None
    state.forget_positions()
    for fold in (state.fold, state.footing):
        assert fold.seen.lat is None
        assert [trip.measures.route.stretches for trip in fold.under_way] == [[]]
