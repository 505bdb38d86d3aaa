"""Bad input among good, through the whole local cloud: set aside with a reason, listed, and in nobody's way."""

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage as BusMessage
from azure.servicebus.amqp import AmqpMessageProperties
from azure.storage.blob.aio import ContainerClient

from localcloud.app_client import AppClient
from localcloud.backlog import Backlog
from localcloud.fleet.hub_service import HubService
from localcloud.fleet.identity import new_key, signing_request
from localcloud.fleet.link import MessageType
from localcloud.fleet.telemetry import Sample, TelemetryMessage, pack
from localcloud.layout import Layout
from localcloud.mail import MailSink
from localcloud.pki import Pki
from localcloud.services import LocalCloud
from shared import settings
from tests.endtoend import bad_input, cars
from tests.endtoend.bad_input import MOMENT_MS, Bad, BadMessage
from tests.endtoend.cars import Car
from tests.endtoend.conftest import WITNESS

ROOT = Path(__file__).parents[2]
HONEST, ROGUE = "honest-car", "rogue-car-1"  # the hub puts both into one partition of each Event Hub
PARTITION = "0"
BOOT, GLITCH_AT = "boot-1", 10
SECONDS, SILENCE_S = 600, 3600
TIMEOUT_S = 60.0
POLL_S = 0.2
TYPES = {
    settings.TELEMETRY_HUB: MessageType.TELEMETRY,
    settings.OTA_EVENTS_HUB: MessageType.OTA,
    settings.CERTIFICATE_EVENTS_HUB: MessageType.CERTIFICATE,
    settings.VEHICLE_ALERTS_HUB: MessageType.ALERT,
}


async def test_bad_input_is_set_aside_with_its_reason_and_nothing_else_is_lost(cloud: LocalCloud) -> None:
    """The host is down while cars send, so that good and bad messages share the batches that it gets."""
    layout = cloud.layout
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(HubService(layout.iothub_service_connection, Pki(layout.pki).root))
        app = await stack.enter_async_context(AppClient(layout))
        backlog = await stack.enter_async_context(Backlog(layout))
        mails = stack.enter_context(MailSink(layout.address, layout.smtp_port)).mails
        honest = await stack.enter_async_context(cars.connected(layout, service, HONEST))
        rogue = await stack.enter_async_context(cars.connected(layout, service, ROGUE))
        await cars.introduce(layout, app, backlog, honest, rogue)
        rotations = [await cars.rotation_id(service, car) for car in (honest, rogue)]
        await cloud.children["host"].stop()

        glitch, bad = glitch_of_honest_car(), bad_input.from_vehicle(ROGUE, HONEST, cars.CAMPAIGN, rotations[1])
        strangers, commands = [bad_input.largest_nesting(), bad_input.from_nowhere()], list(bad_input.to_service_bus())
        await asyncio.gather(
            send_by_turns(honest, good_messages(HONEST, rotations[0]), rogue, bad),
            send_to_event_hub(layout, ROGUE, strangers[0]),
            send_to_event_hub(layout, None, strangers[1]),
            *(send_to_service_bus(layout, source, commands) for source in (*settings.QUEUES, settings.DOMAIN_EVENTS)),
        )
        await cloud.start_host()
        senders = [(HONEST, [glitch]), (ROGUE, [*bad, strangers[0]]), (None, [strangers[1], *commands])]
        expected = [(sender, one) for sender, sent in senders for one in sent]
        await settled(app, backlog, len(expected))

        listed = await listed_as_json(layout)
        assert await differences(layout, expected, listed) == []
        assert_the_trip_is_complete(await app.trips(HONEST))
        assert await app.trips(ROGUE) == []
        assert [await phase(service, car) for car in (HONEST, ROGUE)] == ["issued", "refused"]
        assert [mail["To"] for mail in mails] == [f"Erika Beispiel <{cars.OWNER}>"]
        assert await witnessed(layout) == ["CampaignCompleted", "TripCompleted", "UpdateAvailable", "UpdateFinished"]
        await assert_that_no_invocation_failed(layout)
        await assert_that_people_can_read_the_list(layout, listed)


