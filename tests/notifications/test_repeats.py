"""What comes twice, at once or too late: each person is told once, or not at all."""

import asyncio
from datetime import timedelta

import pytest

from functions.notifications import service, store
from functions.notifications.delivery import LEASE, Delivery, claim
from functions.notifications.messages import Deliver
from shared.clock import to_epoch_ms
from shared.errors import Conflict, Unavailable
from shared.settings import NOTIFICATION_COMMANDS
from tests.notifications.desk import Desk


async def test_an_event_that_comes_again_in_whatever_way_tells_nobody_again(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.event(desk.trip())
    await desk.event(desk.trip(revision=2, distance_km=99.0))
    await desk.command(desk.trip())
    await desk.work()
    await desk.event(desk.trip())
    await desk.work()
    assert len(desk.mails()) == 1
    assert len(await desk.deliveries()) == 1


async def test_two_instances_that_hear_the_same_begin_one_delivery(desk: Desk) -> None:
    await desk.set_recipient()
    await asyncio.gather(*(desk.event(desk.trip()) for _ in range(4)), *(desk.alert({}) for _ in range(4)))
    assert len(await desk.deliveries()) == 2
    await desk.work()
    assert len(desk.mails()) == 2


async def test_of_two_instances_at_the_same_delivery_one_sends(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.event(desk.trip())
    command = desk.deliver(await desk.only_delivery())
    outcomes = await asyncio.gather(
        *(service.obey(command, clock=desk.clock) for _ in range(4)), return_exceptions=True
    )
    assert outcomes.count(None) >= 1
    assert all(isinstance(outcome, Conflict | Unavailable) for outcome in outcomes if outcome is not None)
    await service.obey(command, clock=desk.clock)
    await desk.work()
    assert len(desk.mails()) == 1
    assert (await desk.only_delivery()).attempts == 1


async def test_a_command_waits_while_another_attempt_is_under_way(desk: Desk) -> None:
    """It must not be completed: if the other instance dies, this command is the only one left."""
    await desk.set_recipient()
    await desk.event(desk.trip())
    delivery = await desk.only_delivery()
    await _claim_by_an_instance_that_dies(desk, delivery)
    with pytest.raises(Unavailable) as refusal:
        await service.obey(desk.deliver(delivery), clock=desk.clock)
    assert LEASE.total_seconds() - 10 < (refusal.value.retry_after_s or 0) <= LEASE.total_seconds()
    desk.ahead = LEASE
    await desk.work()
    assert len(desk.mails()) == 1
    assert (await desk.only_delivery()).attempts == 2


async def _claim_by_an_instance_that_dies(desk: Desk, delivery: Delivery) -> None:
    stored = await store.delivery(desk.vehicle_id, delivery.delivery_id)
    assert stored is not None
    await store.save(stored, claim(stored.delivery, desk.clock()))


# --- Too late


async def test_what_is_of_no_use_any_more_is_not_sent(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.event(desk.trip())
    desk.ahead = timedelta(hours=24)
    await desk.work()
    assert desk.mails() == []
    assert (await desk.only_delivery()).status == "expired"


async def test_an_old_alarm_that_arrives_now_is_told_now(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.alert({"at": to_epoch_ms(desk.clock() - timedelta(hours=5))})
    await desk.work()
    assert len(desk.mails()) == 1


async def test_an_alarm_that_waited_too_long_in_the_cloud_is_parked_instead(desk: Desk) -> None:
    await desk.set_recipient()
    await desk.alert({}, arrived_at=desk.clock() - timedelta(hours=3))
    delivery = await desk.only_delivery()
    message_id = await desk.command(Deliver(vehicle_id=desk.vehicle_id, delivery_id=delivery.delivery_id))
    parked = await desk.parked(NOTIFICATION_COMMANDS, message_id)
    assert parked is not None
    assert parked.code == "alarm-not-delivered"
    assert desk.mails() == []
    await desk.work()
