"""The identity registry as services see it, and how it says no."""

from typing import Any

import pytest

from tests.conformance.documented import documented
from tests.iothub.services import Hub, refusal

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BULK = "rest/api/iothub/service/bulk-registry/update-registry"


@documented("azure/iot-hub/iot-hub-devguide-identity-registry#device-identity-properties")
async def test_a_new_device_has_an_etag_a_generation_and_no_connection(hub: Hub, device_id: str) -> None:
    """What the registry sets itself."""
    identity = await hub.register(device_id)
    assert identity["deviceId"] == device_id
    assert len(identity["generationId"]) == 18
    assert (identity["status"], identity["connectionState"]) == ("enabled", "Disconnected")
    assert await hub.call("GET", f"/devices/{device_id}") == (200, identity)
    _, devices = await hub.call("GET", "/devices")
    assert identity in devices


@documented("rest/api/iothub/service/devices/get-devices")
async def test_a_list_is_no_longer_than_asked_for(hub: Hub, device_id: str) -> None:
    """`top` bounds a list."""
    for suffix in "abc":
        await hub.register(f"{device_id}-{suffix}")
    _, devices = await hub.call("GET", "/devices?top=2")
    assert len(devices) == 2


@documented("azure/iot-hub/troubleshoot-error-codes#409001-devicealreadyexists")
async def test_a_device_is_made_only_once(hub: Hub, device_id: str) -> None:
    """A PUT without If-Match makes a device."""
    await hub.register(device_id)
    assert refusal(await hub.call("PUT", f"/devices/{device_id}", {})) == (409, "DeviceAlreadyExists")


@documented("azure/iot-hub/iot-hub-devguide-identity-registry#identity-registry-operations")
@pytest.mark.parametrize("form", ['"{}"', "{}", "*"])
async def test_a_change_needs_the_present_etag(hub: Hub, device_id: str, form: str) -> None:
    """All operations can use optimistic concurrency, as specified in RFC 7232."""
    identity = await hub.register(device_id)
    change = identity | {"status": "disabled"}
    path = f"/devices/{device_id}"
    assert refusal(await hub.call("PUT", path, change, if_match='"stale"')) == (412, "PreconditionFailed")
    status, changed = await hub.call("PUT", path, change, if_match=form.format(identity["etag"]))
    assert (status, changed["status"]) == (200, "disabled")
    assert changed["etag"] != identity["etag"]
    assert changed["generationId"] == identity["generationId"]
    assert changed["authentication"]["type"] == "certificateAuthority"


@documented("azure/iot-hub/troubleshoot-error-codes#404001-devicenotfound")
async def test_a_deleted_device_is_gone(hub: Hub, device_id: str) -> None:
    """With its twin."""
    await hub.register(device_id)
    path = f"/devices/{device_id}"
    assert refusal(await hub.call("DELETE", path, if_match='"stale"')) == (412, "PreconditionFailed")
    assert await hub.call("DELETE", path) == (204, None)
    for method, missing in (("GET", path), ("DELETE", path), ("GET", f"/twins/{device_id}")):
        assert refusal(await hub.call(method, missing)) == (404, "DeviceNotFound")
    assert refusal(await hub.call("PUT", path, {}, if_match="*")) == (404, "DeviceNotFound")
    assert refusal(await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "x"})) == (
        404,
        "DeviceNotFound",
    )


@documented("rest/api/iothub/service/devices/create-or-update-identity")
async def test_keys_are_made_when_none_are_given_and_kept_when_none_are_sent(hub: Hub, device_id: str) -> None:
    """Of a device that authenticates by tokens."""
    identity = await hub.register(device_id, type="sas")
    keys = identity["authentication"]["symmetricKey"]
    assert keys["primaryKey"] != keys["secondaryKey"]
    change = {"status": "disabled", "authentication": {"type": "sas"}}
    _, changed = await hub.call("PUT", f"/devices/{device_id}", change, if_match="*")
    assert changed["authentication"]["symmetricKey"] == keys


@documented("rest/api/iothub/common-error-codes")
async def test_any_other_token_is_refused(hub: Hub) -> None:
    """401, unauthorized."""
    tokens = [
        "none",
        "Bearer abc",
        hub.token("another-hub"),
        hub.token(hub.address, policy="service"),
        hub.token(hub.address, key=KEY),
        hub.token(hub.address, lifetime_s=-1),
    ]
    for token in tokens:
        assert refusal(await hub.call("GET", "/devices", token=token)) == (401, "IotHubUnauthorizedAccess")


@documented("rest/api/iothub/service/devices/get-devices")
async def test_a_list_has_at_most_1000_devices(hub: Hub, device_id: str) -> None:
    """Who wants more has to query."""
    for top, status in (("0", 400), ("1", 200), ("1000", 200), ("1001", 400), ("many", 400)):
        assert (await hub.call("GET", f"/devices?top={top}"))[0] == status


