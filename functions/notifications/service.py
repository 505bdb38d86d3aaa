"""Tells people about their vehicles: from what has happened to the message that arrived, once.

What is heard becomes one delivery for each person and channel; each delivery is a command of its own, attempted until
it succeeds, is refused or is of no use any more. Who hears, commands or attempts a second time finds what is done.

A person gets the same mail twice only if an instance dies between the mail server's answer and the note of it; the
second then has the `Message-ID` of the first.
"""

import logging
import random
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from functools import partial

from functions.notifications import alerts, decision, delivery, messages, store
from functions.notifications import recipients as recipient_rules
from functions.notifications.channels import email, in_car
from functions.notifications.decision import Category, Channel, Facts
from functions.notifications.delivery import Delivery, Status
from functions.notifications.messages import Deliver
from shared import settings
from shared.clock import Clock, utc_now
from shared.errors import Rejected, Unavailable
from shared.identity import registry
from shared.identity.vehicle import check_vehicle_id
from shared.messaging import device_messages
from shared.messaging.contracts import (
    CampaignCompleted,
    CertificateRotated,
    Message,
    SetRecipient,
    TripCompleted,
    TripRevised,
    UpdateAvailable,
    UpdateFinished,
    VehicleErased,
    WeeklyDigestReady,
    decode,
)
from shared.messaging.device_messages import DeviceMessage
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing

log = logging.getLogger(__name__)

EVENTS = (
    TripCompleted,
    TripRevised,
    WeeklyDigestReady,
    UpdateAvailable,
    UpdateFinished,
    CampaignCompleted,
    CertificateRotated,
    VehicleErased,  # of no interest here, but what is not understood would be parked, with the vehicle's id
)


async def learn(envelope: Envelope, *, clock: Clock = utc_now) -> None:
    """Takes an event of the topic. Raises `Rejected`, `Conflict`, `Unavailable`."""
    await _take_event(decode(envelope, *EVENTS), clock())


async def obey(envelope: Envelope, *, clock: Clock = utc_now) -> None:
    """Carries out a command of the job's queue, to which events come that could not be taken at once.

    Raises `Rejected`, `Conflict`, `Unavailable`.
    """
    message: Message = decode(envelope, SetRecipient, Deliver, *EVENTS)
    match message:
        case SetRecipient():
            await _set_recipient(message, envelope.time)
        case Deliver():
            await _deliver(message, clock)
        case _:
            await _take_event(message, clock())


async def hear(batch: Sequence[DeviceMessage], *, clock: Clock = utc_now) -> None:
    """Takes a batch of vehicles' alerts. Raises `Unavailable`."""
    await device_messages.handle_each(batch, partial(_take_alert, clock=clock))


# --- Who is told


async def _set_recipient(command: SetRecipient, sent_at: datetime) -> None:
    if not await store.set_recipient(recipient_rules.recipient(command, sent_at)):
        log.info("what is known of a recipient is as new as the command")


# --- Something happens


async def _take_event(event: Message, now: datetime) -> None:
    match event:
        case TripRevised():  # is a TripCompleted too, but tells of a trip that was told
            return
        case TripCompleted() | WeeklyDigestReady() | UpdateAvailable():
            await _notify(event.vehicle_id, event, now, now)


async def _take_alert(message: DeviceMessage, *, clock: Clock) -> None:
    """It is of use from its arrival, not from when it was raised: the owner of a stolen car wants to know even late."""
    alert = alerts.decode(message.body)
    message.caller.must_be(alert.vehicle_id)
    alarm = alerts.theft_alarm(alert, message.arrived_at)
    await _notify(message.caller.vehicle_id, alarm, message.arrived_at, clock())


async def _notify(vehicle_id: str, facts: Facts, known_at: datetime, now: datetime) -> None:
    """Begins the deliveries. Raises `Rejected` for an alarm that would reach nobody, so that a person sees it."""
    told = decision.notification(vehicle_id, facts, known_at)
    chosen = decision.decide(told.category, await store.recipients(vehicle_id))
    begun = [delivery.queued(told, recipient.recipient_id, channel, now) for recipient, channel in chosen]
    commands = [Outgoing(settings.NOTIFICATION_COMMANDS, messages.deliver(each, now)) for each in begun]
    if begun and not await store.record(told, begun, commands, now):
        log.info("%s: heard again, told before", told.category)
    await store.send_messages(vehicle_id)
    if begun:
        return
    if told.category is Category.SECURITY:
        raise Rejected("nobody-to-alarm", "a theft alarm of a vehicle that has no recipient with an e-mail address")
    log.info("%s: nobody to tell", told.category)


