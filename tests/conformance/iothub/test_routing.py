"""Routes over properties, bodies and twins, as far as they show in the Event Hubs."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from localcloud.iothub.mqtt.packets import Puback
from tests.conformance.documented import documented
from tests.iothub.devices import issued_identity, raw_client, sdk_client, telemetry
from tests.iothub.events import EventLog
from tests.iothub.services import Hub

WEATHER = {"Weather": {"Temperature": 50, "HistoricalData": [{"Month": "Feb"}, {"Month": "Jan"}]}}


async def destinations(hub: Hub, directory: Path, events: EventLog, device_id: str, *messages: Any) -> list[str]:
    """The Event Hubs that the SDK's messages reach, in their order; each goes to one."""
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        for number, message in enumerate(messages):
            message.custom_properties["number"] = str(number)
            await client.send_message(message)
    received = await events.wait(device_id, len(messages))
    return [event.event_hub for event in sorted(received, key=lambda event: int(event.properties["number"]))]


def described(body: Any, content_type: str | None, encoding: str | None) -> Any:
    message = telemetry(msgspec.json.encode(body).decode().encode(encoding or "utf-8"))
    message.content_type, message.content_encoding = content_type, encoding
    return message


@documented("azure/iot-hub/iot-hub-devguide-messages-d2c#fallback-route")
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


@documented("azure/iot-hub/iot-hub-devguide-routing-query-syntax#query-based-on-message-properties")
async def test_a_route_can_ask_for_system_and_application_properties(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """System properties with a dollar sign, application properties by their names, which do not depend on case."""
    await hub.register(device_id)
    messages = [telemetry("1", LEVEL="3"), telemetry("2", level="2"), telemetry("3", level="30")]
    for message in messages[:2]:
        message.content_type = "text/plain"
    assert await destinations(hub, directory, events, device_id, *messages) == ["urgent", "others", "others"]


@documented("azure/iot-hub/iot-hub-devguide-query-language#functions")
async def test_a_route_can_use_functions(hub: Hub, directory: Path, events: EventLog, device_id: str) -> None:
    """Of texts, of numbers and of kinds."""
    await hub.register(device_id)
    codes = ["P0301", "P03011", "B0301"]
    messages = [*(telemetry(code, code=code) for code in codes), telemetry("quiet", code="P0301", quiet="1")]
    found = await destinations(hub, directory, events, device_id, *messages)
    assert found == ["urgent", "others", "others", "others"]


@documented("azure/iot-hub/iot-hub-devguide-routing-query-syntax#query-based-on-message-body")
async def test_a_route_can_look_into_the_body(hub: Hub, directory: Path, events: EventLog, device_id: str) -> None:
    """In UTF-8, UTF-16 or UTF-32, and only if content type and encoding say so."""
    await hub.register(device_id)
    cold = {"Weather": WEATHER["Weather"] | {"Temperature": 49}}
    messages = [
        described(WEATHER, "application/json", "utf-8"),
        described(WEATHER, "application/json", "utf-16"),
        described(WEATHER, "application/json", "utf-32"),
        described(WEATHER, "application/json;charset=utf-8", None),
        described(cold, "application/json", "utf-8"),
        described(WEATHER, "application/json", None),
        described(WEATHER, None, "utf-8"),
        described(WEATHER, "text/json", "utf-8"),
    ]
    found = await destinations(hub, directory, events, device_id, *messages)
    assert found == ["urgent"] * 4 + ["others"] * 4


@documented("azure/iot-hub/iot-hub-devguide-routing-query-syntax#query-based-on-device-twin")
async def test_a_route_can_look_into_the_twin_of_the_sender(
    hub: Hub, directory: Path, events: EventLog, device_id: str
) -> None:
    """Into tags, desired and reported properties, as they are when the message comes."""
    await hub.register(device_id)
    assert await destinations(hub, directory, events, device_id, telemetry("1", type="by-twin")) == ["others"]
    change = {"tags": {"market": "de"}, "properties": {"desired": {"upload": True}}}
    await hub.call("PATCH", f"/twins/{device_id}", change)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.send_message(telemetry("2", type="by-twin"))
    assert {event.event_hub for event in await events.wait(device_id, 2)} == {"others", "urgent"}