@documented(BULK)
async def test_many_devices_are_made_changed_and_deleted_in_one_request(hub: Hub, device_id: str) -> None:
    """Different operations on different devices are allowed."""
    names = [f"{device_id}-{letter}" for letter in "abc"]
    made = [
        {"id": name, "importMode": "create", "authentication": {"type": "certificateAuthority"}, "tags": {"n": name}}
        for name in names
    ]
    success = {"isSuccessful": True, "errors": [], "warnings": []}
    assert await hub.call("POST", "/devices", made) == (200, success)
    _, twin = await hub.call("GET", f"/twins/{names[0]}")
    assert twin["tags"] == {"n": names[0]}
    _, known = await hub.call("GET", f"/devices/{names[1]}")
    operations = [
        {"id": names[0], "importMode": "updateTwin", "tags": {"n": None}},
        {"id": names[1], "importMode": "updateIfMatchETag", "eTag": known["etag"], "status": "disabled"},
        {"id": names[2], "importMode": "delete"},
        {"id": f"{device_id}-d", "importMode": "createOrUpdate"},
    ]
    assert await hub.call("POST", "/devices", operations) == (200, success)
    assert (await hub.call("GET", f"/twins/{names[0]}"))[1]["tags"] == {}
    assert (await hub.call("GET", f"/devices/{names[1]}"))[1]["status"] == "disabled"
    assert (await hub.call("GET", f"/devices/{names[2]}"))[0] == 404
    assert (await hub.call("GET", f"/devices/{device_id}-d"))[0] == 200


@documented(BULK)
async def test_what_fails_in_a_bulk_request_is_named_and_the_rest_is_done(hub: Hub, device_id: str) -> None:
    """The result lists the errors by device; the request as a whole is 400."""
    await hub.register(device_id)
    operations: list[dict[str, Any]] = [
        {"id": device_id, "importMode": "create"},
        {"id": f"{device_id}-x", "importMode": "update"},
        {"id": f"{device_id}-y", "importMode": "create", "tags": {"a b": 1}},
        {"id": f"{device_id}-z", "importMode": "create"},
    ]
    status, result = await hub.call("POST", "/devices", operations)
    assert (status, result["isSuccessful"]) == (400, False)
    assert {error["deviceId"]: error["errorCode"] for error in result["errors"]} == {
        device_id: "DeviceAlreadyExists",
        f"{device_id}-x": "DeviceNotFound",
        f"{device_id}-y": "ArgumentInvalid",
    }
    assert [(await hub.call("GET", f"/devices/{device_id}-{suffix}"))[0] for suffix in "xyz"] == [404, 404, 200]


@documented(BULK)
async def test_a_bulk_request_has_at_most_100_devices_each_once(hub: Hub, device_id: str) -> None:
    """A device identity can be specified only once in the list."""
    many = [{"id": f"{device_id}-{number}", "importMode": "create"} for number in range(101)]
    for operations in (many, [many[0], many[0]], {"id": "x"}, [{"id": "x"}]):
        assert (await hub.call("POST", "/devices", operations))[0] == 400
    assert (await hub.call("GET", f"/devices/{device_id}-0"))[0] == 404


@documented("rest/api/iothub/service/statistics/get-device-statistics")
async def test_statistics_count_devices(hub: Hub, device_id: str) -> None:
    """Enabled, disabled, and all of them."""
    _, before = await hub.call("GET", "/statistics/devices")
    await hub.register(device_id)
    await hub.call("PUT", f"/devices/{device_id}", {"status": "disabled"}, if_match="*")
    _, after = await hub.call("GET", "/statistics/devices")
    assert after["totalDeviceCount"] == before["totalDeviceCount"] + 1
    assert after["disabledDeviceCount"] == before["disabledDeviceCount"] + 1
    assert after["enabledDeviceCount"] == before["enabledDeviceCount"]
    _, connected = await hub.call("GET", "/statistics/service")
    assert connected["connectedDeviceCount"] <= after["enabledDeviceCount"]


@documented("rest/api/iothub/service/modules/get-identity")
async def test_modules_are_refused_in_words(hub: Hub, device_id: str) -> None:
    """There are none in this hub, which says so instead of pretending that the device is not there."""
    await hub.register(device_id)
    for method, path in (
        ("PUT", f"/devices/{device_id}/modules/camera"),
        ("GET", f"/twins/{device_id}/modules/camera"),
    ):
        answer = await hub.call(method, path, {} if method == "PUT" else None)
        assert refusal(answer) == (400, "ArgumentInvalid")
        assert "no modules" in answer[1]["Message"]
