"""Twins between the device SDK and the service API."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.documented import documented
from tests.iothub.devices import (
    answering,
    eventually,
    handle,
    into,
    issued_identity,
    raw_client,
    sdk_client,
    subscribe_to_methods,
)
from tests.iothub.services import Hub, refusal


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#update-device-twins-reported-properties")
async def test_reported_properties_merge_and_null_deletes(hub: Hub, directory: Path, device_id: str) -> None:
    """Each member of the patch adds or updates; null deletes. Metadata tells when and in which version."""
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.patch_twin_reported_properties({"software": {"gateway": "1.2", "radio": "3"}, "gone": 1})
        await client.patch_twin_reported_properties({"software": {"radio": None}, "gone": None, "range_km": 310})
    _, twin = await hub.call("GET", f"/twins/{device_id}")
    reported = twin["properties"]["reported"]
    metadata = reported.pop("$metadata")
    assert reported == {"software": {"gateway": "1.2"}, "range_km": 310, "$version": 3}
    assert metadata["software"]["gateway"]["$lastUpdatedVersion"] == 2
    assert metadata["range_km"]["$lastUpdatedVersion"] == 3
    assert "gone" not in metadata


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#receive-desired-properties-update-notifications")
async def test_a_connected_device_is_told_of_a_desired_change(hub: Hub, directory: Path, device_id: str) -> None:
    """With what the back end sent, nulls and all, and the new version."""
    await hub.register(device_id)
    patches: asyncio.Queue[Any] = asyncio.Queue()
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await handle(client, "on_twin_desired_properties_patch_received", into(patches))
        change = {"properties": {"desired": {"update": {"campaign": "c-1"}, "gone": None}}}
        status, twin = await hub.call("PATCH", f"/twins/{device_id}", change)
        patch = await asyncio.wait_for(patches.get(), 15)
    assert (status, twin["properties"]["desired"]["$version"]) == (200, 2)
    assert patch == {"update": {"campaign": "c-1"}, "gone": None, "$version": 2}


@documented("azure/iot-hub/iot-hub-devguide-device-twins#device-reconnection-flow")
async def test_get_twin_shows_what_was_wanted_while_the_device_was_away(
    hub: Hub, directory: Path, device_id: str
) -> None:
    """There is no notification for a device that is away: it reads its twin when it is back."""
    await hub.register(device_id)
    await hub.call("PATCH", f"/twins/{device_id}", {"properties": {"desired": {"update": {"campaign": "c-1"}}}})
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        twin = await client.get_twin()
    assert twin == {"desired": {"update": {"campaign": "c-1"}, "$version": 2}, "reported": {"$version": 1}}


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#receive-cloud-to-device-messages")
async def test_subscriptions_outlive_a_connection(hub: Hub, directory: Path, device_id: str) -> None:
    """The SDK relies on MQTT's persistent session: it does not subscribe again when it reconnects by itself."""
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    async with sdk_client(hub, device_id, identity, connection_retry=True) as client:
        await handle(client, "on_method_request_received", answering(client))
        async with raw_client(hub, device_id, identity) as rival:
            assert await rival.connect() == 0
            await eventually(lambda: not client.connected)
        await eventually(lambda: bool(client.connected))
        call = {"methodName": "honk", "connectTimeoutInSeconds": 10}
        assert (await hub.call("POST", f"/twins/{device_id}/methods", call))[0] == 200


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#receive-cloud-to-device-messages")
async def test_a_clean_session_forgets_subscriptions(hub: Hub, directory: Path, device_id: str) -> None:
    """With CleanSession 1 a device gets nothing until it subscribes."""
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    async with raw_client(hub, device_id, identity) as client:
        await subscribe_to_methods(client)
    async with raw_client(hub, device_id, identity) as client:
        await client.connect(clean_session=True)
        assert (await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "honk"}))[0] == 404


