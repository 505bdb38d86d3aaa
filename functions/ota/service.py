"""Brings a new version to a fleet: from the command that starts a campaign to the event that ends it.

A campaign is planned in parts of the fleet, offered in shards, decided by the vehicles' reports and counted back from
shard to campaign. Each step is a message of its own that may come twice: it finds what is done and goes on from there.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from functions.ota import messages, reports, rollout, store, vehicle_update
from functions.ota.campaign import check_definition, check_stored_artifact
from functions.ota.messages import AssignVehicles, OfferUpdates, ReportProgress
from functions.ota.store import Campaign, Shard
from functions.ota.vehicle_update import Effect, Status, Step, VehicleUpdate
from shared import settings
from shared.clock import Clock, utc_now
from shared.conflicts import decided
from shared.errors import Conflict, Rejected
from shared.identity import registry, vehicle
from shared.identity.vehicle import ShardRange
from shared.messaging import device_messages, publisher, vehicle_link
from shared.messaging.contracts import Message, StartCampaign, decode
from shared.messaging.device_messages import DeviceMessage
from shared.messaging.envelope import Envelope
from shared.messaging.parking import Origin
from shared.messaging.publisher import Outgoing

log = logging.getLogger(__name__)
_headway = set[Origin]()

OFFERS_AT_ONCE = 16
DECISIONS = 5  # so often is decided anew when someone else was faster, before the message itself is tried again
UPDATE = "update"  # the desired property that holds an offer

Decide = Callable[[VehicleUpdate], Step]


async def obey(envelope: Envelope, *, clock: Clock = utc_now) -> None:
    """Carries out a command of the job's queue. Raises `Rejected`, `Conflict`, `Unavailable`."""
    now = clock()
    command: Message = decode(envelope, StartCampaign, AssignVehicles, OfferUpdates, ReportProgress)
    match command:
        case StartCampaign():
            await _start_campaign(command, now)
        case AssignVehicles():
            await _assign_vehicles(command, now)
        case OfferUpdates():
            await _offer_updates(command, now)
        case ReportProgress():
            await _report_progress(command, now)


async def hear(batch: Sequence[DeviceMessage], *, clock: Clock = utc_now) -> None:
    """Takes a batch of vehicles' reports. Raises `Unavailable` and, rarely, `Conflict`."""
    campaigns: dict[str, Campaign] = {}  # those that the batch speaks of; what is used of them never changes
    await device_messages.handle_each(batch, partial(_take_report, campaigns=campaigns, clock=clock), headway=_headway)


# --- A campaign starts


async def _start_campaign(command: StartCampaign, now: datetime) -> None:
    """Raises `Rejected` if it cannot be carried out, or if the id is another campaign's already."""
    check_definition(command)
    known = await store.campaign(command.campaign_id)
    if known is None:
        check_stored_artifact(command.artifact, await store.artifact_bytes(command.artifact))
        parts = [messages.assign_vehicles(command.campaign_id, part.digit, now) for part in vehicle.SHARD_RANGES]
        try:
            await store.add_campaign(command, [_command(part) for part in parts], now)
        except Conflict:
            known = await _campaign(command.campaign_id)
    if known is not None and known.definition != command:
        raise Rejected("campaign-exists", f"there is another campaign {command.campaign_id!r} already")
    await store.send_campaign_messages(command.campaign_id)


# --- The fleet is planned, part by part


async def _assign_vehicles(command: AssignVehicles, now: datetime) -> None:
    """Plans one part of the fleet and lets its vehicles have their offers.

    The plan is closed before the first offer. So it cannot grow any more, not even by a second run that finds vehicles
    registered meanwhile: only what the closed plan names is offered and counted.
    """
    campaign = await _campaign(command.campaign_id)
    shards = await store.shards_of_part(command.campaign_id, command.part)
    if shards is None:
        shards = await _plan_part(campaign, command, now)
    # No outbox: this command is not completed before they are sent, and it sends them again when it comes again.
    await publisher.send([_command(messages.offer_updates(command.campaign_id, shard, now)) for shard in shards])
    await _complete_if_all_finished(command.campaign_id, now)


