"""The way of a telemetry message from the device SDK to the Event Hub, read back by its SDK."""

import asyncio
import random
from pathlib import Path
from urllib.parse import quote
from zlib import crc32

from localcloud.iothub.events import Event, MessageSource
from localcloud.iothub.mqtt.packets import Puback
from localcloud.iothub.property_bag import parse_message_properties
from tests.iothub.devices import issued_identity, raw_client, sdk_client, telemetry
from tests.iothub.events import EventLog
from tests.iothub.services import Hub

ODD = "ü+ /?#%&=;$\U0001f697 'x'\t\"y\""


async def test_odd_characters_survive_in_names_and_values(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        message = telemetry(ODD.encode(), **{ODD: ODD, "empty": "", "ends/": "with/", "type": "telemetry"})
        message.message_id = message.correlation_id = ODD
        message.content_type, message.content_encoding = "text/" + ODD, "utf-8; " + ODD
        await client.send_message(message)
    [event] = await events.wait(device_id)
    assert event.body.decode() == ODD
    assert event.properties == {ODD: ODD, "empty": "", "ends/": "with/", "type": "telemetry"}
    assert [event.system[name] for name in ("message-id", "correlation-id")] == [ODD] * 2
    assert "content-type" not in event.system, "AMQP has ASCII only there"
    assert "content-encoding" not in event.system


async def test_no_property_that_a_device_can_write_stops_a_partition(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """What AMQP cannot carry would be sent again for ever, and all devices behind it would wait."""
    chance = random.Random(7)
    keys = [
        "$.mid",
        "$.cid",
        "$.uid",
        "$.ct",
        "$.ce",
        "$.exp",
        "$.on",
        "$.sub",
        "$.ifid",
        "",
        "a",
        "\0",
        ODD,
        "x" * 300,
    ]
    values = ["", "\0\x7f\x85", ODD, "x" * 300, "%", "2030-01-02", "9999-12-31T23:59:59", "0001-01-01", "-1", "1e9"]
    count = 300
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        for number in range(1, count + 1):
            names = chance.sample(keys, chance.randint(0, 6))
            bag = "&".join(f"{quote(name, safe='')}={quote(chance.choice(values), safe='')}" for name in names)
            client.telemetry(b"%d" % number, bag, packet_id=number)
        assert [await client.receive() for _ in range(count)] == [Puback(number) for number in range(1, count + 1)]
    assert [int(event.body) for event in await events.wait(device_id, count)] == list(range(1, count + 1))


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