@documented("azure/iot-hub/iot-hub-devguide-device-twins#back-end-operations")
async def test_a_twin_patch_merges_and_a_replacement_replaces(hub: Hub, device_id: str) -> None:
    """Partial updates, and replacements of tags or of desired properties."""
    await hub.register(device_id)
    path = f"/twins/{device_id}"
    await hub.call("PATCH", path, {"tags": {"market": "de", "brand": "x"}, "properties": {"desired": {"a": {"b": 1}}}})
    _, merged = await hub.call("PATCH", path, {"tags": {"brand": None}, "properties": {"desired": {"a": {"c": [2]}}}})
    assert merged["tags"] == {"market": "de"}
    assert merged["properties"]["desired"]["a"] == {"b": 1, "c": [2]}
    _, replaced = await hub.call("PUT", path, {"properties": {"desired": {"d": 3}}})
    desired = replaced["properties"]["desired"]
    assert (desired.pop("$metadata")["d"]["$lastUpdatedVersion"], desired) == (4, {"d": 3, "$version": 4})
    assert replaced["tags"] == {"market": "de"}, "what is absent from a replacement stays"


@documented("azure/iot-hub/iot-hub-devguide-device-twins#optimistic-concurrency")
async def test_a_twin_change_can_be_tied_to_the_present_etag(hub: Hub, device_id: str) -> None:
    """If-Match with the etag of the twin; another one is 412."""
    await hub.register(device_id)
    path = f"/twins/{device_id}"
    _, twin = await hub.call("GET", path)
    change = {"tags": {"a": 1}}
    assert (await hub.call("PATCH", path, change, if_match=f'"{twin["etag"]}"'))[0] == 200
    assert refusal(await hub.call("PATCH", path, change, if_match=f'"{twin["etag"]}"')) == (412, "PreconditionFailed")


@documented("azure/iot-hub/iot-hub-devguide-device-twins#tags-and-properties-format")
@pytest.mark.parametrize(
    "change",
    [
        {"tags": []},
        {"properties": []},
        {"properties": {"desired": 1}},
        {"properties": {"desired": {"a b": 1}}},
        {"properties": {"desired": {"a": {"$b": 1}}}},
        {"properties": {"desired": {"a": "x" * 4097}}},
        {"properties": {"desired": {str(number): "x" * 4000 for number in range(9)}}},
        {"tags": {str(number): "x" * 4000 for number in range(3)}, "properties": {"desired": {"a": 1}}},
    ],
)
async def test_a_change_that_a_twin_cannot_hold_changes_nothing(
    hub: Hub, device_id: str, change: dict[str, Any]
) -> None:
    """All of a change is taken, or none."""
    await hub.register(device_id)
    _, before = await hub.call("GET", f"/twins/{device_id}")
    assert refusal(await hub.call("PATCH", f"/twins/{device_id}", change)) == (400, "ArgumentInvalid")
    assert await hub.call("GET", f"/twins/{device_id}") == (200, before)


@documented("azure/iot-hub/iot-hub-devguide-device-twins#device-twin-size")
async def test_the_size_of_a_twin_is_that_of_names_and_values(hub: Hub, device_id: str) -> None:
    """Up to 8 KB of tags: texts by their characters without control characters, numbers 8 bytes, booleans 4."""
    await hub.register(device_id)
    tags: dict[str, Any] = {"a": "x" * 4096, "b": "\t" * 4096, "c": [1, True], "d": "y" * (8192 - 4096 - 4 - 12)}
    assert (await hub.call("PATCH", f"/twins/{device_id}", {"tags": tags}))[0] == 200
    assert (await hub.call("PATCH", f"/twins/{device_id}", {"tags": {"e": 1}}))[0] == 400


@documented("azure/iot-hub/iot-hub-devguide-device-twins#device-operations")
async def test_tags_are_not_for_the_device(hub: Hub, directory: Path, device_id: str) -> None:
    """A device reads desired and reported properties with their versions, and nothing else."""
    await hub.register(device_id)
    await hub.call("PATCH", f"/twins/{device_id}", {"tags": {"owner": "someone"}})
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        assert await client.get_twin() == {"desired": {"$version": 1}, "reported": {"$version": 1}}


@documented("azure/iot-hub/iot-hub-devguide-device-twins#optimistic-concurrency")
async def test_what_a_device_reports_leaves_the_etag_of_the_twin(hub: Hub, directory: Path, device_id: str) -> None:
    """The etag is for services; reported properties have a version of their own."""
    await hub.register(device_id)
    _, before = await hub.call("GET", f"/twins/{device_id}")
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.patch_twin_reported_properties({"speed": 5})
    _, after = await hub.call("GET", f"/twins/{device_id}")
    assert after["etag"] == before["etag"]
    assert after["properties"]["reported"]["$version"] == before["properties"]["reported"]["$version"] + 1
    assert after["version"] == before["version"] + 1
