"""Who is told what, and how: the rules, without asking anyone.

| category   | e-mail   | in the car | may be muted |
|------------|----------|------------|--------------|
| `trip`     | for 24 h | no         | yes          |
| `digest`   | for 3 d  | no         | yes          |
| `update`   | for 3 d  | for 1 h    | yes          |
| `security` | for 3 h  | no         | no           |

A trip's summary or a week's digest in the car would distract from the next trip. A theft alarm in the car would be
read by the thief. The times say how long a message is of use, counted from when the cloud came to know what it tells;
after that it is not sent any more.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from functions.notifications.alerts import TheftAlarm
from shared.errors import Rejected
from shared.identity.vehicle import check_vehicle_id
from shared.messaging.contracts import TripCompleted, UpdateAvailable, WeeklyDigestReady

Facts = TripCompleted | WeeklyDigestReady | UpdateAvailable | TheftAlarm


class Category(StrEnum):
    """What a notification is about, as people choose by it."""

    TRIP = "trip"
    DIGEST = "digest"
    UPDATE = "update"
    SECURITY = "security"


class Channel(StrEnum):
    """A way to a person."""

    EMAIL = "email"
    IN_CAR = "in_car"


MUTABLE = frozenset({Category.TRIP, Category.DIGEST, Category.UPDATE})
LONGEST_TEXT = 500  # more is no title
LAST_MS = 9_999_999_999_999  # in the year 2286
LAST_YEAR = 2286
LARGEST_QUANTITY = 1e12  # of what is told of driving; far larger ones have no written form
_OF_A_TRIP = ("distance_km", "duration_s", "idle_s", "soc_start_pct", "soc_end_pct", "fuel_l")
_OF_A_WEEK = (
    *("trips", "distance_km", "driving_s", "idle_s", "eco_score", "co2_kg"),
    *("energy_kwh", "kwh_100km", "fuel_l", "l_100km"),
)
OF_USE_FOR: Mapping[Category, Mapping[Channel, timedelta]] = {
    Category.TRIP: {Channel.EMAIL: timedelta(hours=24)},
    Category.DIGEST: {Channel.EMAIL: timedelta(days=3)},
    Category.UPDATE: {Channel.EMAIL: timedelta(days=3), Channel.IN_CAR: timedelta(hours=1)},
    Category.SECURITY: {Channel.EMAIL: timedelta(hours=3)},
}


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """A person who is told about a vehicle, as set by the command that was sent at `set_at_ms`."""

    vehicle_id: str
    recipient_id: str
    name: str
    email: str | None
    language: str
    time_zone: str
    in_car: bool
    muted: tuple[Category, ...]
    set_at_ms: int

    def takes(self, category: Category, channel: Channel) -> bool:
        """Whether the person can be reached and wants to be, by this channel and about this."""
        if channel not in OF_USE_FOR[category] or (category in self.muted and category in MUTABLE):
            return False
        return self.in_car if channel is Channel.IN_CAR else self.email is not None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be told since `known_at`. The id is the same whenever the same thing is heard again."""

    notification_id: str
    vehicle_id: str
    category: Category
    facts: Facts
    known_at: datetime

    def expires_at(self, channel: Channel) -> datetime:
        """From when on it is of no use by this channel."""
        return self.known_at + OF_USE_FOR[self.category][channel]


def notification(vehicle_id: str, facts: Facts, known_at: datetime) -> Notification:
    """The notification of these facts. Raises `Rejected` for facts that there cannot be."""
    match facts:
        case TripCompleted(trip_id=key):
            category = Category.TRIP
            _check_time("TripCompleted: started_at_ms", facts.started_at_ms)
            _check_time("TripCompleted: ended_at_ms", facts.ended_at_ms)
            _check_quantities(facts, _OF_A_TRIP)
        case WeeklyDigestReady(monday=monday):
            category, key = Category.DIGEST, str(monday)
            if monday.year >= LAST_YEAR:
                raise Rejected("bad-data", "WeeklyDigestReady: monday is no day of this age")
            _check_quantities(facts, _OF_A_WEEK)
        case UpdateAvailable(campaign_id=key):
            category = Category.UPDATE
            _check_text("UpdateAvailable: title", facts.title)
            _check_text("UpdateAvailable: version", facts.version)
        case TheftAlarm(alarm_id=key):
            category = Category.SECURITY
    # Hashed, because the key is chosen by others and need not fit into a table key.
    digest = hashlib.sha256(f"{check_vehicle_id(vehicle_id)}|{key}".encode()).hexdigest()[:32]
    return Notification(
        notification_id=f"{category}-{digest}",
        vehicle_id=vehicle_id,
        category=category,
        facts=facts,
        known_at=known_at,
    )


def decide(category: Category, recipients: Iterable[Recipient]) -> list[tuple[Recipient, Channel]]:
    """Who of a vehicle's recipients is told, by which channels; by a channel each person at most once.

    A vehicle has one screen, so it shows a message once, in the language of the first who wants it there, by id.
    """
    in_order = sorted(recipients, key=lambda recipient: recipient.recipient_id)
    chosen = list[tuple[Recipient, Channel]]()
    for channel in OF_USE_FOR[category]:
        takers = [(recipient, channel) for recipient in in_order if recipient.takes(category, channel)]
        chosen += takers[:1] if channel is Channel.IN_CAR else takers
    return chosen


def _check_time(field: str, epoch_ms: int) -> None:
    if not 0 <= epoch_ms <= LAST_MS:
        raise Rejected("bad-data", f"{field} is no time of this age")


def _check_quantities(facts: TripCompleted | WeeklyDigestReady, fields: Iterable[str]) -> None:
    for field in fields:
        value = getattr(facts, field)
        if value is not None and not abs(value) <= LARGEST_QUANTITY:
            raise Rejected("bad-data", f"{type(facts).__name__}: {field} is no quantity of driving")


def _check_text(field: str, text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise Rejected("bad-data", f"{field} is longer than {LONGEST_TEXT} characters")