# --- It reaches a person


async def _deliver(command: Deliver, clock: Clock) -> None:
    """Makes an attempt, unless the delivery has ended.

    Raises `Unavailable` while another attempt is under way, since only that one's end tells whether this is needed;
    `Rejected` for an alarm that did not get through, so that a person sees it.
    """
    found = await store.delivery(check_vehicle_id(command.vehicle_id), command.delivery_id)
    if found is None:
        raise Rejected("unknown-delivery", f"there is no delivery {command.delivery_id} of this vehicle")
    claimed = delivery.claim(found.delivery, clock())
    if claimed != found.delivery:
        stored = await store.save(found, claimed)
        if claimed.status is Status.SENDING:
            claimed, retries = await _attempt(claimed, clock)
            await store.save(stored, claimed, retries)
        _log(claimed)
    await store.send_messages(command.vehicle_id)
    if claimed.category is Category.SECURITY and claimed.status in {Status.FAILED, Status.EXPIRED}:
        raise Rejected("alarm-not-delivered", f"a theft alarm {claimed.status} by {claimed.channel}: {claimed.reason}")


async def _attempt(claimed: Delivery, clock: Clock) -> tuple[Delivery, list[Outgoing]]:
    """Sends it; returns what has become of it and the command for the next attempt, if there is to be one."""
    try:
        await _send(claimed, clock())
    except Rejected as refusal:
        return delivery.failed(claimed, refusal.detail), []
    except Unavailable as trouble:
        now = clock()
        later = delivery.next_attempt_at(
            claimed,
            now,
            first_pause_s=settings.settings().command_retry_s,
            asked_s=trouble.retry_after_s,
            chance=random.random(),  # noqa: S311 - no secret
        )
        if later is None:
            return delivery.expired(claimed, str(trouble)), []
        command = messages.deliver(claimed, now)
        return delivery.released(claimed, str(trouble)), [Outgoing(settings.NOTIFICATION_COMMANDS, command, later)]
    return delivery.delivered(claimed, clock()), []


async def _send(claimed: Delivery, now: datetime) -> None:
    """Raises `Rejected` if that is impossible or not wanted any more, `Unavailable` if a later attempt may succeed."""
    # Imported here because of Jinja2 and Babel, which only an instance that delivers has to pay for.
    from functions.notifications import formats, rendering

    recipient = await store.recipient(claimed.vehicle_id, claimed.recipient_id)
    if recipient is None or not recipient.takes(claimed.category, claimed.channel):
        raise Rejected("not-wanted", "the recipient does not take this by this channel any more")
    zone = formats.time_zone(recipient.time_zone)
    if zone is None:
        log.warning("a recipient's time zone is not known; UTC is used")
    vehicle = await registry.find(claimed.vehicle_id)
    reader = rendering.reader(
        recipient.name,
        recipient.language,
        zone,
        f"{vehicle.brand} {vehicle.model}" if vehicle else None,
        default_language=settings.settings().default_language,
    )
    match claimed.channel:
        case Channel.EMAIL:
            to = Address(recipient.name, addr_spec=recipient.email)
            letter = rendering.letter(claimed.facts, reader)
            await email.send(letter, to=to, message_id=claimed.delivery_id, now=now)
        case Channel.IN_CAR:
            notice = rendering.notice(claimed.facts, reader)
            await in_car.send(
                notice,
                vehicle_id=claimed.vehicle_id,
                message_id=claimed.delivery_id,
                category=claimed.category,
            )


def _log(claimed: Delivery) -> None:
    outcome = f"{claimed.category} by {claimed.channel}: {claimed.status}"
    log.info("%s, attempts: %d, reason: %s", outcome, claimed.attempts, claimed.reason or "none")
