"""One notification on its way to one person by one channel: what may happen to it, without doing it.

queued → sending → delivered | failed | expired. Status never goes back, and an end is final. `sending` spans all
attempts; while one is under way, a lease keeps every other instance off. A lease that has run out means that the
attempt's instance is gone and nobody knows whether it was sent: then it is sent again, under the same id, by which the
vehicle and the mail program tell that it is the same.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import get_args

import msgspec
from msgspec.structs import replace

from functions.notifications.decision import LAST_MS, Category, Channel, Facts, Notification
from shared.clock import from_epoch_ms, to_epoch_ms
from shared.errors import Unavailable

LEASE = timedelta(minutes=2)  # longer than any attempt takes, with some room for clocks that differ
LONGEST_PAUSE_S = {Channel.EMAIL: 300.0, Channel.IN_CAR: 900.0}
_KINDS: Mapping[str, type[Facts]] = {kind.__name__: kind for kind in get_args(Facts)}


class Status(StrEnum):
    """How far a delivery is."""

    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


ENDS = frozenset({Status.DELIVERED, Status.FAILED, Status.EXPIRED})


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. Times in epoch milliseconds; `content` is the JSON of what it tells, of the type `kind`.

    It names its recipient by id alone: name and address are looked up when it is sent, and stored in one place only.
    """

    delivery_id: str
    notification_id: str
    vehicle_id: str
    recipient_id: str
    category: Category
    channel: Channel
    kind: str
    content: bytes
    created_at_ms: int
    expires_at_ms: int
    status: Status = Status.QUEUED
    attempts: int = 0
    lease_until_ms: int = 0
    delivered_at_ms: int | None = None
    reason: str | None = None  # of the end, or of the last attempt that came to nothing

    @property
    def ended(self) -> bool:
        return self.status in ENDS

    @property
    def facts(self) -> Facts:
        return msgspec.json.decode(self.content, type=_KINDS[self.kind])


def queued(told: Notification, recipient_id: str, channel: Channel, now: datetime) -> Delivery:
    """A delivery that begins. Its id is made of what it is, and sorts the newest first."""
    digest = hashlib.sha256(f"{told.notification_id}|{recipient_id}|{channel}".encode()).hexdigest()[:32]
    return Delivery(
        delivery_id=f"{LAST_MS - to_epoch_ms(told.known_at):013d}-{digest}",
        notification_id=told.notification_id,
        vehicle_id=told.vehicle_id,
        recipient_id=recipient_id,
        category=told.category,
        channel=channel,
        kind=type(told.facts).__name__,
        content=msgspec.json.encode(told.facts),
        created_at_ms=to_epoch_ms(now),
        expires_at_ms=to_epoch_ms(told.expires_at(channel)),
    )


def claim(delivery: Delivery, now: datetime) -> Delivery:
    """The delivery, claimed for an attempt; or expired; or itself if it has ended.

    Raises `Unavailable` while another attempt may be under way.
    """
    now_ms = to_epoch_ms(now)
    if delivery.ended:
        return delivery
    if now_ms < delivery.lease_until_ms:
        raise Unavailable("another attempt to deliver this is under way", (delivery.lease_until_ms - now_ms) / 1000)
    if now_ms >= delivery.expires_at_ms:
        return expired(delivery, delivery.reason)
    lease_until_ms = to_epoch_ms(now + LEASE)
    return replace(delivery, status=Status.SENDING, attempts=delivery.attempts + 1, lease_until_ms=lease_until_ms)


def delivered(delivery: Delivery, now: datetime) -> Delivery:
    """The attempt succeeded."""
    return replace(delivery, status=Status.DELIVERED, lease_until_ms=0, delivered_at_ms=to_epoch_ms(now), reason=None)


def failed(delivery: Delivery, reason: str) -> Delivery:
    """The attempt failed, and so would every other."""
    return replace(delivery, status=Status.FAILED, lease_until_ms=0, reason=reason)


def expired(delivery: Delivery, reason: str | None) -> Delivery:
    """It is of no use any more."""
    return replace(delivery, status=Status.EXPIRED, lease_until_ms=0, reason=reason)


def released(delivery: Delivery, reason: str) -> Delivery:
    """The attempt came to nothing; another may follow."""
    return replace(delivery, lease_until_ms=0, reason=reason)


def next_attempt_at(
    delivery: Delivery, now: datetime, *, first_pause_s: float, asked_s: float | None, chance: float
) -> datetime | None:
    """When to try again after an attempt that came to nothing, or None if that is after it expires.

    The pause doubles from attempt to attempt up to the channel's longest, is never shorter than what the other side
    asked for, and is spread by half by `chance` (0 to 1), so that what failed together does not return together.
    """
    doubled = first_pause_s * 2.0 ** min(delivery.attempts - 1, 30)
    pause_s = min(doubled, LONGEST_PAUSE_S[delivery.channel]) * (0.75 + chance / 2)
    later = now + timedelta(seconds=max(pause_s, asked_s or 0.0))
    return later if later < from_epoch_ms(delivery.expires_at_ms) else None
