"""The service API: registry and twins as services see them, and how it says no."""

from typing import Any

import pytest

from tests.iothub.services import Hub

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    """Status and error code of a refusal."""
    return answer[0], answer[1]["Message"].removeprefix("ErrorCode:").partition(";")[0]


async def test_a_new_device_has_an_etag_a_generation_and_no_connection(hub: Hub, device_id: str) -> None:
    identity = await hub.register(device_id)
    assert identity["deviceId"] == device_id
    assert len(identity["generationId"]) == 18
    assert (identity["status"], identity["connectionState"]) == ("enabled", "Disconnected")
    assert await hub.call("GET", f"/devices/{device_id}") == (200, identity)
    _, devices = await hub.call("GET", "/devices")
    assert identity in devices


async def test_a_list_is_no_longer_than_asked_for(hub: Hub, device_id: str) -> None:
    for suffix in "abc":
        await hub.register(f"{device_id}-{suffix}")
    _, devices = await hub.call("GET", "/devices?top=2")
    assert len(devices) == 2


async def test_a_device_is_made_only_once(hub: Hub, device_id: str) -> None:
    await hub.register(device_id)
    assert code(await hub.call("PUT", f"/devices/{device_id}", {})) == (409, "DeviceAlreadyExists")


@pytest.mark.parametrize("form", ['"{}"', "{}", "*"])
async def test_a_change_needs_the_present_etag(hub: Hub, device_id: str, form: str) -> None:
    identity = await hub.register(device_id)
    change = identity | {"status": "disabled"}
    path = f"/devices/{device_id}"
    assert code(await hub.call("PUT", path, change, if_match='"stale"')) == (412, "PreconditionFailed")
    status, changed = await hub.call("PUT", path, change, if_match=form.format(identity["etag"]))
    assert (status, changed["status"]) == (200, "disabled")
    assert changed["etag"] != identity["etag"]
    assert changed["generationId"] == identity["generationId"]
    assert changed["authentication"]["type"] == "certificateAuthority"


async def test_a_deleted_device_is_gone(hub: Hub, device_id: str) -> None:
    await hub.register(device_id)
    path = f"/devices/{device_id}"
    assert code(await hub.call("DELETE", path, if_match='"stale"')) == (412, "PreconditionFailed")
    assert await hub.call("DELETE", path) == (204, None)
    for method, missing in (("GET", path), ("DELETE", path), ("GET", f"/twins/{device_id}")):
        assert code(await hub.call(method, missing)) == (404, "DeviceNotFound")
    assert code(await hub.call("PUT", path, {}, if_match="*")) == (404, "DeviceNotFound")
    assert code(await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "x"})) == (404, "DeviceNotFound")


async def test_keys_are_made_when_none_are_given_and_kept_when_none_are_sent(hub: Hub, device_id: str) -> None:
    identity = await hub.register(device_id, type="sas")
    keys = identity["authentication"]["symmetricKey"]
    assert keys["primaryKey"] != keys["secondaryKey"]
    change = {"status": "disabled", "authentication": {"type": "sas"}}
    _, changed = await hub.call("PUT", f"/devices/{device_id}", change, if_match="*")
    assert changed["authentication"]["symmetricKey"] == keys


async def test_thumbprints_are_kept_in_one_spelling(hub: Hub, device_id: str) -> None:
    identity = await hub.register(device_id, x509Thumbprint={"primaryThumbprint": ":".join(["ab"] * 32)})
    assert identity["authentication"]["type"] == "selfSigned"
    assert identity["authentication"]["x509Thumbprint"] == {
        "primaryThumbprint": "AB" * 32,
        "secondaryThumbprint": None,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        {"deviceId": "another"},
        {"status": "asleep"},
        {"status": ["enabled"]},
        {"authentication": "none"},
        {"authentication": {"type": "magic"}},
        {"authentication": {"type": ["sas"]}},
        {"authentication": {"type": "selfSigned"}},
        {"authentication": {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "12"}}},
        {"authentication": {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": 12}}},
        {"authentication": {"type": "sas", "symmetricKey": {"primaryKey": KEY}}},
        {"authentication": {"type": "sas", "symmetricKey": {"primaryKey": KEY, "secondaryKey": "no base64"}}},
    ],
)
async def test_an_identity_that_makes_no_sense_is_refused(hub: Hub, device_id: str, body: Any) -> None:
    assert code(await hub.call("PUT", f"/devices/{device_id}", body)) == (400, "ArgumentInvalid")
    assert (await hub.call("GET", f"/devices/{device_id}"))[0] == 404


async def test_a_device_id_has_only_certain_characters(hub: Hub) -> None:
    assert code(await hub.call("PUT", "/devices/a%20b", {})) == (400, "ArgumentInvalid")
    assert code(await hub.call("PUT", f"/devices/{'x' * 129}", {})) == (400, "ArgumentInvalid")


async def test_a_twin_patch_merges_and_a_replacement_replaces(hub: Hub, device_id: str) -> None:
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


async def test_a_twin_that_was_read_can_be_sent_back(hub: Hub, device_id: str) -> None:
    await hub.register(device_id)
    path = f"/twins/{device_id}"
    _, twin = await hub.call("PATCH", path, {"properties": {"desired": {"a": 1}}})
    status, again = await hub.call("PATCH", path, twin, if_match=f'"{twin["etag"]}"')
    assert status == 200
    assert {name: value for name, value in again["properties"]["desired"].items() if name[0] != "$"} == {"a": 1}


async def test_a_twin_change_can_be_tied_to_the_present_etag(hub: Hub, device_id: str) -> None:
    await hub.register(device_id)
    path = f"/twins/{device_id}"
    _, twin = await hub.call("GET", path)
    change = {"tags": {"a": 1}}
    assert (await hub.call("PATCH", path, change, if_match=f'"{twin["etag"]}"'))[0] == 200
    assert code(await hub.call("PATCH", path, change, if_match=f'"{twin["etag"]}"')) == (412, "PreconditionFailed")


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
    await hub.register(device_id)
    _, before = await hub.call("GET", f"/twins/{device_id}")
    assert code(await hub.call("PATCH", f"/twins/{device_id}", change)) == (400, "ArgumentInvalid")
    assert await hub.call("GET", f"/twins/{device_id}") == (200, before)


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"methodName": ""},
        {"methodName": "x", "responseTimeoutInSeconds": 4},
        {"methodName": "x", "connectTimeoutInSeconds": 301},
    ],
)
async def test_a_call_outside_of_the_limits_is_refused(hub: Hub, device_id: str, call: dict[str, Any]) -> None:
    await hub.register(device_id)
    assert code(await hub.call("POST", f"/twins/{device_id}/methods", call)) == (400, "ArgumentInvalid")


@pytest.mark.parametrize("with_port", [True, False])
async def test_a_token_opens_the_hub_by_its_name_with_or_without_the_port(hub: Hub, *, with_port: bool) -> None:
    resource = f"{hub.address}:{hub.rest_port}" if with_port else hub.address
    assert (await hub.call("GET", "/devices", token=hub.token(resource)))[0] == 200


async def test_any_other_token_is_refused(hub: Hub) -> None:
    tokens = [
        "none",
        "Bearer abc",
        hub.token("another-hub"),
        hub.token(hub.address, policy="service"),
        hub.token(hub.address, key=KEY),
        hub.token(hub.address, lifetime_s=-1),
    ]
    for token in tokens:
        assert code(await hub.call("GET", "/devices", token=token)) == (401, "IotHubUnauthorizedAccess")
