"""The way of a telemetry message from the device SDK to the Event Hub, read back by its SDK."""

import asyncio
import time
from collections import defaultdict
from pathlib import Path
from zlib import crc32

import msgspec

from localcloud.iothub.events import Event, MessageSource
from localcloud.iothub.mqtt.packets import Puback, Publish
from localcloud.iothub.property_bag import parse_message_properties
from tests.iothub.devices import issued_identity, raw_client, sdk_client, telemetry
from tests.iothub.events import EventLog
from tests.iothub.services import Hub

ODD = "ü+ /?#%&=;$\U0001f697 'x'\t\"y\""


async def test_a_message_arrives_with_its_properties_and_the_stamps_of_the_hub(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    identity = await hub.register(device_id)
    before_ms = time.time() * 1000
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        message = telemetry(b'{"speed_kmh": 88}', type="telemetry", boot="7")
        message.message_id, message.correlation_id, message.user_id = "m-1", "c 1/2", "someone"
        message.content_type, message.content_encoding = "application/json", "utf-8"
        await client.send_message(message)

    [event] = await events.wait(device_id)
    assert event.event_hub == "telemetry"
    assert event.body == b'{"speed_kmh": 88}'
    assert event.properties == {"type": "telemetry", "boot": "7"}
    system = event.system
    assert system["message-id"] == "m-1"
    assert system["correlation-id"] == "c 1/2"
    assert system["user-id"] == "someone"
    assert (system["content-type"], system["content-encoding"]) == ("application/json", "utf-8")
    assert system["iothub-connection-device-id"] == device_id
    assert system["iothub-connection-auth-generation-id"] == identity["generationId"]
    assert msgspec.json.decode(system["iothub-connection-auth-method"])["scope"] == "device"
    assert system["iothub-message-source"] == "Telemetry"
    assert before_ms - 1 <= system["iothub-enqueuedtime"] <= time.time() * 1000


async def test_odd_characters_survive_in_names_and_values(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        message = telemetry(ODD.encode(), **{ODD: ODD, "empty": "", "ends/": "with/", "type": "telemetry"})
        message.message_id = message.correlation_id = message.content_type = message.content_encoding = ODD
        await client.send_message(message)
    [event] = await events.wait(device_id)
    assert event.body.decode() == ODD
    assert event.properties == {ODD: ODD, "empty": "", "ends/": "with/", "type": "telemetry"}
    assert [event.system[name] for name in ("message-id", "correlation-id", "content-type", "content-encoding")] == [
        ODD
    ] * 4


async def test_an_expiry_is_passed_on_as_a_time_and_ignored_when_it_is_none(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.telemetry(b"1", "$.exp=2030-01-02T03%3A04%3A05%2B00%3A00")
        client.telemetry(b"2", "$.exp=tomorrow", packet_id=2)
        client.telemetry(b"3", "$.exp=99999999999999999999", packet_id=3)
        received = await events.wait(device_id, 3)
    assert [event.system.get("absolute-expiry-time") for event in received] == [1893553445000, None, None]


async def test_routes_decide_which_event_hubs_get_a_message(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """Every hub that some route leads to, each once; the fallback only what no route takes."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.telemetry(b"plain", "type=telemetry", packet_id=1)
        client.telemetry(b"both", "type=telemetry&urgent=yes", packet_id=2)
        client.telemetry(b"other", "type=something", packet_id=3)
        client.telemetry(b"bare", packet_id=4)
        assert [await client.receive() for _ in range(4)] == [Puback(number) for number in (1, 2, 3, 4)]
    found = defaultdict(set)
    for event in await events.wait(device_id, 5):
        found[event.event_hub].add(event.body)
    assert found == {"telemetry": {b"plain", b"both"}, "urgent": {b"both"}, "others": {b"other", b"bare"}}


def test_a_message_for_several_event_hubs_is_accepted_when_the_last_of_them_has_it() -> None:
    accepted: list[str] = []
    event = Event(
        MessageSource.DEVICE_MESSAGES, "car", b"", parse_message_properties(""), {}, lambda: accepted.append("car")
    )
    shared = event.accepted_after(3)
    shared.accepted()
    shared.accepted()
    assert accepted == []
    shared.accepted()
    assert accepted == ["car"]


async def test_a_device_cannot_speak_for_another_by_its_properties_or_body(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    await hub.register(device_id)
    names = ("iothub-connection-device-id", "iothub-connection-auth-generation-id", "iothub-message-source")
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        forged = dict.fromkeys(names, "victim") | {"$.cdid": "victim", "type": "telemetry"}
        message = telemetry(b'{"SystemProperties": {"iothub-connection-device-id": "victim"}}', **forged)
        await client.send_message(message)
    [event] = await events.wait(device_id)
    assert not [name for name in names if event.system[name] == "victim"]
    assert events.of("victim") == []


async def test_a_device_that_is_made_again_has_another_generation(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    certificate = issued_identity(directory, hub.pki, device_id)
    for _ in range(2):
        await hub.register(device_id)
        async with sdk_client(hub, device_id, certificate) as client:
            await client.send_message(telemetry("x"))
        await hub.call("DELETE", f"/devices/{device_id}")
    received = await events.wait(device_id, 2)
    assert len({event.system["iothub-connection-auth-generation-id"] for event in received}) == 2


async def test_all_messages_of_a_device_are_in_one_partition_and_in_order(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    devices = [f"{device_id}-{number}" for number in range(8)]
    count = 300

    async def drive(name: str) -> None:
        await hub.register(name)
        async with raw_client(hub, name, issued_identity(directory, hub.pki, name)) as client:
            await client.connect()
            for number in range(1, count + 1):
                client.telemetry(b"%d" % number, "type=telemetry", packet_id=number)
            acknowledged = [await client.receive() for _ in range(count)]
            assert acknowledged == [Puback(number) for number in range(1, count + 1)]

    await asyncio.gather(*map(drive, devices))
    for name in devices:
        received = await events.wait(name, count)
        assert [int(event.body) for event in received] == list(range(1, count + 1))
        assert {event.partition_id for event in received} == {str(crc32(name.encode()) % 4)}


async def test_a_message_at_qos_0_arrives_too(hub: Hub, directory: Path, events: EventLog, device_id: str) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.telemetry(b"light", qos=0)
        [event] = await events.wait(device_id)
    assert event.body == b"light"


async def test_a_retained_message_is_marked_as_such(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        topic = f"devices/{device_id}/messages/events/a=b"
        client.send(Publish(topic, b"x", qos=1, packet_id=1, retain=True, duplicate=False))
        [event] = await events.wait(device_id)
    assert event.properties == {"a": "b", "mqtt-retain": "true"}
