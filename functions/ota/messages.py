"""What this job says: to itself, to the other jobs and to vehicles.

The id of a message is made of what it tells, so that it is the same whenever the same fact is told again.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from functions.ota.campaign import CampaignId
from functions.ota.rollout import Totals
from functions.ota.vehicle_update import Status, VehicleUpdate
from shared.clock import to_epoch_ms
from shared.messaging.contracts import (
    CampaignCompleted,
    Message,
    StartCampaign,
    UpdateAvailable,
    UpdateFinished,
    to_envelope,
)
from shared.messaging.envelope import Envelope

SOURCE = "ota"


class AssignVehicles(Message, frozen=True, kw_only=True):
    """Plan one part of the fleet: shards that start with the digit `part`."""

    campaign_id: CampaignId
    part: Annotated[str, Meta(pattern=r"^[0-9a-f]\Z")]


class OfferUpdates(Message, frozen=True, kw_only=True):
    """Offer the update to the vehicles of one shard that have no offer yet."""

    campaign_id: CampaignId
    shard: Annotated[str, Meta(pattern=r"^[0-9a-f]{3}\Z")]


class ReportProgress(Message, frozen=True, kw_only=True):
    """A shard is finished. Absolute numbers: hearing it twice is hearing it once."""

    campaign_id: CampaignId
    shard: Annotated[str, Meta(pattern=r"^[0-9a-f]{3}\Z")]
    targeted: int
    succeeded: int
    failed: int


def assign_vehicles(campaign_id: str, part: str, now: datetime) -> Envelope:
    return _envelope(AssignVehicles(campaign_id=campaign_id, part=part), campaign_id, part, now=now)


def offer_updates(campaign_id: str, shard: str, now: datetime) -> Envelope:
    return _envelope(OfferUpdates(campaign_id=campaign_id, shard=shard), campaign_id, shard, now=now)


def report_progress(campaign_id: str, shard: str, totals: Totals, now: datetime) -> Envelope:
    message = ReportProgress(
        campaign_id=campaign_id,
        shard=shard,
        targeted=totals.targeted,
        succeeded=totals.succeeded,
        failed=totals.failed,
    )
    return _envelope(message, campaign_id, shard, now=now)


def update_available(campaign: StartCampaign, vehicle_id: str, now: datetime) -> Envelope:
    message = UpdateAvailable(
        campaign_id=campaign.campaign_id, vehicle_id=vehicle_id, version=campaign.version, title=campaign.title
    )
    return _envelope(message, campaign.campaign_id, vehicle_id, now=now)


def update_finished(campaign: StartCampaign, vehicle_id: str, update: VehicleUpdate, now: datetime) -> Envelope:
    message = UpdateFinished(
        campaign_id=campaign.campaign_id,
        vehicle_id=vehicle_id,
        version=campaign.version,
        succeeded=update.status is Status.SUCCEEDED,
        reason=update.reason,
    )
    return _envelope(message, campaign.campaign_id, vehicle_id, now=now)


def campaign_completed(campaign_id: str, totals: Totals, now: datetime) -> Envelope:
    message = CampaignCompleted(
        campaign_id=campaign_id, targeted=totals.targeted, succeeded=totals.succeeded, failed=totals.failed
    )
    return _envelope(message, campaign_id, now=now)


def offer(campaign: StartCampaign, url: str) -> dict[str, Any]:
    """The desired property `update` of a vehicle's twin (docs/vehicle-protocol.md)."""
    return {
        "campaign_id": campaign.campaign_id,
        "version": campaign.version,
        "title": campaign.title,
        "url": url,
        "sha256": campaign.artifact.sha256.lower(),
        "size_bytes": campaign.artifact.size_bytes,
    }


def _envelope(message: Message, *key: str, now: datetime) -> Envelope:
    """`key` is what tells this fact from others of its type; the last part of it is the subject.

    Hashed, because campaign and vehicle together can pass the 128 characters that Service Bus allows in a message id.
    """
    digest = hashlib.sha256("|".join(key).encode()).hexdigest()[:32]
    return to_envelope(
        message,
        message_id=f"{type(message).__name__}-{digest}",
        source=SOURCE,
        subject=key[-1],
        time_ms=to_epoch_ms(now),
    )
