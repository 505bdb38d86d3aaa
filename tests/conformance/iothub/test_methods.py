"""Direct methods between the service API and the device SDK."""

import asyncio
from pathlib import Path

import msgspec

from tests.conformance.documented import documented
from tests.iothub.devices import answering, handle, issued_identity, raw_client, sdk_client, subscribe_to_methods
from tests.iothub.services import Hub


@documented("azure/iot-hub/iot-hub-devguide-direct-methods#method-lifecycle")
async def test_a_method_reaches_the_device_and_its_answer_the_caller(hub: Hub, directory: Path, device_id: str) -> None:
    """Status and payload of the answer are the device's."""
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await handle(client, "on_method_request_received", answering(client, 201))
        path = f"/twins/{device_id}/methods"
        named = await hub.call("POST", path, {"methodName": "lock doors/ü", "payload": {"all": True}})
        bare = await hub.call("POST", path, {"methodName": "honk"})
    assert named == (200, {"status": 201, "payload": {"called": "lock doors/ü", "with": {"all": True}}})
    assert bare == (200, {"status": 201, "payload": {"called": "honk", "with": None}})


@documented("azure/iot-hub/iot-hub-devguide-direct-methods#response")
async def test_concurrent_calls_get_their_own_answers(hub: Hub, directory: Path, device_id: str) -> None:
    """The request id ties an answer to its call."""
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await handle(client, "on_method_request_received", answering(client))
        names = [f"method-{number}" for number in range(20)]
        path = f"/twins/{device_id}/methods"
        answers = await asyncio.gather(*(hub.call("POST", path, {"methodName": name}) for name in names))
    assert [body["payload"]["called"] for _, body in answers] == names


@documented("azure/iot-hub/troubleshoot-error-codes#404103-devicenotonline")
async def test_a_call_to_a_device_that_is_offline_is_404(hub: Hub, device_id: str) -> None:
    """At once, unless connectTimeoutInSeconds says to wait."""
    await hub.register(device_id)
    status, body = await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "honk"})
    assert status == 404
    assert '"errorCode":404103' in body["Message"]


@documented("azure/iot-hub/troubleshoot-error-codes#504101-gatewaytimeout")
async def test_a_call_that_is_not_answered_is_504(hub: Hub, directory: Path, device_id: str) -> None:
    """After responseTimeoutInSeconds."""
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await subscribe_to_methods(client)
        call = {"methodName": "honk", "responseTimeoutInSeconds": 5}
        status, body = await hub.call("POST", f"/twins/{device_id}/methods", call)
    assert status == 504
    assert '"errorCode":504101' in body["Message"]


@documented("azure/iot-hub/iot-hub-devguide-direct-methods#method-invocation")
async def test_a_call_waits_for_the_device_to_connect_if_asked_to(hub: Hub, directory: Path, device_id: str) -> None:
    """For connectTimeoutInSeconds."""
    await hub.register(device_id)
    call = {"methodName": "wake", "connectTimeoutInSeconds": 20}
    waiting = asyncio.create_task(hub.call("POST", f"/twins/{device_id}/methods", call))
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        assert not waiting.done(), "connected is not enough: it must listen"
        await handle(client, "on_method_request_received", answering(client))
        assert await waiting == (200, {"status": 200, "payload": {"called": "wake", "with": None}})


@documented("azure/iot-hub/iot-hub-devguide-direct-methods#method-lifecycle")
async def test_a_call_may_have_128_kb_and_no_more(hub: Hub, directory: Path, device_id: str) -> None:
    """The payload for method requests and responses is a JSON document up to 128 KB."""
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await handle(client, "on_method_request_received", answering(client))
        call = {"methodName": "load", "payload": "x" * (127 * 1024)}
        status, body = await hub.call("POST", f"/twins/{device_id}/methods", call)
        assert (status, len(body["payload"]["with"])) == (200, 127 * 1024)
        call = {"methodName": "load", "payload": "x" * (129 * 1024)}
        assert (await hub.call("POST", f"/twins/{device_id}/methods", call))[0] == 400


@documented("rest/api/iothub/common-error-codes")
async def test_a_call_that_fails_says_why_in_a_document(hub: Hub, device_id: str) -> None:
    """`Message` is JSON with the error's number, unlike with other operations."""
    await hub.register(device_id)
    _, headers, body = await hub.exchange("POST", f"/twins/{device_id}/methods", {"methodName": "honk"})
    assert headers["iothub-errorcode"] == "DeviceNotOnline"
    document = msgspec.json.decode(body["Message"])
    assert document["errorCode"] == 404103
    assert set(document) == {"errorCode", "trackingId", "message", "info", "timestampUtc"}
