"""Every name and every setting of the app, in one place.

Names are constants because decorators need them at import; values come from the environment once, are checked once
and are immutable afterwards. tests/test_names.py holds decorators, host.json, the settings example and the local
cloud against this file.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shared.errors import Misconfigured

# Names of connection settings, as the triggers and our own clients use them.
VEHICLE_EVENTS_CONNECTION = "VehicleEvents"
SERVICE_BUS_CONNECTION = "ServiceBus"
STATE_STORAGE_CONNECTION = "StateStorage"
IOT_HUB_CONNECTION = "IoTHub"

# Event Hubs that the IoT Hub routes to, by the message property `type`.
TELEMETRY_HUB = "telemetry"
OTA_EVENTS_HUB = "ota-events"
CERTIFICATE_EVENTS_HUB = "certificate-events"
VEHICLE_ALERTS_HUB = "vehicle-alerts"
EVENT_HUBS = (TELEMETRY_HUB, OTA_EVENTS_HUB, CERTIFICATE_EVENTS_HUB, VEHICLE_ALERTS_HUB)

# Service Bus: one queue of commands per job, one topic of what has happened.
TRIP_COMMANDS = "trip-commands"
OTA_COMMANDS = "ota-commands"
CERTIFICATE_COMMANDS = "certificate-commands"
NOTIFICATION_COMMANDS = "notification-commands"
QUEUES = (TRIP_COMMANDS, OTA_COMMANDS, CERTIFICATE_COMMANDS, NOTIFICATION_COMMANDS)
DOMAIN_EVENTS = "domain-events"
NOTIFICATIONS_SUBSCRIPTION = "notifications"
TOPICS = {DOMAIN_EVENTS: (NOTIFICATIONS_SUBSCRIPTION,)}

# What messages are parked under: the hub, queue or topic that they came from.
PARKING_SOURCES = (*EVENT_HUBS, *QUEUES, DOMAIN_EVENTS)

# Tables and blob containers.
VEHICLES_TABLE = "Vehicles"
PARKED_TABLE = "Parked"
OPEN_TRIPS_TABLE = "OpenTrips"
TRIPS_TABLE = "Trips"
CHARGING_SESSIONS_TABLE = "ChargingSessions"
TRIP_ROLLUPS_TABLE = "TripRollups"
FLEET_TOTALS_TABLE = "FleetTotals"
CAMPAIGNS_TABLE = "Campaigns"
CERTIFICATES_TABLE = "Certificates"
NOTIFICATIONS_TABLE = "Notifications"
TABLES = (
    VEHICLES_TABLE,
    PARKED_TABLE,
    OPEN_TRIPS_TABLE,
    TRIPS_TABLE,
    CHARGING_SESSIONS_TABLE,
    TRIP_ROLLUPS_TABLE,
    FLEET_TOTALS_TABLE,
    CAMPAIGNS_TABLE,
    CERTIFICATES_TABLE,
    NOTIFICATIONS_TABLE,
)
ARTIFACTS_CONTAINER = "artifacts"
PARKED_CONTAINER = "parked"
CONTAINERS = (ARTIFACTS_CONTAINER, PARKED_CONTAINER)

# Timers: NCRONTAB expressions (six fields, UTC), so that operators can pace them without a deployment.
TRIP_SWEEP_SCHEDULE = "TRIP_SWEEP_SCHEDULE"
TRIP_RETENTION_SCHEDULE = "TRIP_RETENTION_SCHEDULE"
PARKED_RETENTION_SCHEDULE = "PARKED_RETENTION_SCHEDULE"
TRIP_ROLLUP_SCHEDULE = "TRIP_ROLLUP_SCHEDULE"
CERTIFICATE_SCAN_SCHEDULE = "CERTIFICATE_SCAN_SCHEDULE"
SCHEDULES = (
    TRIP_SWEEP_SCHEDULE,
    TRIP_RETENTION_SCHEDULE,
    PARKED_RETENTION_SCHEDULE,
    TRIP_ROLLUP_SCHEDULE,
    CERTIFICATE_SCAN_SCHEDULE,
)

# What is kept of a person's driving is kept for a time (GDPR Art. 5(1)(e)), so there is no value for "for ever". Not
# less than a week: until then late data may still revise a trip, and would bring it back.
RETENTION_DAYS = (7, 3660)

# For triggers whose input would be passed over otherwise: the Functions host repeats the invocation until it succeeds.
RETRY_FOR_EVER: dict[str, Any] = {
    "strategy": "exponential_backoff",
    "max_retry_count": "-1",
    "minimum_interval": "00:00:01",
    "maximum_interval": "00:01:00",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated configuration of one instance. Times in seconds or days, as the names say."""

    # trips
    trip_silence_s: int  # silence without displacement that ends a trip
    trip_flicker_s: int  # an ignition that is off for so long ends the trip
    trip_close_after_s: int  # no message for so long: the car sleeps, its open trip is over
    trip_lateness_s: int  # how long a finished trip waits for messages that are still missing
    trip_sample_max_age_days: int  # what was measured longer before it arrived has a wrong clock
    trip_retention_days: int  # trips and charging sessions are kept so long after they began
    trip_position_retention_days: int  # and where they went so long
    trip_parameters: str  # what differs between brands, models and markets: docs/trips.md
    # ota
    artifact_url_valid_s: int  # a delegation key, and so a link, lives seven days at most
    # certificates
    issuing_ca_certificate_file: Path
    issuing_ca_key_file: Path
    certificate_validity_days: int
    certificate_renew_before_days: int
    # notifications
    smtp_host: str
    smtp_port: int
    smtp_security: str  # none, starttls or tls
    smtp_username: str | None
    smtp_password: str | None
    mail_sender: str
    default_language: str
    # all jobs
    parked_retention_days: int  # messages that were set aside are kept so long after they arrived
    command_attempts: int  # after so many tries a command is parked
    command_retry_s: float  # pause before the first retry, doubled for each further one

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> "Settings":
        """Raises `Misconfigured`, naming the setting, if one is absent or out of its range."""
        read = _Reader(values)
        return cls(
            trip_silence_s=read.integer("TRIP_SILENCE_S", 120, 1, 86_400),
            trip_flicker_s=read.integer("TRIP_FLICKER_S", 30, 1, 3600),
            trip_close_after_s=read.integer("TRIP_CLOSE_AFTER_S", 900, 1, 86_400),
            trip_lateness_s=read.integer("TRIP_LATENESS_S", 3600, 0, 72 * 3600),
            trip_sample_max_age_days=read.integer("TRIP_SAMPLE_MAX_AGE_DAYS", 30, 3, 36_525),
            trip_retention_days=read.integer("TRIP_RETENTION_DAYS", 1096, *RETENTION_DAYS),
            trip_position_retention_days=read.integer("TRIP_POSITION_RETENTION_DAYS", 90, *RETENTION_DAYS),
            trip_parameters=values.get("TRIP_PARAMETERS") or "{}",
            artifact_url_valid_s=read.integer("ARTIFACT_URL_VALID_S", 6 * 86_400, 60, 6 * 86_400),
            issuing_ca_certificate_file=Path(read.text("ISSUING_CA_CERTIFICATE_FILE")),
            issuing_ca_key_file=Path(read.text("ISSUING_CA_KEY_FILE")),
            certificate_validity_days=read.integer("CERTIFICATE_VALIDITY_DAYS", 90, 1, 825),
            certificate_renew_before_days=read.integer("CERTIFICATE_RENEW_BEFORE_DAYS", 30, 1, 365),
            smtp_host=read.text("SMTP_HOST"),
            smtp_port=read.integer("SMTP_PORT", 587, 1, 65_535),
            smtp_security=read.one_of("SMTP_SECURITY", "starttls", ("none", "starttls", "tls")),
            smtp_username=values.get("SMTP_USERNAME") or None,
            smtp_password=values.get("SMTP_PASSWORD") or None,
            mail_sender=read.text("MAIL_SENDER"),
            default_language=read.one_of("DEFAULT_LANGUAGE", "en", ("de", "en")),
            parked_retention_days=read.integer("PARKED_RETENTION_DAYS", 30, 1, 365),
            command_attempts=read.integer("COMMAND_ATTEMPTS", 20, 1, 100),
            command_retry_s=read.number("COMMAND_RETRY_S", 2.0, 0.01, 3600.0),
        )


class _Reader:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name) or default
        if value is None:
            raise Misconfigured(f"setting {name} is missing")
        return value

    def number(self, name: str, default: float, lowest: float, highest: float) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            raise Misconfigured(f"setting {name} is {text!r}, not a number") from None
        if not lowest <= value <= highest:
            raise Misconfigured(f"setting {name} is {text}, outside {lowest}…{highest}")
        return value

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        value = self.number(name, default, lowest, highest)
        if value != int(value):
            raise Misconfigured(f"setting {name} is {value}, not a whole number")
        return int(value)

    def one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise Misconfigured(f"setting {name} is {value!r}, not one of {', '.join(allowed)}")
        return value


@cache
def settings() -> Settings:
    """The settings of this process, read from the environment at first use. Raises `Misconfigured`."""
    return Settings.from_mapping(os.environ)


def connection(name: str) -> str:
    """The connection string of a connection setting. Raises `Misconfigured` if it is missing."""
    value = os.environ.get(name)
    if not value:
        raise Misconfigured(f"connection setting {name} is missing")
    return value
