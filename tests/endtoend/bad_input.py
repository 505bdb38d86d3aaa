"""Bad input of every kind, each with the reason that a person is to read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from shared import settings
from tests.telemetry import packed

MQTT_BYTES = 250_000  # an IoT Hub takes 256 KB with the properties, a standard Service Bus 256 KB
EVENT_HUB_BYTES = 1_000_000  # of 1 MB with the properties
MOMENT_MS = 1_717_243_200_000  # 2024-06-01T12:00:00Z
_NO_UTF_8 = b"\xff\xfe\xfd"


@dataclass(frozen=True, slots=True)
class Bad:
    """A message, and what is to be said of it."""

    source: str  # Event Hub, queue or topic
    body: bytes
    code: str
    detail: str  # a regular expression for all of it


@dataclass(frozen=True, slots=True)
class BadMessage(Bad):
    """The same for Service Bus, where properties tell what a message is."""

    properties: Mapping[str, Any] = field(default_factory=dict)
    message_id: str | None = None


def from_vehicle(vehicle_id: str, victim: str, campaign_id: str, rotation_id: str) -> list[Bad]:
    """What one vehicle can send that is of no use, all through the IoT Hub. A rotation is offered to it."""
    return [
        *_telemetry(victim),
        *_reports(victim, campaign_id),
        *_certificates(victim, rotation_id),
        *_alerts(victim, vehicle_id),
    ]


def _telemetry(victim: str) -> Iterator[Bad]:
    def bad(body: bytes, code: str, detail: str) -> Bad:
        return Bad(settings.TELEMETRY_HUB, body, code, detail)

    def unreadable(body: bytes, detail: str) -> Bad:
        return bad(body, "bad-telemetry", detail)

    def unusable(detail: str, **sample: Any) -> Bad:
        return bad(telemetry({"t": MOMENT_MS} | sample), "no-usable-sample", f"sample 0: {detail}")

    yield unreadable(b"speed=50;lat=48.1", r"JSON is malformed: invalid character \(byte 0\)")
    yield unreadable(b"", "Input data was truncated")
    yield unreadable(telemetry({"t": "noon"}), r"Expected `int`, got `str` - at `\$\.t\[.*\]`")
    yield unreadable(telemetry({"t": MOMENT_MS, "lat": "north"}), r"Expected `float \| null`, got `str` - at .*lat.*`")
    yield unreadable(b'{"v": 1, "boot": 7, "seq": 0}', r"Expected `str`, got `int` - at `\$\.boot`")
    yield unreadable(b'{"v": 1}', "Object missing required field `boot`")
    yield unreadable(b"[1, 2, 3]", "Expected `object`, got `array`")
    yield unreadable(telemetry({"t": MOMENT_MS}, boot="../x"), r"Expected `str` matching .*`\$\.boot`")
    yield unreadable(telemetry({"t": MOMENT_MS}, t=[]), r"Expected `array` of length >= 1 - at `\$\.t`")
    yield unreadable(telemetry({"t": MOMENT_MS}, t=[0] * 601), r"Expected `array` of length <= 600 - at `\$\.t`")
    yield unreadable(telemetry({"t": MOMENT_MS}, t=[MOMENT_MS, 1, 1], lat=[48, 48]), ".*2 values for 3 samples.*")
    yield unreadable(_body(v=1, boot="junk", seq=0, samples=[{"t": MOMENT_MS}]), "Object missing required field `t`")
    yield unreadable(telemetry({"t": MOMENT_MS, "lat": float("nan")}), r"JSON is malformed: .*\(byte \d+\)")
    yield unreadable(telemetry({"t": MOMENT_MS, "lon": float("inf")}), r"JSON is malformed: .*\(byte \d+\)")
    yield unreadable(telemetry({"t": MOMENT_MS}).replace(b"0000]", b"9" * 5000 + b"]"), "Integer value out of range.*")
    yield unreadable(b'{"v": 1, "boot": "' + _NO_UTF_8 + b'"}', "(?i).*utf-8.*")
    yield unreadable(nested(MQTT_BYTES), "the JSON is nested too deeply")
    yield bad(_body(v=2, boot="junk", seq=0), "unknown-version", "version 2 of telemetry is not understood; known: 1")
    yield bad(telemetry({"t": MOMENT_MS}, vehicle_id=victim), "foreign-vehicle", ".* claims to be of another vehicle")
    yield unusable("time 1970-01-01T00:00:05Z is before 2015", t=5_000)
    yield unusable("time 2060-.* is more than 5 minutes after its arrival", t=2_850_000_000_000)
    yield unusable("lat(itude)? 200 is outside -90…90", lat=200, lon=11)
    yield unusable("lon(gitude)? -1555 is outside -180…180", lat=48, lon=-1555)


def _reports(victim: str, campaign_id: str) -> Iterator[Bad]:
    good = {"v": 1, "campaign_id": campaign_id, "version": "2.0.0", "status": "succeeded", "at": MOMENT_MS}

    def bad(body: bytes, code: str, detail: str) -> Bad:
        return Bad(settings.OTA_EVENTS_HUB, body, code, detail)

    yield bad(_body(**good | {"campaign_id": "winter"}), "unknown-campaign", "there is no campaign 'winter'")
    yield bad(_body(**good), "not-targeted", f"campaign '{campaign_id}' is not for this vehicle")
    yield bad(_body(**good | {"vehicle_id": victim}), "foreign-vehicle", ".* claims to be of another vehicle")
    yield bad(
        _body(**good | {"status": "levitating"}), "bad-report", "not a report on an update: .*levitating.*status`"
    )
    yield bad(b"installed it, I think", "bad-report", "not a report on an update: JSON is malformed: .*")
    yield bad(nested(MQTT_BYTES), "bad-report", "not a report on an update: the JSON is nested too deeply")


def _certificates(victim: str, rotation_id: str) -> Iterator[Bad]:
    """The bad CSR comes last, because it ends the rotation."""
    request = {"v": 1, "kind": "csr", "rotation_id": rotation_id, "csr": "please"}
    proof = {"v": 1, "kind": "proof", "rotation_id": rotation_id, "signature": "c2lnbmVk"}

    def bad(body: bytes, code: str, detail: str) -> Bad:
        return Bad(settings.CERTIFICATE_EVENTS_HUB, body, code, detail)

    unknown = "this vehicle has no such rotation, or a newer one"
    yield bad(_body(**request | {"rotation_id": "r-none"}), "unknown-rotation", unknown)
    yield bad(_body(**proof | {"rotation_id": "r-none"}), "unknown-rotation", unknown)
    yield bad(_body(**proof), "nothing-to-prove", "no certificate was issued in this rotation yet")
    yield bad(_body(**proof | {"vehicle_id": victim}), "foreign-vehicle", ".* claims to be of another vehicle")
    yield bad(_body(v=1, kind="wish"), "bad-report", "not a certificate report: .*wish.*")
    yield bad(b"BEGIN CERTIFICATE", "bad-report", "not a certificate report: JSON is malformed: .*")
    yield bad(nested(MQTT_BYTES), "bad-report", "not a certificate report: the JSON is nested too deeply")
    yield bad(_body(**request), "bad-csr", "the CSR cannot be read: ValueError")


def _alerts(victim: str, vehicle_id: str) -> Iterator[Bad]:
    alert = {"v": 1, "alarm_id": "a-1", "kind": "theft", "at": MOMENT_MS}

    def bad(body: bytes, code: str, detail: str) -> Bad:
        return Bad(settings.VEHICLE_ALERTS_HUB, body, code, detail)

    yield bad(_body(**alert | {"kind": "boredom"}), "unknown-alert", "'boredom' is not an alert .*; known: theft")
    yield bad(_body(**alert | {"vehicle_id": victim}), "foreign-vehicle", ".* claims to be of another vehicle")
    yield bad(
        _body(**alert | {"vehicle_id": vehicle_id}), "nobody-to-alarm", "a theft alarm of a vehicle that has no .*"
    )
    yield bad(b"help", "bad-alert", "not an alert: JSON is malformed: .*")
    yield bad(nested(MQTT_BYTES), "bad-alert", "not an alert: the JSON is nested too deeply")


def from_nowhere() -> Bad:
    """An event that did not come through the IoT Hub."""
    body = telemetry({"t": MOMENT_MS})
    return Bad(settings.TELEMETRY_HUB, body, "no-caller", "the IoT Hub did not stamp a device id on this message")


def largest_nesting() -> Bad:
    """More than a vehicle can send by MQTT."""
    return Bad(settings.TELEMETRY_HUB, nested(EVENT_HUB_BYTES), "bad-telemetry", "the JSON is nested too deeply")


def to_service_bus() -> Iterator[BadMessage]:
    """Commands and events that nobody understands."""
    known = {
        settings.TRIP_COMMANDS: "CloseTrip",
        settings.OTA_COMMANDS: "StartCampaign",
        settings.CERTIFICATE_COMMANDS: "EnrolCertificate",
        settings.NOTIFICATION_COMMANDS: "SetRecipient",
        settings.DOMAIN_EVENTS: "TripCompleted",
    }
    no_utf_8 = b'{"vehicle_id": "%b", "campaign_id": "%b", "trip_id": "%b"}' % (_NO_UTF_8, _NO_UTF_8, _NO_UTF_8)
    for source, kind in known.items():
        unknown = rf"'LaunchRocket' is not understood here; known: .*{kind}.*"
        yield _message(source, b"{}", "unknown-type", unknown, type="LaunchRocket")
        yield _message(source, no_utf_8, "bad-data", f"{kind}: the text is not UTF-8", type=kind)
        yield _message(source, nested(MQTT_BYTES), "bad-data", f"{kind}: the JSON is nested too deeply", type=kind)
        yield _message(source, b"<close/>", "bad-data", f"{kind}: JSON is malformed: .*", type=kind)
        yield _message(source, b"[]", "not-a-cloudevent", "specversion '0.3' is not 1.0", type=kind, specversion="0.3")
        # Neither has an id, so nothing but the broker's own number tells them apart.
        for body in (b"hello", b"anybody there?"):
            yield BadMessage(source, body, "not-a-cloudevent", "the CloudEvents attribute 'id' is missing")
    for body in (b"first", b"second"):
        missing = "the CloudEvents attribute 'id' is missing"
        yield BadMessage(settings.TRIP_COMMANDS, body, "not-a-cloudevent", missing, message_id="always-the-same")


def _message(source: str, body: bytes, code: str, detail: str, **attributes: str) -> BadMessage:
    message_id = uuid4().hex
    properties = {"specversion": "1.0", "id": message_id, "source": "/nobody", "time": "2024-06-01T12:00:00Z"}
    prefixed = {f"cloudEvents:{name}": value for name, value in (properties | attributes).items()}
    return BadMessage(source, body, code, detail, prefixed, message_id)


def telemetry(*samples: dict[str, Any], boot: str = "junk", **fields: Any) -> bytes:
    return packed(samples, boot, 0, **fields)


def nested(size_bytes: int) -> bytes:
    """Lists in lists, in a field that nobody knows."""
    return b'{"v": 1, "extra": ' + b"[" * (size_bytes - 18)


def _body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()
