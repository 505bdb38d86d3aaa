"""What the jobs say to each other and what may be asked of them: the only thing that they share.

Commands are imperative and go to one job's queue; events are in the past tense and go to the topic. The CloudEvents
type is the class name. New fields get defaults, old ones stay: a message may be read by older and newer code.
Times are epoch milliseconds, identifiers are pseudonymous; no message carries a VIN.
"""

from datetime import date
from typing import Annotated, TypeVar

import msgspec

from shared.clock import from_epoch_ms
from shared.errors import Rejected
from shared.messaging.bodies import BODY_ERRORS, fault
from shared.messaging.envelope import Envelope


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages between services."""


MessageT = TypeVar("MessageT", bound=Message)

# --- Events: topic `domain-events`


class TripCompleted(Message, frozen=True, kw_only=True):
    """A trip is over and all of its data has arrived. `TripRevised` follows if late data changes it."""

    trip_id: str
    vehicle_id: str
    revision: int
    started_at_ms: int
    ended_at_ms: int
    distance_km: float
    duration_s: float
    idle_s: float
    max_speed_kmh: float | None = None
    soc_start_pct: float | None = None
    soc_end_pct: float | None = None
    energy_kwh: float | None = None
    kwh_100km: float | None = None
    fuel_l: float | None = None
    l_100km: float | None = None
    co2_kg: float | None = None
    eco_score: int | None = None


class TripRevised(TripCompleted, frozen=True, kw_only=True):
    """A completed trip looks different after late data; `withdrawn` if it was merged into another."""

    withdrawn: bool = False


class ChargingCompleted(Message, frozen=True, kw_only=True):
    """A charging session is over. `energy_kwh` is what went into the battery; None where nobody measured it.

    `evidence` is `reported` by the vehicle, or `inferred` from a battery that was fuller after a silence: then the
    session lay somewhere between start and end.
    """

    session_id: str
    vehicle_id: str
    revision: int
    started_at_ms: int
    ended_at_ms: int
    soc_start_pct: float | None = None
    soc_end_pct: float | None = None
    energy_kwh: float | None = None
    evidence: str = "reported"


class ChargingRevised(ChargingCompleted, frozen=True, kw_only=True):
    """A charging session looks different after late data; `withdrawn` if there was none after all."""

    withdrawn: bool = False


class WeeklyDigestReady(Message, frozen=True, kw_only=True):
    """What a vehicle drove in the week (ISO 8601) from `monday` on, by its own clock: figures only, no places.

    Told once, after the week is over; trips that are found or revised later do not change it. `driving_s` includes
    `idle_s`. What is None was not measured. Shares are 0…1, the eco score is 0…100.
    """

    vehicle_id: str
    monday: date
    trips: int
    distance_km: float
    driving_s: float
    idle_s: float
    harsh_events: int = 0
    energy_kwh: float | None = None
    kwh_100km: float | None = None
    fuel_l: float | None = None
    l_100km: float | None = None
    co2_kg: float | None = None
    eco_score: float | None = None
    night_share: float | None = None


class UpdateAvailable(Message, frozen=True, kw_only=True):
    """An update was offered to a vehicle."""

    campaign_id: str
    vehicle_id: str
    version: str
    title: str


class UpdateFinished(Message, frozen=True, kw_only=True):
    """A vehicle's update reached its end; `reason` is set where it did not succeed."""

    campaign_id: str
    vehicle_id: str
    version: str
    succeeded: bool
    reason: str | None = None


class CampaignCompleted(Message, frozen=True, kw_only=True):
    """Every vehicle of a campaign has reached an end."""

    campaign_id: str
    targeted: int
    succeeded: int
    failed: int


class CertificateRotated(Message, frozen=True, kw_only=True):
    """A vehicle proved its new certificate and the old one is refused from now on."""

    vehicle_id: str
    rotation_id: str
    serial: str
    retired_serial: str | None = None


class VehicleErased(Message, frozen=True, kw_only=True):
    """A job keeps nothing any more of what arrived from or about a vehicle until `erased_at_ms`.

    The answer to the `EraseVehicle` with this `request_id`; `removed` says how many of what kind there were.
    """

    vehicle_id: str
    request_id: str
    job: str
    erased_at_ms: int
    removed: dict[str, int] = {}


# --- Commands: one queue per job


class EraseVehicle(Message, frozen=True, kw_only=True):
    """Any job's queue that takes it (`trip-commands`): erase what the job keeps about a vehicle (GDPR Art. 17).

    Each job answers with a `VehicleErased`. The vehicle stays what it is: what it sends from then on begins anew.
    """

    vehicle_id: str
    request_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")]


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file to install: blob name in the artifacts container, SHA-256 in hex, size in bytes."""

    blob: str
    sha256: str
    size_bytes: int


class StartCampaign(Message, frozen=True, kw_only=True):
    """`ota-commands`: bring `version` to every registered vehicle of this brand and model."""

    campaign_id: str
    title: str
    brand: str
    model: str
    version: str
    artifact: Artifact


class RotateCertificates(Message, frozen=True, kw_only=True):
    """`certificate-commands`: offer a rotation to what is due, now rather than at the next timer."""


class EnrolCertificate(Message, frozen=True, kw_only=True):
    """`certificate-commands`: the vehicle left the factory or the workshop with this certificate (PEM).

    Of several for one vehicle the one that was sent last holds; the same again changes nothing.
    """

    vehicle_id: str
    certificate: str


class SetRecipient(Message, frozen=True, kw_only=True):
    """`notification-commands`: who is told about a vehicle, how and in which language.

    `muted` names event categories (`trip`, `digest`, `update`) that the person does not want by e-mail or in the car;
    security alarms cannot be muted.
    """

    vehicle_id: str
    recipient_id: str
    name: str
    email: str | None = None
    language: str = "en"
    time_zone: str = "UTC"
    in_car: bool = True
    muted: tuple[str, ...] = ()


class CloseTrip(Message, frozen=True, kw_only=True):
    """`trip-commands`: no more telemetry will come (recording over, car decommissioned): end what is open."""

    vehicle_id: str


class SetPrivacyMode(Message, frozen=True, kw_only=True):
    """`trip-commands`: whether the positions of a vehicle may be stored, from now on. Trips are made all the same."""

    vehicle_id: str
    is_private: bool


class ResetLongTermMemory(Message, frozen=True, kw_only=True):
    """`trip-commands`: the driver wants the trip computer's long-term memory to begin when this was sent."""

    vehicle_id: str


def to_envelope(
    message: Message,
    *,
    message_id: str,
    source: str,
    subject: str,
    time_ms: int,
) -> Envelope:
    """The message, ready to be sent. `message_id` must be the same whenever the same fact is sent again."""
    return Envelope(
        id=message_id,
        type=type(message).__name__,
        source=source,
        subject=subject,
        time=from_epoch_ms(time_ms),
        data=msgspec.json.encode(message),
    )


def decode(envelope: Envelope, *accepted: type[MessageT]) -> MessageT:
    """The message in an envelope. Raises `Rejected` for a type that is not accepted or data that does not fit."""
    for kind in accepted:
        if kind.__name__ == envelope.type:
            try:
                return msgspec.json.decode(envelope.data, type=kind)
            except BODY_ERRORS as error:
                raise Rejected("bad-data", f"{envelope.type}: {fault(error)}") from error
    known = ", ".join(kind.__name__ for kind in accepted)
    raise Rejected("unknown-type", f"{envelope.type!r} is not understood here; known: {known}")