# --- Sending


def good_messages(vehicle_id: str, rotation_id: str) -> list[tuple[MessageType, bytes]]:
    """A drive with a glitch in its middle that is over when the next begins, and one message of every other kind."""
    update = {"v": 1, "campaign_id": cars.CAMPAIGN, "version": cars.VERSION, "status": "succeeded", "at": MOMENT_MS}
    csr = signing_request(new_key(), vehicle_id)
    request = {"v": 1, "kind": "csr", "rotation_id": rotation_id, "csr": csr}
    alarm = {"v": 1, "alarm_id": uuid4().hex, "kind": "theft", "at": MOMENT_MS}
    drive = [
        msgspec.structs.replace(message, seq=message.seq + (message.seq >= GLITCH_AT)).encode()
        for message in pack(samples(), BOOT)
    ]
    drive.insert(GLITCH_AT, glitch_of_honest_car().body)
    later = Sample(t=MOMENT_MS + 1000 * (SECONDS + SILENCE_S), odo_km=1000 + SECONDS / 100, ignition=True)
    drive += [message.encode() for message in pack([later], "boot-2")]
    return [
        *((MessageType.TELEMETRY, body) for body in drive),
        (MessageType.OTA, json.dumps(update).encode()),
        (MessageType.CERTIFICATE, json.dumps(request).encode()),
        (MessageType.ALERT, json.dumps(alarm).encode()),
    ]


def samples() -> Iterator[Sample]:
    """Straight to the north at 36 km/h for ten minutes, with one impossible position on the way."""
    for second in range(SECONDS + 1):
        yield Sample(
            t=MOMENT_MS + 1000 * second,
            lat=200.0 if second == 77 else 48.0 + second * 10 / 111_195,
            lon=11.0,
            speed_kmh=36.0,
            odo_km=1000 + second / 100,
            ignition=second < SECONDS,
        )


def glitch_of_honest_car() -> Bad:
    """Its clock was unset for a moment; the trip must not wait for this message."""
    body = TelemetryMessage(BOOT, GLITCH_AT, (Sample(t=1000),)).encode()
    detail = "sample 0: time 1970-01-01T00:00:01Z is before 2015"
    return Bad(settings.TELEMETRY_HUB, body, "no-usable-sample", detail)


async def send_by_turns(honest: Car, good: Sequence[tuple[MessageType, bytes]], rogue: Car, bad: Sequence[Bad]) -> None:
    for right, wrong in zip_longest(good, bad):
        if right:
            await honest.link.send(*right)
        if wrong:
            await rogue.link.send(TYPES[wrong.source], wrong.body)


async def send_to_event_hub(layout: Layout, device_id: str | None, bad: Bad) -> None:
    """Past the IoT Hub, with or without its stamp."""
    stamps = {"iothub-connection-device-id": device_id, "iothub-connection-auth-generation-id": "1"}
    message = AmqpAnnotatedMessage(data_body=bad.body, annotations=stamps if device_id else {})
    async with EventHubProducerClient.from_connection_string(
        layout.amqp_connection, eventhub_name=bad.source
    ) as producer:
        batch = await producer.create_batch(partition_id=PARTITION)
        batch.add(message)
        await producer.send_batch(batch)


async def send_to_service_bus(layout: Layout, source: str, messages: Sequence[BadMessage]) -> None:
    async with ServiceBusClient.from_connection_string(layout.amqp_connection) as client:
        is_topic = source in settings.TOPICS
        async with client.get_topic_sender(source) if is_topic else client.get_queue_sender(source) as sender:
            for message in messages:
                if message.source == source:
                    await sender.send_messages(_as_amqp(message))


def _as_amqp(message: BadMessage) -> BusMessage:
    """Not the SDK's usual message, which gets an id if it has none."""
    return BusMessage(
        data_body=message.body,
        application_properties=dict(message.properties),
        properties=AmqpMessageProperties(message_id=message.message_id) if message.message_id else None,
    )


# --- What has become of it


