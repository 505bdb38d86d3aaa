"""Facts, people and deliveries to try the rules with."""

from datetime import UTC, date, datetime
from typing import Any

from functions.notifications import decision, delivery
from functions.notifications.alerts import TheftAlarm
from functions.notifications.decision import Channel, Facts, Recipient
from functions.notifications.delivery import Delivery
from shared.messaging.contracts import TripCompleted, UpdateAvailable, WeeklyDigestReady

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DEPARTURE_MS, ARRIVAL_MS = 1_625_056_320_000, 1_625_057_700_000  # 2021-06-30, 12:32 and 12:55 UTC


def trip(**changes: Any) -> TripCompleted:
    known: dict[str, Any] = {
        "trip_id": "trip-1",
        "vehicle_id": "car-1",
        "revision": 1,
        "started_at_ms": DEPARTURE_MS,
        "ended_at_ms": ARRIVAL_MS,
        "distance_km": 12.44,
        "duration_s": 1380.0,
        "idle_s": 190.0,
    }
    return TripCompleted(**known | changes)


def electric_trip() -> TripCompleted:
    return trip(soc_start_pct=81.2, soc_end_pct=76.4)


def week(**changes: Any) -> WeeklyDigestReady:
    """Of a vehicle of which no more is known than that it was driven."""
    known: dict[str, Any] = {
        "vehicle_id": "car-1",
        "monday": date(2026, 4, 27),
        "trips": 12,
        "distance_km": 182.44,
        "driving_s": 18_600.0,
        "idle_s": 0.0,
    }
    return WeeklyDigestReady(**known | changes)


def hybrid_week() -> WeeklyDigestReady:
    """Of a vehicle of which all is known."""
    return week(
        idle_s=1200.0,
        harsh_events=7,
        energy_kwh=30.22,
        kwh_100km=16.56,
        fuel_l=4.1,
        l_100km=2.25,
        co2_kg=9.5,
        eco_score=77.6,
        night_share=0.12,
    )


def update(**changes: Any) -> UpdateAvailable:
    known = {"campaign_id": "spring", "vehicle_id": "car-1", "version": "2.0.0", "title": "Better maps"}
    return UpdateAvailable(**known | changes)


def theft() -> TheftAlarm:
    return TheftAlarm(alarm_id="alarm-1", raised_at_ms=DEPARTURE_MS)


def person(recipient_id: str = "anna", **changes: Any) -> Recipient:
    known: dict[str, Any] = {
        "vehicle_id": "car-1",
        "recipient_id": recipient_id,
        "name": "Anna",
        "email": f"{recipient_id}@example.com",
        "language": "de",
        "time_zone": "Europe/Berlin",
        "in_car": True,
        "muted": (),
        "set_at_ms": 1,
    }
    return Recipient(**known | changes)


def begun(facts: Facts | None = None, channel: Channel = Channel.EMAIL, known_at: datetime = NOW) -> Delivery:
    """A delivery that has just begun."""
    told = decision.notification("car-1", facts or trip(), known_at)
    return delivery.queued(told, "anna", channel, NOW)
