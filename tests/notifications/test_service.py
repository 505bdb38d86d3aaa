"""From what happens to the person who is told, on real services."""

from datetime import timedelta

import pytest

from functions.notifications import store
from functions.notifications.messages import Deliver
from shared.clock import to_epoch_ms
from shared.errors import Rejected
from shared.identity import registry
from shared.identity.vehicle import Vehicle
from shared.settings import DOMAIN_EVENTS, NOTIFICATION_COMMANDS
from tests.notifications.car import Car
from tests.notifications.desk import Desk


async def test_a_trip_is_told_by_mail_in_the_recipients_language(desk: Desk) -> None:
    await registry.register(Vehicle(desk.vehicle_id, "Aurora", "E1", "DE"))
    await desk.set_recipient()
    await desk.event(desk.trip())
    await desk.work()
    (mail,) = desk.mails()
    assert mail["Subject"] == "Ihre Fahrt über 12,4 km"
    assert mail["To"] == f"Anna Müller <{desk.address()}>"
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    for said in (text.get_content(), html.get_content()):
        assert "Aurora E1" in said
        assert "14:32" in said


async def test_a_delivery_tells_all_that_a_checker_wants_to_know(desk: Desk) -> None:
    await desk.set_recipient()
    before = to_epoch_ms(desk.clock())
    await desk.event(desk.trip())
    queued = await desk.only_delivery()
    assert (queued.status, queued.attempts, queued.delivered_at_ms) == ("queued", 0, None)
    await desk.work()
    delivered = await desk.only_delivery()
    assert (delivered.vehicle_id, delivered.recipient_id) == (desk.vehicle_id, "anna")
    assert (delivered.category, delivered.channel, delivered.status) == ("trip", "email", "delivered")
    assert delivered.notification_id.startswith("trip-")
    assert delivered.delivered_at_ms is not None
    assert before <= delivered.created_at_ms <= delivered.delivered_at_ms <= to_epoch_ms(desk.clock())
    (mail,) = desk.mails()
    assert mail["Message-ID"] == f"<{delivered.delivery_id}@example.com>"


async def test_an_update_is_told_by_mail_and_in_the_car(desk: Desk, car: Car) -> None:
    await desk.set_recipient(language="en-GB")
    async with car.online():
        await desk.event(desk.update())
        await desk.work()
    (mail,), (shown,) = desk.mails(), car.shown
    assert mail["Subject"] == "Update 2.0.0 for your vehicle"
    assert (shown["title"], shown["language"], shown["category"]) == ("Update available", "en", "update")
    assert await desk.outcomes() == {("anna", "email", "delivered"), ("anna", "in_car", "delivered")}


async def test_a_theft_alarm_goes_to_everyone_by_mail_and_not_into_the_car(desk: Desk, car: Car) -> None:
    await desk.set_recipient("anna", muted=("trip", "update"))
    await desk.set_recipient("bea", language="en", email=desk.address("bea"))
    async with car.online():
        await desk.alert({})
        await desk.work()
    assert len(desk.mails("anna")) == len(desk.mails("bea")) == 1
    assert "Diebstahlalarm" in desk.mails("anna")[0]["Subject"]
    assert "Theft alarm" in desk.mails("bea")[0]["Subject"]
    assert car.shown == []


async def test_the_same_alarm_again_tells_nobody_again_but_another_does(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.alert({}, {}, {"at": 5})
    await desk.alert({"lat": 48.1})
    await desk.work()
    assert len(desk.mails()) == 1
    await desk.alert({"alarm_id": "alarm-2"})
    await desk.work()
    assert len(desk.mails()) == 2


async def test_who_muted_a_category_is_not_told(desk: Desk) -> None:
    await desk.set_recipient(muted=("trip",))
    await desk.event(desk.trip())
    await desk.event(desk.update())
    await desk.work()
    assert {delivery.category for delivery in await desk.deliveries()} == {"update"}


async def test_a_vehicle_without_recipients_is_told_to_nobody_and_nothing_is_parked(desk: Desk) -> None:
    message_id = await desk.event(desk.trip())
    assert await desk.work() == 0
    assert await desk.deliveries() == []
    assert await desk.parked(DOMAIN_EVENTS, message_id) is None


async def test_an_alarm_that_would_reach_nobody_is_parked(desk: Desk) -> None:
    await desk.set_recipient(email=None)
    await desk.alert({})
    (parked,) = await desk.parked_alerts()
    assert (parked.code, parked.detail) == (
        "nobody-to-alarm",
        "a theft alarm of a vehicle that has no recipient with an e-mail address",
    )


async def test_an_alarm_that_does_not_get_through_is_parked(desk: Desk) -> None:
    await desk.set_recipient()
    desk.post.refused_recipients[desk.address()] = f"550 5.1.1 <{desk.address()}> unknown"
    await desk.alert({})
    delivery = await desk.only_delivery()
    for _ in range(2):  # also if it is delivered again
        message_id = await desk.command(Deliver(vehicle_id=desk.vehicle_id, delivery_id=delivery.delivery_id))
        parked = await desk.parked(NOTIFICATION_COMMANDS, message_id)
        assert parked is not None
        assert parked.code == "alarm-not-delivered"
        assert parked.detail == "a theft alarm failed by email: the mail server refused the recipient with 550"
    await desk.work()


async def test_the_latest_command_says_how_a_person_is_told_whatever_the_order(desk: Desk) -> None:
    now = desk.clock()
    await desk.set_recipient(language="en", sent_at=now)
    await desk.set_recipient(language="de", sent_at=now - timedelta(seconds=1))
    assert [recipient.language for recipient in await store.recipients(desk.vehicle_id)] == ["en"]
    await desk.set_recipient(language="de", sent_at=now + timedelta(seconds=1))
    assert [recipient.language for recipient in await store.recipients(desk.vehicle_id)] == ["de"]


async def test_name_and_address_are_those_of_the_moment_of_sending(desk: Desk) -> None:
    await desk.set_recipient(email="old@example.com")
    await desk.event(desk.trip())
    await desk.set_recipient()
    await desk.work()
    assert len(desk.mails()) == 1
    assert desk.post.mails("old@example.com") == []


async def test_who_muted_it_meanwhile_is_not_told(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.event(desk.trip())
    await desk.set_recipient(muted=("trip",))
    await desk.work()
    assert desk.mails() == []
    assert (await desk.only_delivery()).status == "failed"


async def test_a_vehicle_has_so_many_recipients_that_a_transaction_holds_them(desk: Desk) -> None:
    for number in range(store.MAX_RECIPIENTS):
        await desk.set_recipient(f"person-{number:02d}")
    with pytest.raises(Rejected, match="at most 20"):
        await store.set_recipient((await store.recipients(desk.vehicle_id))[0].__replace__(recipient_id="another"))
    await desk.event(desk.update())
    assert len(await desk.deliveries()) == store.MAX_RECIPIENTS + 1
    await desk.work()
    assert all(len(desk.mails(f"person-{number:02d}")) == 1 for number in range(store.MAX_RECIPIENTS))


async def test_an_unknown_zone_costs_no_mail(desk: Desk) -> None:
    await desk.set_recipient(time_zone="Mars/Base")
    await desk.event(desk.trip())
    await desk.work()
    text = desk.mails()[0].get_body(("plain",))
    assert text is not None
    assert "12:32 UTC" in text.get_content()
