"""The way of a telemetry message from the device SDK to the Event Hub, read back by its SDK."""

import time
from pathlib import Path

import msgspec

from localcloud.iothub.mqtt.packets import Publish
from tests.conformance.documented import documented
from tests.iothub.devices import issued_identity, raw_client, sdk_client, telemetry
from tests.iothub.events import EventLog
from tests.iothub.services import Hub


@documented("azure/iot-hub/iot-hub-devguide-messages-construct#system-property-names")
async def test_a_message_arrives_with_its_properties_and_the_stamps_of_the_hub(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """System properties under their names at Event Hubs, application properties as they are."""
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


@documented("azure/iot-hub/iot-hub-devguide-messages-construct#anti-spoofing-properties")
async def test_a_device_cannot_speak_for_another_by_its_properties_or_body(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """IoT Hub stamps every message with the id, generation and authentication of its sender."""
    await hub.register(device_id)
    names = ("iothub-connection-device-id", "iothub-connection-auth-generation-id", "iothub-message-source")
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        forged = dict.fromkeys(names, "victim") | {"$.cdid": "victim", "type": "telemetry"}
        message = telemetry(b'{"SystemProperties": {"iothub-connection-device-id": "victim"}}', **forged)
        await client.send_message(message)
    [event] = await events.wait(device_id)
    assert not [name for name in names if event.system[name] == "victim"]
    assert events.of("victim") == []


@documented("azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties")
async def test_a_device_that_is_made_again_has_another_generation(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """The generation id tells devices of one id apart."""
    certificate = issued_identity(directory, hub.pki, device_id)
    for _ in range(2):
        await hub.register(device_id)
        async with sdk_client(hub, device_id, certificate) as client:
            await client.send_message(telemetry("x"))
        await hub.call("DELETE", f"/devices/{device_id}")
    received = await events.wait(device_id, 2)
    assert len({event.system["iothub-connection-auth-generation-id"] for event in received}) == 2


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#use-the-device-sdks")
async def test_a_message_at_qos_0_arrives_too(hub: Hub, directory: Path, events: EventLog, device_id: str) -> None:
    """QoS 0 is for faster exchange, without acknowledgement."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.telemetry(b"light", qos=0)
        [event] = await events.wait(device_id)
    assert event.body == b"light"


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#send-device-to-cloud-messages")
async def test_a_retained_message_is_marked_as_such(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """Instead of keeping it, IoT Hub passes it on with the property `mqtt-retain`."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        topic = f"devices/{device_id}/messages/events/a=b"
        client.send(Publish(topic, b"x", qos=1, packet_id=1, retain=True, duplicate=False))
        [event] = await events.wait(device_id)
    assert event.properties == {"a": "b", "mqtt-retain": "true"}