async def settled(app: AppClient, backlog: Backlog, parked: int) -> None:
    """Returns when nothing waits any more and so many are parked, or at the end of patience."""
    await backlog.until_empty(hubs=settings.EVENT_HUBS, queues=settings.QUEUES, timeout_s=TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S / 2
    # The topic's subscription is no queue that the backlog knows.
    while time.monotonic() < deadline:
        if len(await app.parked()) >= parked:
            return
        await asyncio.sleep(POLL_S)


async def parked_command(layout: Layout, *options: str) -> str:
    ports = [text for name, port in layout.ports() for text in (f"--{name.replace('_', '-')}", str(port))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", "parked", *ports, *options), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def listed_as_json(layout: Layout) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(await parked_command(layout, "--json"))["parked"]
    return rows


async def differences(
    layout: Layout, expected: Sequence[tuple[str | None, Bad]], listed: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What is listed without, or not listed with, the reason that is expected of a message of this body."""
    found = []
    missing = {(bad.source, sender, bad.body): bad for sender, bad in expected}
    assert len(missing) == len(expected), "two messages of the test cannot be told apart"
    async with ContainerClient.from_connection_string(
        layout.storage_connection, settings.PARKED_CONTAINER
    ) as container:
        for row in listed:
            body = await (await container.download_blob(row["blob"])).readall()
            bad = missing.pop((row["source"], row["vehicle_id"], body), None)
            said = f"{row['source']} {body[:60]!r}: {row['reason']}: {row['detail']}"
            if bad is None:
                found.append(f"unexpected: {said}")
            elif row["reason"] != bad.code or not re.fullmatch(bad.detail, row["detail"]):
                found.append(f"{said}; expected {bad.code}: {bad.detail}")
    return found + [f"not parked: {bad.source} {bad.body[:60]!r}" for bad in missing.values()]


def assert_the_trip_is_complete(trips: Sequence[Mapping[str, Any]]) -> None:
    (trip,) = trips
    assert (trip["started_at_ms"], trip["ended_at_ms"]) == (MOMENT_MS, MOMENT_MS + 1000 * SECONDS)
    assert trip["distance_km"] == pytest.approx(SECONDS / 100, rel=0.001)
    assert (trip["samples"], json.loads(trip["dropped"])) == (SECONDS, {"position": 1})


async def phase(service: HubService, vehicle_id: str) -> str:
    twin = await service.get_twin(vehicle_id)
    return str(twin["properties"]["desired"]["certificate"]["phase"])


async def witnessed(layout: Layout) -> list[str]:
    """The types of all events that the app published. What the test itself sent to the topic has no subject."""
    seen = []
    async with (
        ServiceBusClient.from_connection_string(layout.amqp_connection) as client,
        client.get_subscription_receiver("domain-events", WITNESS, receive_mode="receiveanddelete") as receiver,
    ):
        while messages := await receiver.receive_messages(100, max_wait_time=1):
            seen += [message.subject for message in messages if message.subject]
    return sorted(seen)


async def assert_that_no_invocation_failed(layout: Layout) -> None:
    url = f"http://{layout.address}:{layout.functions_port}/admin/host/status"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        functions = (await response.json())["functions"]
    assert {name: counts["failures"] for name, counts in functions.items() if counts["failures"]} == {}
    # Fewer than there were messages from either car: they came together.
    assert 1 <= functions["trips_telemetry"]["invocations"] <= 10


async def assert_that_people_can_read_the_list(layout: Layout, listed: Sequence[Mapping[str, Any]]) -> None:
    """The table of one source shows its reasons, however its lines are broken."""
    shown = await parked_command(layout, "--source", settings.VEHICLE_ALERTS_HUB)
    reasons = {row["reason"] for row in listed if row["source"] == settings.VEHICLE_ALERTS_HUB}
    assert reasons == {"bad-alert", "foreign-vehicle", "nobody-to-alarm", "unknown-alert"}
    assert f"{sum(row['source'] == settings.VEHICLE_ALERTS_HUB for row in listed)} parked" in shown
    assert all(reason.partition("-")[0] in shown for reason in reasons)
