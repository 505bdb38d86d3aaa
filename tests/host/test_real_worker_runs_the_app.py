"""Every function of the deployed app, fired by Microsoft's worker library and by the local host: the same effects."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from cryptography.hazmat.primitives.serialization import Encoding

from localcloud.app_client import AppClient
from localcloud.configuration import load
from localcloud.fleet.identity import new_key
from localcloud.layout import Layout
from localcloud.pki import ensure_pki, issue_device_certificate
from localcloud.services import LocalCloud
from shared import settings
from shared.clock import to_epoch_ms, utc_now
from tests.host import app_payloads
from tests.host.app_payloads import CAR, CERTIFICATE_FILE, OTHER_CAR
from tests.host.real_worker import ROOT, Line, fire_locally, fire_with_the_worker

pytestmark = pytest.mark.timeout(600)  # installing the worker's packages for the first time takes a while

RECENT_MS = 2 * 86_400_000  # a delivery expires a day from now
LAST_MS = 9_999_999_999_999  # row keys that sort the newest first hold the time up to this one


class Effects(msgspec.Struct):
    """What can be seen from outside after all functions were fired."""

    told: list[Line]
    tables: dict[str, list[Mapping[str, Any]]]
    messages: dict[str, list[tuple[str, Any]]]  # by queue or topic: type and data


@asynccontextmanager
async def storage_and_broker(directory: Path) -> AsyncIterator[Layout]:
    """A cloud that nobody has used, with the artifact of the campaign."""
    cloud = LocalCloud(Layout(directory).on_free_ports())
    try:
        await asyncio.gather(cloud.start_storage(), cloud.start_broker())
        async with AppClient(cloud.layout) as app:
            await app.upload(settings.ARTIFACTS_CONTAINER, app_payloads.ARTIFACT, app_payloads.FIRMWARE)
        yield cloud.layout
    finally:
        await cloud.stop()


async def effects_in(directory: Path, extra: Mapping[str, str], worker: Path | None) -> Effects:
    """Fires the app in a cloud of its own: with Microsoft's library if there is an interpreter for it, else locally."""
    async with storage_and_broker(directory) as layout:
        environment = {**load().settings_for(layout), **extra}
        if worker is None:
            told = await fire_locally([ROOT], environment)
        else:
            told = await fire_with_the_worker(worker, [ROOT], environment)
        tables, messages = await asyncio.gather(stored(layout), sent(layout))
        return Effects(told, tables, messages)


async def stored(layout: Layout) -> dict[str, list[Mapping[str, Any]]]:
    async with AppClient(layout) as app:
        return {table: await app.rows(table) for table in settings.TABLES}


async def sent(layout: Layout) -> dict[str, list[tuple[str, Any]]]:
    async with ServiceBusClient.from_connection_string(layout.amqp_connection) as client:
        receivers = {queue: client.get_queue_receiver(queue) for queue in settings.QUEUES}
        topic = settings.DOMAIN_EVENTS
        receivers[topic] = client.get_subscription_receiver(topic, settings.NOTIFICATIONS_SUBSCRIPTION)
        found = await asyncio.gather(*map(peek, receivers.values()))
        return dict(zip(receivers, found, strict=True))


async def peek(receiver: ServiceBusReceiver) -> list[tuple[str, Any]]:
    async with receiver:
        messages = await receiver.peek_messages(100)
    return sorted((message.subject or "", str(message)) for message in messages)


@pytest.fixture(scope="module")
async def both(worker_python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Effects, Effects]:
    """By the local host, and by the real worker. The times of this very run are made the same."""
    directory, now = tmp_path_factory.mktemp("deployed-app"), utc_now()
    pki = ensure_pki(directory / "pki", ["localhost"])
    enrolled = directory / "enrolled.pem"
    certificate = issue_device_certificate(
        pki, CAR, new_key().public_key(), not_before=now - timedelta(hours=1), not_after=now + timedelta(days=90)
    )
    enrolled.write_bytes(certificate.public_bytes(Encoding.PEM))
    extra = {
        "ISSUING_CA_CERTIFICATE_FILE": str(pki.issuing),
        "ISSUING_CA_KEY_FILE": str(pki.issuing_key),
        CERTIFICATE_FILE: str(enrolled),
    }
    local, real = await asyncio.gather(
        effects_in(directory / "local", extra, None), effects_in(directory / "real", extra, worker_python)
    )
    return comparable(local, now), comparable(real, now)


def comparable(effects: Effects, since: datetime) -> Effects:
    """With every time since then written as `now`, wherever it stands, and compact encodings read."""
    since_ms = to_epoch_ms(since)

    def is_recent(moment_ms: int) -> bool:
        return since_ms <= moment_ms <= since_ms + RECENT_MS

    def in_text(found: re.Match[str]) -> str:
        number = int(found[0])
        return "now" if is_recent(number) or is_recent(LAST_MS - number) else found[0]

    def of(value: Any, name: str = "") -> Any:
        match value:
            case str():
                return re.sub(r"(?<!\d)\d{13}(?!\d)", in_text, value)
            case int() if is_recent(value):
                return "now"
            case bytes() if name in {"state", "recent"}:
                return of(msgspec.msgpack.decode(value))
            case list() | tuple():
                return [of(item) for item in value]
            case Mapping():
                return {key: of(item, key) for key, item in value.items()}
        return value

    return Effects(of(effects.told), of(effects.tables), of(effects.messages))


