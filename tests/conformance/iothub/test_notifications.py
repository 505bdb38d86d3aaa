"""What the hub tells of devices: changes of twins, lives and connections, through routes to Event Hubs."""

from pathlib import Path
from typing import Any

import msgspec

from tests.conformance.documented import documented
from tests.iothub.devices import eventually, issued_identity, raw_client, sdk_client
from tests.iothub.events import EventLog, Received
from tests.iothub.services import Hub

SCHEMAS = "azure/iot-hub/iot-hub-non-telemetry-event-schema"


def body(event: Received) -> Any:
    return msgspec.json.decode(event.body)


def happened(events: list[Received]) -> list[str]:
    return [event.properties["opType"] for event in events if event.event_hub == "changes"]


@documented(f"{SCHEMAS}#common-event-properties")
async def test_notifications_come_from_the_hub_and_say_what_they_are(
    hub: Hub, changes: EventLog, device_id: str
) -> None:
    """System and application properties that all of them have."""
    await hub.register(device_id)
    [event] = await changes.wait(device_id)
    properties = dict(event.properties)
    assert properties.pop("operationTimestamp").endswith("Z")
    assert properties == {
        "hubName": hub.address,
        "deviceId": device_id,
        "opType": "createDeviceIdentity",
        "iothub-message-schema": "deviceLifecycleNotification",
    }
    system = event.system
    assert (system["content-type"], system["content-encoding"]) == ("application/json", "utf-8")
    assert system["user-id"] == hub.address
    assert system["correlation-id"]
    assert system["iothub-connection-device-id"] == device_id
    assert system["iothub-message-source"] == "deviceLifecycleEvents"
    assert system["iothub-enqueuedtime"] > 0


@documented(f"{SCHEMAS}#device-lifecycle-events")
async def test_the_life_of_a_device_is_told_with_its_twin(hub: Hub, changes: EventLog, device_id: str) -> None:
    """When it is created and when it is deleted."""
    await hub.register(device_id)
    await hub.call("DELETE", f"/devices/{device_id}")
    events = await changes.wait(device_id, 2)
    assert happened(events) == ["createDeviceIdentity", "deleteDeviceIdentity"]
    section = {"$metadata": {"$lastUpdated": "0001-01-01T00:00:00Z"}, "$version": 1}
    twin = {"deviceId": device_id, "etag": "AAAAAAAAAAE=", "version": 1}
    assert body(events[0]) == twin | {"properties": {"desired": section, "reported": section}}
    assert body(events[1])["deviceId"] == device_id


@documented(f"{SCHEMAS}#device-twin-change-events")
async def test_an_update_of_a_twin_is_told_with_what_changed(
    hub: Hub, directory: Path, changes: EventLog, device_id: str
) -> None:
    """Tags, desired and reported properties alike, with their metadata and versions, and not the rest."""
    await hub.register(device_id)
    await hub.call(
        "PATCH", f"/twins/{device_id}", {"tags": {"a": 1}, "properties": {"desired": {"b": {"c": 2}, "d": 3}}}
    )
    await hub.call("PATCH", f"/twins/{device_id}", {"properties": {"desired": {"b": {"c": 4}, "d": None}}})
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.patch_twin_reported_properties({"e": 5})
    events = await changes.wait(device_id, 6)
    updates = [event for event in events if event.properties["opType"] == "updateTwin"]
    assert {event.properties["iothub-message-schema"] for event in updates} == {"twinChangeNotification"}
    assert {event.system["iothub-message-source"] for event in updates} == {"twinChangeEvents"}
    first, second, third = map(body, updates)
    assert (first["version"], first["tags"]) == (2, {"a": 1})
    desired = second["properties"]["desired"]
    metadata = desired.pop("$metadata")
    assert desired == {"b": {"c": 4}, "d": None, "$version": 3}
    assert metadata["b"]["c"]["$lastUpdatedVersion"] == 3
    assert "d" not in metadata
    assert set(second) == {"version", "properties"}
    reported = third["properties"]["reported"]
    assert (set(third["properties"]), reported["e"], reported["$version"]) == ({"reported"}, 5, 2)


@documented(f"{SCHEMAS}#device-twin-change-events")
async def test_a_replacement_of_a_twin_is_told_with_all_of_it(hub: Hub, changes: EventLog, device_id: str) -> None:
    """The id, the etag, and all tags and properties."""
    await hub.register(device_id)
    await hub.call("PATCH", f"/twins/{device_id}", {"tags": {"kept": 1}})
    _, twin = await hub.call("PUT", f"/twins/{device_id}", {"properties": {"desired": {"a": 1}}})
    events = await changes.wait(device_id, 3)
    assert happened(events) == ["createDeviceIdentity", "updateTwin", "replaceTwin"]
    told = body(events[2])
    assert told == {name: twin[name] for name in ("deviceId", "etag", "version", "tags", "properties")}


@documented(f"{SCHEMAS}#connection-state-events")
async def test_connections_are_told_in_an_order_that_can_be_seen(
    hub: Hub, directory: Path, changes: EventLog, device_id: str
) -> None:
    """The sequence number is a hexadecimal text that grows, of which texts can be compared."""
    await hub.register(device_id)
    certificate = issued_identity(directory, hub.pki, device_id)
    for number in (1, 2):
        async with sdk_client(hub, device_id, certificate):
            pass
        await changes.wait(device_id, 1 + 2 * number)
    events = (await changes.wait(device_id, 5))[1:]
    assert happened(events) == ["deviceConnected", "deviceDisconnected"] * 2
    assert {event.properties["iothub-message-schema"] for event in events} == {"deviceConnectionStateNotification"}
    assert {event.system["iothub-message-source"] for event in events} == {"deviceConnectionStateEvents"}
    numbers = [body(event)["sequenceNumber"] for event in events]
    assert numbers == sorted(set(numbers))
    assert {len(number) for number in numbers} == {64}
    assert all(int(number, 16) for number in numbers)


@documented(f"{SCHEMAS}#connection-state-events")
async def test_a_lost_connection_is_told_like_one_that_was_closed(
    hub: Hub, directory: Path, changes: EventLog, device_id: str
) -> None:
    """A device that is cut off cannot say goodbye."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.abort()
        events = await changes.wait(device_id, 3)
    assert happened(events)[1:] == ["deviceConnected", "deviceDisconnected"]


@documented(f"{SCHEMAS}#connection-state-events")
async def test_a_device_that_is_taken_over_stays_connected(
    hub: Hub, directory: Path, changes: EventLog, device_id: str
) -> None:
    """One client after the other is no change of the state."""
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    async with sdk_client(hub, device_id, identity) as old, sdk_client(hub, device_id, identity):
        await eventually(lambda: not old.connected)
    events = await changes.wait(device_id, 3)
    assert happened(events)[1:] == ["deviceConnected", "deviceDisconnected"]


@documented("azure/iot-hub/iot-hub-devguide-routing-query-syntax#query-based-on-message-body")
async def test_a_route_can_choose_notifications_by_what_changed(hub: Hub, changes: EventLog, device_id: str) -> None:
    """`is_defined($body.properties.desired.…)` finds changes of a property, whatever its value is."""
    await hub.register(device_id)
    for desired in ({"campaign": "c-1"}, {"other": 1}, {"campaign": None}):
        await hub.call("PATCH", f"/twins/{device_id}", {"properties": {"desired": desired}})
    events = await changes.wait(device_id, 6)
    chosen = [body(event)["properties"]["desired"] for event in events if event.event_hub == "chosen"]
    assert [desired["campaign"] for desired in chosen] == ["c-1", None]
