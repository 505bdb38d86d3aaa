"""What this job says to itself: the command to make an attempt at a delivery."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from functions.notifications.delivery import Delivery
from shared.clock import to_epoch_ms
from shared.messaging.contracts import Message, to_envelope
from shared.messaging.envelope import Envelope

SOURCE = "notifications"


class Deliver(Message, frozen=True, kw_only=True):
    """Make an attempt at this delivery, unless it has ended."""

    vehicle_id: str
    delivery_id: Annotated[str, Meta(pattern=r"^[0-9]{13}-[0-9a-f]{32}\Z")]


def deliver(delivery: Delivery, now: datetime) -> Envelope:
    """The command to make the delivery's next attempt; each attempt has a command of its own."""
    return to_envelope(
        Deliver(vehicle_id=delivery.vehicle_id, delivery_id=delivery.delivery_id),
        message_id=f"Deliver-{delivery.delivery_id}-{delivery.attempts + 1}",
        source=SOURCE,
        subject=delivery.vehicle_id,
        time_ms=to_epoch_ms(now),
    )
