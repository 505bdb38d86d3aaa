"""Mail servers and vehicles that refuse, are away, or come back."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from aiosmtpd.smtp import LoginPassword

from functions.notifications.messages import Deliver
from localcloud.layout import Layout
from localcloud.pki import Pki
from localcloud.services import LocalCloud
from shared.settings import settings
from tests.notifications.car import Car
from tests.notifications.desk import Desk
from tests.notifications.mail_server import MailServer, tls

# --- Mail


async def test_a_mail_server_that_was_away_gets_each_mail_once(desk: Desk, mail_server: MailServer) -> None:
    await desk.set_recipient()
    mail_server.stop()
    try:
        await desk.event(desk.trip())
        await desk.alert({})
        assert await desk.work(limit=6) == 6
        waiting = await desk.deliveries()
        assert {delivery.status for delivery in waiting} == {"sending"}
        assert {delivery.reason for delivery in waiting} == {"mail server: SMTPConnectError"}
        assert sum(delivery.attempts for delivery in waiting) == 6
    finally:
        mail_server.start()
    await desk.work()
    assert await desk.outcomes() == {("anna", "email", "delivered")}
    assert len({mail["Message-ID"] for mail in desk.mails()}) == len(desk.mails()) == 2


@pytest.mark.parametrize("answer", ["451 try later", "421 too busy"])
async def test_a_recipient_that_is_refused_for_now_gets_the_mail_later(desk: Desk, answer: str) -> None:
    await desk.set_recipient()
    desk.post.refused_recipients[desk.address()] = answer
    await desk.event(desk.trip())
    await desk.work(limit=2)
    assert (await desk.only_delivery()).reason == f"mail server: {answer[:3]} to the recipient"
    del desk.post.refused_recipients[desk.address()]
    await desk.work()
    assert len(desk.mails()) == 1


async def test_a_mail_that_is_refused_for_now_is_sent_later(desk: Desk) -> None:
    await desk.set_recipient()
    desk.post.refused_mails[desk.address()] = "452 the disk is full"
    await desk.event(desk.trip())
    await desk.work(limit=1)
    del desk.post.refused_mails[desk.address()]
    await desk.work()
    assert len(desk.mails()) == 1


async def test_a_recipient_that_is_refused_for_good_fails_without_another_attempt(desk: Desk) -> None:
    await desk.set_recipient()
    desk.post.refused_recipients[desk.address()] = f"550 5.1.1 <{desk.address()}> unknown"
    await desk.event(desk.trip())
    assert await desk.work() == 1
    failed = await desk.only_delivery()
    assert (failed.status, failed.reason) == ("failed", "the mail server refused the recipient with 550")


async def test_a_mail_that_is_refused_for_good_fails(desk: Desk) -> None:
    await desk.set_recipient()
    desk.post.refused_mails[desk.address()] = "554 no"
    await desk.event(desk.trip())
    assert await desk.work() == 1
    failed = await desk.only_delivery()
    assert (failed.status, failed.reason) == ("failed", "the mail server refused the mail with 554")


async def test_a_connection_that_breaks_before_the_answer_is_tried_again(desk: Desk) -> None:
    await desk.set_recipient()
    desk.post.hung_up.add(desk.address())
    await desk.event(desk.trip())
    await desk.work(limit=1)
    assert (await desk.only_delivery()).reason == "mail server: SMTPServerDisconnected"
    desk.post.hung_up.clear()
    await desk.work()
    assert len(desk.mails()) == 1


async def test_a_mail_server_that_stays_away_lets_the_mail_expire(desk: Desk, mail_server: MailServer) -> None:
    await desk.set_recipient()
    mail_server.stop()
    try:
        await desk.event(desk.trip())
        await desk.work(limit=1)
        desk.ahead = timedelta(hours=24) - timedelta(seconds=0.01)
        await desk.command(_deliver(desk, (await desk.only_delivery()).delivery_id))
    finally:
        mail_server.start()
    expired = await desk.only_delivery()
    assert (expired.status, expired.reason) == ("expired", "mail server: SMTPConnectError")
    await desk.work()
    assert desk.mails() == []


def _deliver(desk: Desk, delivery_id: str) -> Deliver:
    return Deliver(vehicle_id=desk.vehicle_id, delivery_id=delivery_id)


@pytest.fixture
def smtp_settings(environment: Layout) -> Iterator[pytest.MonkeyPatch]:
    """Sets SMTP settings for one test."""
    assert environment
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    settings.cache_clear()


@pytest.mark.parametrize(
    ("security", "server_option"), [("starttls", "tls_context"), ("tls", "ssl_context")], ids=["starttls", "tls"]
)
async def test_mail_is_handed_over_encrypted_to_who_knows_the_password(
    desk: Desk, environment: Layout, smtp_settings: pytest.MonkeyPatch, security: str, server_option: str
) -> None:
    pki, address = Pki(environment.pki), "127.0.0.1"
    # aiosmtpd knows only of STARTTLS; with TLS the connection is encrypted before it asks.
    options = {server_option: tls(str(pki.server), str(pki.server_key)), "auth_require_tls": security == "starttls"}
    server = MailServer(address, environment.on_free_ports().smtp_port, options)
    server.start()
    try:
        changed = {"SMTP_PORT": str(server.port), "SMTP_SECURITY": security, "SMTP_USERNAME": "cars"}
        for name, value in changed.items():
            smtp_settings.setenv(name, value)
        smtp_settings.setenv("SMTP_PASSWORD", "wrong")
        settings.cache_clear()
        await desk.set_recipient()
        await desk.event(desk.trip())
        await desk.work(limit=1)
        assert (await desk.only_delivery()).reason == "mail server: SMTPAuthenticationError 535"
        smtp_settings.setenv("SMTP_PASSWORD", "secret")
        settings.cache_clear()
        await desk.work()
    finally:
        server.stop()
    assert len(server.mails(desk.address())) == 1
    assert server.logins[-1] == LoginPassword(b"cars", b"secret")


async def test_a_mail_server_that_offers_no_encryption_gets_no_mail(
    desk: Desk, smtp_settings: pytest.MonkeyPatch
) -> None:
    smtp_settings.setenv("SMTP_SECURITY", "starttls")
    settings.cache_clear()
    await desk.set_recipient()
    await desk.event(desk.trip())
    await desk.work(limit=1)
    assert (await desk.only_delivery()).status == "sending"
    assert desk.mails() == []


# --- In the car


async def _only_the_car(desk: Desk) -> None:
    await desk.set_recipient(email=None)


async def test_a_car_that_comes_online_in_time_shows_the_message_once(desk: Desk, car: Car) -> None:
    await _only_the_car(desk)
    await desk.event(desk.update())
    assert await desk.work(limit=3) == 3
    waiting = await desk.only_delivery()
    assert (waiting.status, waiting.reason, waiting.attempts) == ("sending", "the vehicle is offline", 3)
    async with car.online():
        await desk.work()
    assert len(car.shown) == 1
    assert await desk.outcomes() == {("anna", "in_car", "delivered")}


async def test_a_car_that_stays_offline_is_not_told_later(desk: Desk, car: Car) -> None:
    await _only_the_car(desk)
    await desk.event(desk.update())
    await desk.work(limit=1)
    desk.ahead = timedelta(hours=1)
    async with car.online():
        await desk.work()
    assert car.shown == []
    expired = await desk.only_delivery()
    assert (expired.status, expired.reason, expired.attempts) == ("expired", "the vehicle is offline", 1)


async def test_a_car_that_showed_it_before_counts_as_told(desk: Desk, car: Car) -> None:
    await _only_the_car(desk)
    await desk.event(desk.update())
    delivery = await desk.only_delivery()
    car.shown.append({"message_id": delivery.delivery_id})
    async with car.online():
        await desk.work()
    assert len(car.shown) == 1
    assert (await desk.only_delivery()).status == "delivered"


async def test_a_car_that_cannot_show_it_fails(desk: Desk, car: Car) -> None:
    await _only_the_car(desk)
    car.answers.append(501)
    await desk.event(desk.update())
    async with car.online():
        assert await desk.work() == 1
    failed = await desk.only_delivery()
    assert (failed.status, failed.reason) == ("failed", "the vehicle answered with status 501")


async def test_a_car_that_the_hub_does_not_know_fails(desk: Desk, iot_hub: LocalCloud) -> None:
    assert iot_hub
    await _only_the_car(desk)
    await desk.event(desk.update())
    await desk.work()
    failed = await desk.only_delivery()
    assert (failed.status, failed.reason) == ("failed", "the IoT Hub does not know this vehicle")