async def _plan_part(campaign: Campaign, command: AssignVehicles, now: datetime) -> tuple[str, ...]:
    definition = campaign.definition
    found = registry.of_model(ShardRange(command.part), brand=definition.brand, model=definition.model)
    planned = []
    async for name, vehicle_ids in rollout.by_shard(found):
        shard = Shard(command.campaign_id, name)
        await decided(partial(_plan_shard, shard, vehicle_ids, now), attempts=DECISIONS)
        planned.append(name)
    try:
        await store.close_part(command.campaign_id, command.part, planned)
    except Conflict:
        closed = await store.shards_of_part(command.campaign_id, command.part)
        assert closed is not None
        return closed
    return tuple(planned)


async def _plan_shard(shard: Shard, vehicle_ids: Sequence[str], now: datetime) -> None:
    progress = await store.progress(shard)
    if progress.value.planned:
        return
    assigned = await store.assigned(shard) if progress.etag else set[str]()
    for batch, last in rollout.batches(vehicle_ids, assigned, store.ASSIGNMENTS_PER_TRANSACTION):
        after = progress.value.with_vehicles(len(batch), last=last)
        progress = await store.assign(shard, batch, progress, after, _if_finished(shard, after, now), now)


# --- Each vehicle gets its offer


async def _offer_updates(command: OfferUpdates, now: datetime) -> None:
    """Offers the update to those vehicles of a shard that have no offer yet."""
    campaign, shard = await _campaign(command.campaign_id), Shard(command.campaign_id, command.shard)
    waiting = [assignment.vehicle_id async for assignment in store.waiting_for_offer(shard)]
    offer = await _offer(campaign, now) if waiting else {}
    for start in range(0, len(waiting), OFFERS_AT_ONCE):
        await _offer_to(waiting[start : start + OFFERS_AT_ONCE], campaign, shard, offer, now)
    await store.send_shard_messages(shard)


async def _offer(campaign: Campaign, now: datetime) -> dict[str, Any]:
    """The desired property, with a link that is valid from now on."""
    return messages.offer(campaign.definition, await store.artifact_url(campaign.definition.artifact, now))


async def _offer_to(
    vehicle_ids: Sequence[str], campaign: Campaign, shard: Shard, offer: Mapping[str, Any], now: datetime
) -> None:
    """Offers to these at once. Raises the first error when all others have their offer."""

    async def offer_to(vehicle_id: str) -> Rejected | None:
        try:
            await vehicle_link.set_desired(vehicle_id, {UPDATE: offer})
        except Rejected as refusal:
            return refusal
        step = await _advance(campaign, shard, vehicle_id, vehicle_update.offer_made, now)
        if Effect.WITHDRAW in step.effects:
            await _withdraw(campaign, vehicle_id)
        return None

    outcomes = await asyncio.gather(*map(offer_to, vehicle_ids), return_exceptions=True)
    for vehicle_id, outcome in zip(vehicle_ids, outcomes, strict=True):
        # One after the other, because ends are counted in the one row of the shard's progress.
        if isinstance(outcome, Rejected):
            refused = partial(vehicle_update.offer_refused, reason=outcome.code)
            await _advance(campaign, shard, vehicle_id, refused, now)
    await store.send_shard_messages(shard)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Rejected):
            raise outcome


async def _withdraw(campaign: Campaign, vehicle_id: str) -> None:
    try:
        await _change_offer(campaign, vehicle_id, None)
    except Rejected:
        log.info("a vehicle is gone from the hub, and its offer with it")


async def _change_offer(campaign: Campaign, vehicle_id: str, offer: Mapping[str, Any] | None) -> None:
    """Replaces the offer in the vehicle's twin or takes it out, unless it is another campaign's by now."""

    async def change() -> None:
        twin = await vehicle_link.desired(vehicle_id)
        standing = twin.properties.get(UPDATE) or {}
        if standing.get("campaign_id") == campaign.definition.campaign_id:
            await vehicle_link.set_desired(vehicle_id, {UPDATE: offer}, if_match=twin.etag)

    await decided(change, attempts=DECISIONS)


# --- Vehicles report


