"""What ends a connection, and what a connection leaves behind.

The SDK has no last will, never publishes at QoS 2 and does not fall silent: here a bare MQTT client does.
"""

import asyncio
import time
from pathlib import Path

from localcloud.iothub.mqtt.packets import Disconnect, Pingreq, Pingresp, Puback, Suback, Subscribe, Will
from tests.conformance.documented import documented
from tests.iothub.devices import eventually, issued_identity, raw_client, sdk_client
from tests.iothub.events import EventLog
from tests.iothub.services import Hub


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#send-device-to-cloud-messages")
async def test_qos_2_is_cut(hub: Hub, directory: Path, device_id: str) -> None:
    """If a device publishes at QoS 2, IoT Hub closes the network connection."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.telemetry(b"x", qos=2)
        assert await client.receive() is None


@documented("azure/iot-hub/iot-hub-devguide-messages-construct#message-size")
async def test_the_largest_message_passes_and_a_larger_one_is_cut(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """256 KB; what counts are the body and the properties, not the topic that carries them."""
    await hub.register(device_id)
    largest = 256 * 1024 - len("a" + "bcd" + "m-1")
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.telemetry(b"x" * largest, "a=bcd&$.mid=m-1")
        assert await client.receive() == Puback(1)
        client.telemetry(b"x" * (largest + 1), "a=bcd&$.mid=m-1", packet_id=2)
        assert await client.receive() is None
    assert [len(event.body) for event in await events.wait(device_id)] == [largest]


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#default-keep-alive-timeout")
async def test_silence_beyond_one_and_a_half_keep_alives_is_cut(hub: Hub, directory: Path, device_id: str) -> None:
    """IoT Hub waits 1.5 times the client's keep-alive."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect(keep_alive_s=1)
        await asyncio.sleep(0.5)
        client.send(Pingreq())
        assert await client.receive() == Pingresp()
        began = time.monotonic()
        assert await client.receive() is None
        assert 1.2 < time.monotonic() - began < 5


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#use-the-mqtt-protocol-directly-from-a-device")
async def test_the_last_will_is_told_when_the_connection_breaks(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """As telemetry, routed like other, with `iothub-MessageType` set to `Will`."""
    await hub.register(device_id)
    will = Will(f"devices/{device_id}/messages/events/type=telemetry", b"gone", qos=1, retain=False)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect(will=will)
        client.abort()
        [event] = await events.wait(device_id)
    assert (event.body, event.event_hub) == (b"gone", "telemetry")
    assert event.properties == {"type": "telemetry", "iothub-MessageType": "Will"}


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#use-the-mqtt-protocol-directly-from-a-device")
async def test_the_last_will_is_not_told_after_a_goodbye(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """A DISCONNECT packet ends the connection without the will."""
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    will = Will(f"devices/{device_id}/messages/events/", b"gone", qos=1, retain=False)
    async with raw_client(hub, device_id, identity) as client:
        await client.connect(will=will)
        client.send(Disconnect())
        assert await client.receive() is None
    async with raw_client(hub, device_id, identity) as client:
        await client.connect()
        client.telemetry(b"later")
        [event] = await events.wait(device_id)
    assert event.body == b"later"


@documented("azure/iot-hub/troubleshoot-error-codes#400027-connectionforcefullyclosedonnewconnection")
async def test_a_new_connection_takes_over(hub: Hub, directory: Path, device_id: str) -> None:
    """IoT Hub supports one connection a device and drops the existing one."""
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    async with sdk_client(hub, device_id, identity) as old, sdk_client(hub, device_id, identity) as new:
        await eventually(lambda: not old.connected)
        assert new.connected
        await new.send_message("still there")
    _, device = await hub.call("GET", f"/devices/{device_id}")
    assert device["connectionState"] == "Disconnected"


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#receive-cloud-to-device-messages")
async def test_a_subscription_at_qos_2_is_granted_at_qos_1(hub: Hub, directory: Path, device_id: str) -> None:
    """IoT Hub grants maximum QoS level 1 in the SUBACK packet."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.send(Subscribe(1, ((f"devices/{device_id}/messages/devicebound/#", 2), ("$iothub/twin/res/#", 0))))
        assert await client.receive() == Suback(1, b"\x01\x00")


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#connect-to-iot-hub")
async def test_a_module_is_refused_like_a_device_that_is_not_there(hub: Hub, device_id: str) -> None:
    """A client id of `{device}/{module}` is a module's, and this hub has none."""
    await hub.register(device_id)
    async with raw_client(hub, f"{device_id}/camera", None) as client:
        assert await client.connect() == 5
