"""Bad events, alerts and commands: parked with a reason, and never in the way of good ones."""

import pytest

from functions.notifications import store
from functions.notifications.messages import Deliver
from shared.messaging.contracts import (
    CampaignCompleted,
    CertificateRotated,
    CloseTrip,
    Message,
    SetRecipient,
    TripRevised,
    UpdateFinished,
    VehicleErased,
)
from shared.settings import DOMAIN_EVENTS, NOTIFICATION_COMMANDS
from tests.notifications.desk import Desk


@pytest.mark.parametrize(
    "event",
    [
        CampaignCompleted(campaign_id="spring", targeted=1, succeeded=1, failed=0),
        CertificateRotated(vehicle_id="car-1", rotation_id="r", serial="1"),
        UpdateFinished(campaign_id="spring", vehicle_id="car-1", version="2", succeeded=True),
        VehicleErased(vehicle_id="car-1", request_id="r", job="trips", erased_at_ms=1),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_what_concerns_nobody_is_passed_over(desk: Desk, event: Message) -> None:
    for message_id, source in (
        (await desk.event(event), DOMAIN_EVENTS),
        (await desk.command(event), NOTIFICATION_COMMANDS),
    ):
        assert await desk.parked(source, message_id) is None


async def test_a_revised_trip_is_not_told_again(desk: Desk) -> None:
    await desk.set_recipient()
    revised = TripRevised(
        trip_id="trip-9",
        vehicle_id=desk.vehicle_id,
        revision=2,
        started_at_ms=1,
        ended_at_ms=2,
        distance_km=1.0,
        duration_s=1.0,
        idle_s=0.0,
    )
    await desk.event(revised)
    assert await desk.deliveries() == []


@pytest.mark.parametrize("field", ["distance_km", "duration_s", "idle_s", "soc_start_pct", "soc_end_pct", "fuel_l"])
async def test_a_trip_that_nobody_could_drive_is_parked(desk: Desk, field: str) -> None:
    """Such a number has no written form, and the delivery would fail anew each time."""
    await desk.set_recipient()
    message_id = await desk.event(desk.trip(**{field: 1e300}))
    parked = await desk.parked(DOMAIN_EVENTS, message_id)
    assert parked is not None
    assert field in parked.detail
    assert await desk.deliveries() == []


async def test_an_unknown_type_is_parked_with_a_reason(desk: Desk) -> None:
    message_id = await desk.event(CloseTrip(vehicle_id=desk.vehicle_id))
    parked = await desk.parked(DOMAIN_EVENTS, message_id)
    assert parked is not None
    assert parked.code == "unknown-type"
    assert "'CloseTrip' is not understood here; known: TripCompleted" in parked.detail


async def test_bad_alerts_are_parked_and_the_rest_of_the_batch_is_told(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.alert(b"no json", {"kind": "fire"}, {"vehicle_id": "another"}, {"at": "now"}, b"[" * 1_000_000, {})
    await desk.work()
    assert len(desk.mails()) == 1
    codes = sorted(item.code for item in await desk.parked_alerts())
    assert codes == ["bad-alert", "bad-alert", "bad-alert", "foreign-vehicle", "unknown-alert"]


async def test_a_bad_recipient_is_parked_without_what_is_personal(desk: Desk) -> None:
    known = SetRecipient(vehicle_id=desk.vehicle_id, recipient_id="anna", name="Anna", email="Main Street 1")
    message_id = await desk.command(known)
    parked = await desk.parked(NOTIFICATION_COMMANDS, message_id)
    assert parked is not None
    assert parked.detail == "SetRecipient: email must be an address such as name@example.com, in ASCII"
    assert await store.recipients(desk.vehicle_id) == []


@pytest.mark.parametrize(
    ("vehicle_id", "delivery_id", "code"),
    [
        (None, "0000000000001-" + "0" * 32, "unknown-delivery"),
        (None, "a/b", "bad-data"),
        ("no/car", "0000000000001-" + "0" * 32, "bad-vehicle-id"),
    ],
)
async def test_a_delivery_that_does_not_exist_is_parked(
    desk: Desk, vehicle_id: str | None, delivery_id: str, code: str
) -> None:
    message_id = await desk.command(Deliver(vehicle_id=vehicle_id or desk.vehicle_id, delivery_id=delivery_id))
    parked = await desk.parked(NOTIFICATION_COMMANDS, message_id)
    assert parked is not None
    assert parked.code == code


async def test_logs_name_nobody(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="functions.notifications")
    caplog.set_level("INFO", logger="shared")
    desk.post.refused_recipients[desk.address("bea")] = f"550 <{desk.address('bea')}> unknown"
    await desk.set_recipient(time_zone="Mars/Base")
    await desk.set_recipient("bea", name="Bea Schmidt")
    await desk.event(desk.trip())
    await desk.alert({"lat": 48.13743, "lon": 11.57549})
    await desk.work()
    ours = [record for record in caplog.records if record.name.startswith(("functions", "shared"))]
    assert ours
    said = "\n".join(record.getMessage() for record in ours)
    for personal in ("Müller", "Schmidt", "@", "48.13", "11.57"):
        assert personal not in said