async def _take_report(message: DeviceMessage, *, campaigns: dict[str, Campaign], clock: Clock) -> None:
    report = reports.decode(message.body)
    message.caller.must_be(report.vehicle_id)
    if report.campaign_id not in campaigns:
        campaigns[report.campaign_id] = await _campaign(report.campaign_id)
    campaign, vehicle_id, now = campaigns[report.campaign_id], message.caller.vehicle_id, clock()
    version = campaign.definition.version
    if report.version != version:
        raise Rejected(
            "wrong-version", f"campaign {report.campaign_id!r} brings {version!r}, not {report.version[:80]!r}"
        )
    shard = Shard(report.campaign_id, vehicle.shard(vehicle_id))
    decide = partial(vehicle_update.reported, signal=report.status, at_ms=report.at, reason=report.reason_text)
    step = await _advance(campaign, shard, vehicle_id, decide, now)
    await store.send_shard_messages(shard)
    if Effect.RENEW_LINK in step.effects:
        await _change_offer(campaign, vehicle_id, await _offer(campaign, now))
    if Effect.WITHDRAW in step.effects:
        await _withdraw(campaign, vehicle_id)


async def _advance(campaign: Campaign, shard: Shard, vehicle_id: str, decide: Decide, now: datetime) -> Step:
    """Takes one vehicle one step on, with the messages that tell of it."""

    async def advance() -> Step:
        assignment = await store.assignment(shard, vehicle_id)
        if assignment is None:
            raise Rejected("not-targeted", f"campaign {shard.campaign_id!r} is not for this vehicle")
        step = decide(assignment.update)
        if step.update == assignment.update:
            log.info("nothing new of a vehicle whose update is %s", step.update.status)
            return step
        outgoing, counted = list[Outgoing](), None
        if Effect.ANNOUNCE in step.effects:
            outgoing.append(_event(messages.update_available(campaign.definition, vehicle_id, now)))
        if Effect.CONCLUDE in step.effects:
            outgoing.append(_event(messages.update_finished(campaign.definition, vehicle_id, step.update, now)))
            progress = await store.progress(shard)
            after = progress.value.with_end(succeeded=step.update.status is Status.SUCCEEDED)
            outgoing += _if_finished(shard, after, now)
            counted = progress, after
        await store.advance(shard, assignment, step.update, counted, outgoing, now)
        return step

    return await decided(advance, attempts=DECISIONS)


# --- Shards finish, and with the last of them the campaign


async def _report_progress(command: ReportProgress, now: datetime) -> None:
    """Notes that a shard is finished, and completes the campaign if it was the last."""
    await _campaign(command.campaign_id)
    totals = rollout.Totals(command.targeted, command.succeeded, command.failed)
    await store.note_finished(Shard(command.campaign_id, command.shard), totals)
    await _complete_if_all_finished(command.campaign_id, now)


async def _complete_if_all_finished(campaign_id: str, now: datetime) -> None:
    """Whoever notes something looks at the whole afterwards; so the last one to note sees that nothing is missing."""

    async def complete() -> None:
        found = await store.rollout(campaign_id)
        if found.campaign.totals is None:
            totals = rollout.completed(found.plan, found.finished)
            if totals is None:
                return
            event = _event(messages.campaign_completed(campaign_id, totals, now))
            await store.complete_campaign(found.campaign, totals, [event], now)
        await store.send_campaign_messages(campaign_id)

    await decided(complete, attempts=DECISIONS)


# --- Common to all


async def _campaign(campaign_id: str) -> Campaign:
    campaign = await store.campaign(campaign_id)
    if campaign is None:
        raise Rejected("unknown-campaign", f"there is no campaign {campaign_id!r}")
    return campaign


def _if_finished(shard: Shard, progress: rollout.ShardProgress, now: datetime) -> list[Outgoing]:
    """The message from a shard to its campaign; no vehicle is counted after it, so it is made once."""
    if not progress.finished:
        return []
    return [_command(messages.report_progress(shard.campaign_id, shard.shard, progress.totals, now))]


def _command(envelope: Envelope) -> Outgoing:
    return Outgoing(settings.OTA_COMMANDS, envelope)


def _event(envelope: Envelope) -> Outgoing:
    return Outgoing(settings.DOMAIN_EVENTS, envelope)
