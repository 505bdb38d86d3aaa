"""The service API: registry and twins as services see them, and how it says no."""

from typing import Any

import pytest

from tests.iothub.services import Hub, refusal

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


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
        b'{"statusReason": "\xed\xa0\x80"}',
        {"deviceId": "another"},
        {"status": "asleep"},
        {"status": ["enabled"]},
        {"statusReason": 5},
        {"statusReason": "x" * 129},
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
    assert refusal(await hub.call("PUT", f"/devices/{device_id}", body)) == (400, "ArgumentInvalid")
    assert (await hub.call("GET", f"/devices/{device_id}"))[0] == 404


async def test_a_device_id_has_only_certain_characters(hub: Hub) -> None:
    assert refusal(await hub.call("PUT", "/devices/a%20b", {})) == (400, "ArgumentInvalid")
    assert refusal(await hub.call("PUT", f"/devices/{'x' * 129}", {})) == (400, "ArgumentInvalid")


async def test_a_twin_that_was_read_can_be_sent_back(hub: Hub, device_id: str) -> None:
    await hub.register(device_id)
    path = f"/twins/{device_id}"
    _, twin = await hub.call("PATCH", path, {"properties": {"desired": {"a": 1}}})
    status, again = await hub.call("PATCH", path, twin, if_match=f'"{twin["etag"]}"')
    assert status == 200
    assert {name: value for name, value in again["properties"]["desired"].items() if name[0] != "$"} == {"a": 1}


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
    assert refusal(await hub.call("POST", f"/twins/{device_id}/methods", call)) == (400, "ArgumentInvalid")


@pytest.mark.parametrize("body", [b"", b"5", b"[", b'["\xff"]', b'{"\xed\xa0\x80": 1}', b"[" * 100_000, b'[{"id": 1}]'])
async def test_what_is_no_document_is_refused_everywhere(hub: Hub, device_id: str, body: bytes) -> None:
    await hub.register(device_id)
    requests = [("POST", "/devices"), ("POST", "/devices/query"), ("PUT", f"/devices/{device_id}")]
    requests += [
        ("PATCH", f"/twins/{device_id}"),
        ("PUT", f"/twins/{device_id}"),
        ("POST", f"/twins/{device_id}/methods"),
    ]
    for method, path in requests:
        assert refusal(await hub.call(method, path, body, if_match="*")) == (400, "ArgumentInvalid"), path


@pytest.mark.parametrize("with_port", [True, False])
async def test_a_token_opens_the_hub_by_its_name_with_or_without_the_port(hub: Hub, *, with_port: bool) -> None:
    resource = f"{hub.address}:{hub.rest_port}" if with_port else hub.address
    assert (await hub.call("GET", "/devices", token=hub.token(resource)))[0] == 200
