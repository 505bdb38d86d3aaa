"""Raw payloads for each function of the deployed app, good and bad ones in one batch where there are batches."""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from localcloud.host.decoding import (
    Event,
    Message,
    Request,
    TriggerInput,
    event_batch,
    http_request,
    single_message,
    timer_info,
)
from shared import settings
from shared.clock import to_epoch_ms
from shared.messaging import contracts
from shared.messaging.contracts import Artifact, CloseTrip, EnrolCertificate, SetRecipient, StartCampaign, TripCompleted
from shared.messaging.envelope import Envelope
from tests.host.payloads import MOMENT, PARTITION, iothub_event
from tests.telemetry import packed

CAR, OTHER_CAR = "car-7", "car-8"
NOBODY = "nobody"
ARTIFACT, FIRMWARE = "one.bin", b"firmware" * 1000
CERTIFICATE_FILE = "ENROLLED_CERTIFICATE_FILE"
"""The environment variable that says where the certificate (PEM) of `CAR` lies."""

_MOMENT_MS = to_epoch_ms(MOMENT)
_NESTED = b'{"v": 1, "extra": ' + b"[" * 1_000_000


def inputs() -> list[tuple[str, TriggerInput]]:
    """Function by function, in an order in which each finds what it needs."""
    return [
        ("operations_parked_retention", _timer()),
        ("trips_telemetry", _events((CAR, _drive(0)), *_bad_telemetry(), (CAR, _drive(1)))),
        ("trips_commands", _command(CloseTrip(vehicle_id=CAR))),
        ("trips_commands", _unknown()),
        ("trips_sweep", _timer()),
        ("trips_retention", _timer()),
        ("trips_export", _of_vehicle("GET", "trips/export", format="json")),
        ("trips_export", _of_vehicle("GET", "trips/export", format="kml")),
        ("trips_erasure", _of_vehicle("DELETE", "trips", request_id="please-1")),
        ("trips_rollup", _timer()),
        ("ota_commands", _command(_campaign("spring", ARTIFACT))),
        ("ota_commands", _command(_campaign("winter", "none.bin"))),
        ("ota_commands", _unknown()),
        ("ota_events", _events((CAR, _report("autumn")), (CAR, b"done"), (CAR, _report("spring")), (CAR, _NESTED))),
        ("certificates_commands", _command(_enrolment())),
        ("certificates_commands", _unknown()),
        ("certificates_events", _events((CAR, _csr()), (OTHER_CAR, _csr()), (CAR, b"\xff"), (CAR, _NESTED))),
        ("certificates_scan", _timer()),
        ("notifications_commands", _command(_owner())),
        ("notifications_commands", _unknown()),
        ("notifications_domain_events", _command(_trip_completed())),
        ("notifications_domain_events", single_message(_message(b"hello", {}, "m-hello"), binary=True)),
        ("notifications_alerts", _events((CAR, _alert("theft")), (CAR, _alert("rain")), (OTHER_CAR, _alert("theft")))),
        ("operations_parked", _question("parked", source=settings.OTA_COMMANDS, limit="2")),
        ("operations_parked", _question("parked", source="nowhere")),
        ("operations_console", _question("console", source=settings.TRIP_COMMANDS)),
    ]


def _question(route: str, **query: str) -> TriggerInput:
    return http_request(Request("GET", f"http://localhost/api/{route}", query=query))


def _of_vehicle(method: str, route: str, **query: str) -> TriggerInput:
    url = f"http://localhost/api/vehicles/{CAR}/{route}"
    return http_request(Request(method, url, query=query, route_parameters={"vehicle_id": CAR}))


def _events(*sent: tuple[str, bytes]) -> TriggerInput:
    events = [_event(body, sender, number) for number, (sender, body) in enumerate(sent, 1)]
    return event_batch(events, PARTITION, binary=True, checkpointing=True)


def _event(body: bytes, sender: str, number: int) -> Event:
    if sender == NOBODY:
        return Event(body, number, str(number * 100), MOMENT)
    return iothub_event(body, sender, number)


def _drive(seq: int) -> bytes:
    """A minute at 36 km/h to the north."""
    samples = [
        {
            "t": _MOMENT_MS + 1000 * (second - 120),
            "lat": 48 + second * 10 / 111_195,
            "lon": 11,
            "speed_kmh": 36,
            "odo_km": 1000 + second / 100,
        }
        for second in range(60 * seq, 60 * seq + 60)
    ]
    return packed(samples, "boot", seq)


def _bad_telemetry() -> list[tuple[str, bytes]]:
    usable = {"t": _MOMENT_MS}
    return [
        (OTHER_CAR, b"no json"),
        (OTHER_CAR, b""),
        (OTHER_CAR, b'{"v": 1, "boot": "\xff"}'),
        (OTHER_CAR, packed([usable], "b", 0, vehicle_id=CAR)),
        (OTHER_CAR, packed([usable | {"lat": 200}], "b", 0)),
        (OTHER_CAR, packed([usable | {"lat": float("nan")}], "b", 1)),
        (OTHER_CAR, _NESTED),
        (NOBODY, packed([usable], "b", 0)),
    ]


def _campaign(campaign_id: str, blob: str) -> StartCampaign:
    artifact = Artifact(blob=blob, sha256="0" * 64, size_bytes=len(FIRMWARE))
    return StartCampaign(
        campaign_id=campaign_id, title="News", brand="Test", model="One", version="2.0.0", artifact=artifact
    )


def _report(campaign_id: str) -> bytes:
    return _json(v=1, campaign_id=campaign_id, version="2.0.0", status="downloading", at=_MOMENT_MS)


def _enrolment() -> EnrolCertificate:
    return EnrolCertificate(vehicle_id=CAR, certificate=Path(os.environ[CERTIFICATE_FILE]).read_text())


def _csr() -> bytes:
    return _json(v=1, kind="csr", rotation_id="none", csr="please")


def _owner() -> SetRecipient:
    return SetRecipient(vehicle_id=CAR, recipient_id="owner", name="Erika Beispiel", email="owner@example.com")


def _trip_completed() -> TripCompleted:
    return TripCompleted(
        trip_id="trip-1",
        vehicle_id=CAR,
        revision=1,
        started_at_ms=_MOMENT_MS,
        ended_at_ms=_MOMENT_MS + 60_000,
        distance_km=0.6,
        duration_s=60,
        idle_s=0,
    )


def _alert(kind: str) -> bytes:
    return _json(v=1, alarm_id="alarm", kind=kind, at=_MOMENT_MS)


def _command(command: contracts.Message) -> TriggerInput:
    message_id = f"m-{type(command).__name__}"
    envelope = contracts.to_envelope(command, message_id=message_id, source="/test", subject=CAR, time_ms=_MOMENT_MS)
    return _envelope(envelope)


def _unknown() -> TriggerInput:
    return _envelope(Envelope("m-unknown", "LaunchRocket", "/test", MOMENT, b"{}"))


def _envelope(envelope: Envelope) -> TriggerInput:
    return single_message(_message(envelope.data, envelope.properties(), envelope.id), binary=True)


def _message(body: bytes, properties: Mapping[str, Any], message_id: str) -> Message:
    return Message(body, message_id, 1, 1, MOMENT, MOMENT + timedelta(days=14), "", properties)


def _timer() -> TriggerInput:
    moment = MOMENT.isoformat()
    return timer_info(past_due=False, status={"Last": moment, "Next": moment, "LastUpdated": moment})


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()
