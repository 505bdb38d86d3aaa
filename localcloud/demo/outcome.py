"""What came of the demo: what the cloud says, held against what the vehicles and the owners' mailboxes really saw."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from typing import Any

from localcloud.app_client import AppClient
from localcloud.demo.campaign import CAMPAIGN_ID, VERSION
from localcloud.demo.fleet import Participant
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.identity import thumbprint
from localcloud.fleet.logbook import Drive
from shared import settings
from shared.clock import to_epoch_ms

DISTANCE_ERROR_PCT = 2.0
END_ERROR_S = 40.0


@dataclass(slots=True)
class Telemetry:
    messages: int = 0
    samples: int = 0
    duplicated: int = 0
    reordered: int = 0


@dataclass(slots=True)
class Trips:
    driven: int = 0
    summarised: int = 0
    distance_error_pct_max: float = 0.0


@dataclass(slots=True)
class Ota:
    targeted: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass(slots=True)
class Certificates:
    due: int = 0
    rotated: int = 0
    locked_out: int = 0


@dataclass(slots=True)
class Notifications:
    due: int = 0
    delivered: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class Outcome:
    """The figures of `demo.json`, and in words what did not hold."""

    vehicles: int
    telemetry: Telemetry = field(default_factory=Telemetry)
    trips: Trips = field(default_factory=Trips)
    ota: Ota = field(default_factory=Ota)
    certificates: Certificates = field(default_factory=Certificates)
    notifications: Notifications = field(default_factory=Notifications)
    parked: int = 0
    lost: int = 0
    elapsed_s: float = 0.0
    complaints: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.complaints

    def as_json(self) -> dict[str, Any]:
        figures = asdict(self)
        del figures["complaints"]
        figures["elapsed_s"] = round(self.elapsed_s, 1)
        return {**figures, "ok": self.ok}


async def observe(
    app: AppClient, hub: HubService, fleet: Sequence[Participant], mails: Sequence[EmailMessage]
) -> Outcome:
    """The state of things now; complaints are about whatever is not finished and right."""
    outcome = Outcome(len(fleet))
    for participant in fleet:
        _count_telemetry(outcome.telemetry, participant)
        await _check_trips(outcome, app, participant)
        await _check_certificate(outcome, hub, participant)
        _check_notifications(outcome, participant, mails)
    await _check_campaign(outcome, app, fleet)
    for row in await app.parked():
        outcome.parked += 1
        outcome.complaints.append(f"parked from {row['PartitionKey']}: {row['detail']}")
    return outcome


def _count_telemetry(telemetry: Telemetry, participant: Participant) -> None:
    log = participant.vehicle.log
    telemetry.messages += log.messages
    telemetry.samples += log.samples
    telemetry.duplicated += log.duplicated
    telemetry.reordered += log.reordered


async def _check_trips(outcome: Outcome, app: AppClient, participant: Participant) -> None:
    drives, stored = participant.vehicle.log.drives, await app.trips(participant.vehicle_id)
    outcome.trips.driven += len(participant.drives)
    for drive in drives:
        summaries = [row for row in stored if _is_of(row, drive)]
        if len(summaries) != 1:
            continue
        outcome.trips.summarised += 1
        used = summaries[0]["samples"] + sum(json.loads(summaries[0]["dropped"]).values())
        if used != drive.samples:
            outcome.lost += abs(drive.samples - used)
            outcome.complaints.append(f"{participant.vehicle_id}: {used} of {drive.samples} samples are in the trip")
        assert drive.distance_km
        error_pct = abs(summaries[0]["distance_km"] / drive.distance_km - 1) * 100
        outcome.trips.distance_error_pct_max = max(outcome.trips.distance_error_pct_max, round(error_pct, 3))
        if error_pct > DISTANCE_ERROR_PCT:
            outcome.complaints.append(f"{participant.vehicle_id}: a distance is {error_pct:.1f} % off")
    if len(stored) != len(participant.drives):
        outcome.lost += max(0, len(participant.drives) - len(stored))
        outcome.complaints.append(
            f"{participant.vehicle_id}: {len(participant.drives)} drives, but {len(stored)} trips are stored"
        )


def _is_of(row: Mapping[str, Any], drive: Drive) -> bool:
    begin_s: float = abs(row["started_at_ms"] - to_epoch_ms(drive.started_at)) / 1000
    end_s: float = abs(row["ended_at_ms"] - to_epoch_ms(drive.ended_at)) / 1000
    return begin_s <= END_ERROR_S and end_s <= END_ERROR_S


async def _check_campaign(outcome: Outcome, app: AppClient, fleet: Sequence[Participant]) -> None:
    """The campaign's own count, and the version that each vehicle runs."""
    row = next(
        (row for row in await app.rows(settings.CAMPAIGNS_TABLE, CAMPAIGN_ID) if row["RowKey"] == "campaign"), {}
    )
    counts = (row.get("targeted", 0), row.get("succeeded", 0), row.get("failed", 0))
    outcome.ota = Ota(*counts)
    if row.get("status") != "completed":
        outcome.lost += len(fleet) - outcome.ota.succeeded - outcome.ota.failed
        outcome.complaints.append("the campaign is not complete")
    if counts != (len(fleet), len(fleet), 0):
        outcome.complaints.append(
            f"the campaign counts {counts[0]} targeted, {counts[1]} succeeded, {counts[2]} failed"
        )
    for participant in fleet:
        if (version := participant.vehicle.software_version) != VERSION:
            outcome.complaints.append(f"{participant.vehicle_id}: runs {version}")


async def _check_certificate(outcome: Outcome, hub: HubService, participant: Participant) -> None:
    """The vehicle uses a new certificate, and the hub lets it in with that one and no other."""
    if not participant.rotation_due:
        return
    outcome.certificates.due += 1
    device = await hub.get_device(participant.vehicle_id)
    allowed = device["authentication"]["x509Thumbprint"]
    in_use = participant.garage.credentials()[0]
    is_new = in_use.serial == participant.vehicle.certificate_serial != participant.factory_identity.serial
    is_only_one = set(filter(None, allowed.values())) == {thumbprint(in_use.certificate)}
    twin = await hub.get_twin(participant.vehicle_id)
    phase = (twin["properties"]["desired"].get("certificate") or {}).get("phase")
    if is_new and is_only_one and phase == "completed":
        outcome.certificates.rotated += 1
    else:
        outcome.complaints.append(f"{participant.vehicle_id}: the certificate is not rotated (phase: {phase})")


def _check_notifications(outcome: Outcome, participant: Participant, mails: Sequence[EmailMessage]) -> None:
    """One mail per trip (unless muted), update and alarm, one in-car message per update; each once."""
    owner, log = participant.owner, participant.vehicle.log
    expected_mails = (0 if "trip" in owner.muted else len(participant.drives)) + 1 + participant.is_stolen
    received = [mail for mail in mails if str(owner.email) in str(mail["To"])]
    for what, expected, got in (
        ("mails", expected_mails, len(received)),
        ("messages in the car", 1, len(log.shown)),
    ):
        outcome.notifications.due += expected
        outcome.notifications.delivered += min(expected, got)
        if got != expected:
            outcome.lost += max(0, expected - got)
            outcome.complaints.append(f"{owner.recipient_id}: {got} {what} instead of {expected}")
    copies = sum(count - 1 for count in Counter(mail["Message-ID"] for mail in received).values())
    surplus = max(0, len(received) - expected_mails, copies) + max(0, len(log.shown) - 1)
    outcome.notifications.duplicates += surplus
