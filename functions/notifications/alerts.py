"""Alerts from vehicles, read from the wire (docs/vehicle-protocol.md, "Alerts").

An alert's position is not even read: it is personal, a mail is no safe place for it, and an owner should not go after
a thief. So a position that makes no sense costs no alarm either.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.clock import to_epoch_ms
from shared.errors import Rejected
from shared.messaging.bodies import BODY_ERRORS, fault

THEFT = "theft"
# A clock that is further off is taken for wrong; an alarm may wait that long in a garage without reception.
_LONGEST_DELAY = timedelta(days=7)
_CLOCK_SKEW = timedelta(minutes=5)


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What a vehicle raises; `at` in epoch milliseconds by its own clock."""

    v: Literal[1]
    alarm_id: Annotated[str, Meta(min_length=1, max_length=128)]
    kind: str
    at: int
    vehicle_id: str | None = None


class TheftAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle's theft alarm; all repetitions of an alarm have its `alarm_id`."""

    alarm_id: str
    raised_at_ms: int


def decode(body: bytes) -> Alert:
    """The alert in a message body. Raises `Rejected` for anything else, naming the field at fault."""
    try:
        return msgspec.json.decode(body, type=Alert)
    except BODY_ERRORS as error:
        raise Rejected("bad-alert", f"not an alert: {fault(error)}") from error


def theft_alarm(alert: Alert, arrived_at: datetime) -> TheftAlarm:
    """The alarm that the alert raises, at its arrival if the vehicle's clock makes no sense.

    Raises `Rejected` for a kind that is not known.
    """
    if alert.kind != THEFT:
        raise Rejected("unknown-alert", f"{alert.kind[:80]!r} is not an alert that is understood here; known: {THEFT}")
    earliest, latest = to_epoch_ms(arrived_at - _LONGEST_DELAY), to_epoch_ms(arrived_at + _CLOCK_SKEW)
    raised_at_ms = alert.at if earliest <= alert.at <= latest else to_epoch_ms(arrived_at)
    return TheftAlarm(alarm_id=alert.alarm_id, raised_at_ms=raised_at_ms)