def parked(effects: Effects) -> dict[str, list[tuple[str, str, str | None, str]]]:
    """Position, code, sender and reason, by source."""
    found = defaultdict(list)
    for row in effects.tables[settings.PARKED_TABLE]:
        if row["PartitionKey"].startswith("~"):  # the index by vehicle
            continue
        found[row["PartitionKey"]].append((row["position"], row["code"], row.get("vehicle_id"), row["detail"]))
    return {source: sorted(rows) for source, rows in found.items()}


def events(effects: Effects) -> dict[str, Counter[str]]:
    return {name: Counter(kind for kind, _ in found) for name, found in effects.messages.items()}


async def test_the_real_worker_runs_every_function_of_the_deployed_app(both: tuple[Effects, Effects]) -> None:
    _, real = both
    indexed, *answers = real.told
    assert {answer.get("answered") for answer in answers} == set(indexed["indexed"]), answers


async def test_what_the_app_stores_and_sends_with_the_real_worker(both: tuple[Effects, Effects]) -> None:
    _, real = both
    (trip,) = real.tables[settings.TRIPS_TABLE]
    assert (trip["vehicle_id"], trip["samples"], trip["distance_km"]) == (CAR, 120, pytest.approx(1.19))
    (recent,) = [row["recent"] for row in real.tables[settings.OPEN_TRIPS_TABLE] if "recent" in row]
    assert [(boot, seq) for boot, seq, *_ in recent] == [("boot", 0), ("boot", 1)]
    assert [row["PartitionKey"] for row in real.tables[settings.CAMPAIGNS_TABLE]] == ["spring"]
    assert CAR in [row["RowKey"] for row in real.tables[settings.CERTIFICATES_TABLE]]
    told = [row["kind"] for row in real.tables[settings.NOTIFICATIONS_TABLE] if row["RowKey"].startswith("delivery")]
    assert sorted(told) == ["TheftAlarm", "TripCompleted"]
    assert events(real) == {
        settings.TRIP_COMMANDS: {
            "SweepPartition": 2,
            "RollUpPart": 16,
            "ForgetErasures": 1,
            "RemoveOld": 2,
            "EraseVehicle": 1,
        },
        settings.OTA_COMMANDS: {"AssignVehicles": 16},
        settings.CERTIFICATE_COMMANDS: {"ScanShards": 16},
        settings.NOTIFICATION_COMMANDS: {"Deliver": 2},
        settings.DOMAIN_EVENTS: {"TripCompleted": 1},
    }


async def test_what_the_app_parks_with_the_real_worker(both: tuple[Effects, Effects]) -> None:
    """Position and sender show that each message kept its own metadata, beside one of no sender and one of no body."""
    _, real = both
    assert {
        source: [(position, code, sender) for position, code, sender, _ in rows]
        for source, rows in parked(real).items()
    } == {
        settings.TELEMETRY_HUB: [
            ("1/2", "bad-telemetry", OTHER_CAR),
            ("1/3", "bad-telemetry", OTHER_CAR),
            ("1/4", "bad-telemetry", OTHER_CAR),
            ("1/5", "foreign-vehicle", OTHER_CAR),
            ("1/6", "no-usable-sample", OTHER_CAR),
            ("1/7", "bad-telemetry", OTHER_CAR),
            ("1/8", "bad-telemetry", OTHER_CAR),
            ("1/9", "no-caller", None),
        ],
        settings.OTA_EVENTS_HUB: [
            ("1/1", "unknown-campaign", CAR),
            ("1/2", "bad-report", CAR),
            ("1/3", "not-targeted", CAR),
            ("1/4", "bad-report", CAR),
        ],
        settings.CERTIFICATE_EVENTS_HUB: [
            ("1/1", "unknown-rotation", CAR),
            ("1/2", "not-enrolled", OTHER_CAR),
            ("1/3", "bad-report", CAR),
            ("1/4", "bad-report", CAR),
        ],
        settings.VEHICLE_ALERTS_HUB: [("1/2", "unknown-alert", CAR), ("1/3", "nobody-to-alarm", OTHER_CAR)],
        settings.TRIP_COMMANDS: [("m-unknown", "unknown-type", None)],
        settings.OTA_COMMANDS: [("m-StartCampaign", "no-artifact", None), ("m-unknown", "unknown-type", None)],
        settings.CERTIFICATE_COMMANDS: [("m-unknown", "unknown-type", None)],
        settings.NOTIFICATION_COMMANDS: [("m-unknown", "unknown-type", None)],
        settings.DOMAIN_EVENTS: [("m-hello", "not-a-cloudevent", None)],
    }


async def test_the_local_host_has_the_same_effects(both: tuple[Effects, Effects]) -> None:
    """Every row of every table and every message, to the digit."""
    local, real = both
    assert local.told == real.told
    assert parked(local) == parked(real)  # first, because it tells best what differs
    assert local.tables == real.tables
    assert local.messages == real.messages
