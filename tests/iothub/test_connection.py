"""What ends a connection, and what a connection leaves behind."""

import random
import time
from pathlib import Path

import pytest

from localcloud.iothub.mqtt.encoding import encode
from localcloud.iothub.mqtt.packets import Connect, Pingreq, Puback, Publish, Subscribe, Will
from tests.iothub.devices import issued_identity, raw_client
from tests.iothub.events import EventLog
from tests.iothub.services import Hub


@pytest.mark.parametrize(
    "topic",
    [
        "devices/victim/messages/events/",
        "devices/{id}/messages/devicebound/",
        "devices/{id}x/messages/events/",
        "cars/1",
        "$iothub/twin/PATCH/properties/desired/?$rid=1",
        "$SYS/broker",
    ],
)
async def test_a_publish_to_a_foreign_topic_is_cut(
    hub: Hub, directory: Path, events: EventLog, device_id: str, topic: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.publish(topic.format(id=device_id), b"spoof")
        assert await client.receive() is None
    assert events.of("victim") == []


@pytest.mark.parametrize(
    "topic_filter", ["#", "$iothub/#", "devices/victim/messages/devicebound/#", "devices/+/messages/events/#"]
)
async def test_a_subscription_to_a_foreign_topic_is_cut(
    hub: Hub, directory: Path, device_id: str, topic_filter: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.send(Subscribe(1, (("$iothub/twin/res/#", 1), (topic_filter, 1))))
        assert await client.receive() is None


async def test_a_packet_that_announces_gigabytes_is_cut_at_once(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.send_bytes(b"\x30\xff\xff\xff\x7f")
        assert await client.receive() is None


async def test_whatever_comes_before_connect_is_cut(hub: Hub, device_id: str) -> None:
    async with raw_client(hub, device_id, None) as client:
        client.send(Pingreq())
        assert await client.receive() is None


async def test_a_will_for_another_device_is_cut(hub: Hub, directory: Path, events: EventLog, device_id: str) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        will = Will("devices/victim/messages/events/", b"spoof", qos=1, retain=False)
        client.send(Connect(device_id, f"{hub.address}/{device_id}/?api-version=1", None, 60, True, will))
        assert await client.receive() is None
    assert events.of("victim") == []


async def test_two_clients_with_one_id_cannot_throw_each_other_out_in_a_storm(
    hub: Hub, directory: Path, device_id: str
) -> None:
    """The SDK is back 10 ms after a cut; take-overs are at least a second apart."""
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    async with (
        raw_client(hub, device_id, identity) as first,
        raw_client(hub, device_id, identity) as second,
        raw_client(hub, device_id, identity) as third,
    ):
        assert await first.connect() == 0
        assert await second.connect() == 0, "a single take-over does not wait"
        began = time.monotonic()
        assert await third.connect() == 0
        assert time.monotonic() - began > 0.9
        assert await second.receive() is None


async def test_what_a_rival_sends_while_it_waits_is_not_lost(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    async with (
        raw_client(hub, device_id, identity) as first,
        raw_client(hub, device_id, identity) as second,
        raw_client(hub, device_id, identity) as third,
    ):
        assert await first.connect() == 0
        assert await second.connect() == 0
        username = f"{hub.address}/{device_id}/?api-version=2021-04-12"
        hello = encode(Connect(device_id, username, None, 60, clean_session=False, will=None))
        topic = f"devices/{device_id}/messages/events/"
        third.send_bytes(hello + encode(Publish(topic, b"early", 1, 1, retain=False, duplicate=False)))
        assert await third.receive() is not None
        assert await third.receive() == Puback(1)
    [event] = await events.wait(device_id)
    assert event.body == b"early"


async def test_random_bytes_never_hurt_the_hub(hub: Hub, directory: Path, events: EventLog, device_id: str) -> None:
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    chance = random.Random(7)
    for _ in range(20):
        async with raw_client(hub, device_id, None) as client:
            # A CONNECT without an end: the hub has to take the bytes apart before it can object to anything.
            client.send_bytes(b"\x10\x7f" + chance.randbytes(127))
            assert await client.receive() is None
    async with raw_client(hub, device_id, identity) as client:
        await client.connect()
        client.telemetry(b"alive")
        assert await client.receive() == Puback(1)
    assert (await events.wait(device_id))[0].body == b"alive"
    assert "Traceback" not in hub.log.read_text()
