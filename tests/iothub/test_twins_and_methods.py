"""Twins and direct methods between the device SDK and the service API."""

import asyncio
from pathlib import Path
from typing import Any

from azure.iot.device import MethodRequest, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient

from localcloud.iothub.mqtt.packets import Publish, Suback, Subscribe, Unsuback, Unsubscribe
from tests.iothub.devices import RawClient, eventually, handle, into, issued_identity, raw_client, sdk_client
from tests.iothub.services import Hub

METHODS = "$iothub/methods/POST/#"
TWIN_ANSWERS = "$iothub/twin/res/#"


def answering(client: IoTHubDeviceClient, status: int = 200) -> Any:
    async def answer(request: MethodRequest) -> None:
        payload = {"called": request.name, "with": request.payload}
        await client.send_method_response(MethodResponse.create_from_method_request(request, status, payload))

    return answer


async def test_reported_properties_merge_and_null_deletes(hub: Hub, directory: Path, device_id: str) -> None:
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


async def test_a_connected_device_is_told_of_a_desired_change(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    patches: asyncio.Queue[Any] = asyncio.Queue()
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await handle(client, "on_twin_desired_properties_patch_received", into(patches))
        change = {"properties": {"desired": {"update": {"campaign": "c-1"}, "gone": None}}}
        status, twin = await hub.call("PATCH", f"/twins/{device_id}", change)
        patch = await asyncio.wait_for(patches.get(), 15)
    assert (status, twin["properties"]["desired"]["$version"]) == (200, 2)
    assert patch == {"update": {"campaign": "c-1"}, "gone": None, "$version": 2}


async def test_get_twin_shows_what_was_wanted_while_the_device_was_away(
    hub: Hub, directory: Path, device_id: str
) -> None:
    await hub.register(device_id)
    await hub.call("PATCH", f"/twins/{device_id}", {"properties": {"desired": {"update": {"campaign": "c-1"}}}})
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        twin = await client.get_twin()
    assert twin == {"desired": {"update": {"campaign": "c-1"}, "$version": 2}, "reported": {"$version": 1}}


async def test_a_report_that_a_twin_cannot_hold_is_refused_and_changes_nothing(
    hub: Hub, directory: Path, device_id: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.send(Subscribe(1, ((TWIN_ANSWERS, 1),)))
        assert await client.receive() == Suback(1, b"\x01")
        bad = [b"", b"[]", b'{"a": NaN}', b'{"a.b": 1}', b"[" * 100_000, b'{"a":' * 11 + b"1" + b"}" * 11, b"\xff"]
        bad += [b'{"a": "%s"}' % (b"x" * 5000), b'{"a": 5000000000000000}']
        for number, body in enumerate(bad):
            client.publish(f"$iothub/twin/PATCH/properties/reported/?$rid={number}", body, qos=0)
            answer = await client.receive()
            assert isinstance(answer, Publish)
            assert answer.topic == f"$iothub/twin/res/400/?$rid={number}", body[:20]
    _, twin = await hub.call("GET", f"/twins/{device_id}")
    assert twin["properties"]["reported"]["$version"] == 1


async def test_a_method_reaches_the_device_and_its_answer_the_caller(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await handle(client, "on_method_request_received", answering(client, 201))
        path = f"/twins/{device_id}/methods"
        named = await hub.call("POST", path, {"methodName": "lock doors/ü", "payload": {"all": True}})
        bare = await hub.call("POST", path, {"methodName": "honk"})
    assert named == (200, {"status": 201, "payload": {"called": "lock doors/ü", "with": {"all": True}}})
    assert bare == (200, {"status": 201, "payload": {"called": "honk", "with": None}})


async def test_concurrent_calls_get_their_own_answers(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await handle(client, "on_method_request_received", answering(client))
        names = [f"method-{number}" for number in range(20)]
        path = f"/twins/{device_id}/methods"
        answers = await asyncio.gather(*(hub.call("POST", path, {"methodName": name}) for name in names))
    assert [body["payload"]["called"] for _, body in answers] == names


async def test_a_call_to_a_device_that_is_offline_is_404(hub: Hub, device_id: str) -> None:
    await hub.register(device_id)
    status, body = await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "honk"})
    assert status == 404
    assert '"errorCode":404103' in body["Message"]


async def test_a_call_that_is_not_answered_is_504(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await subscribe_to_methods(client)
        call = {"methodName": "honk", "responseTimeoutInSeconds": 5}
        status, body = await hub.call("POST", f"/twins/{device_id}/methods", call)
    assert status == 504
    assert '"errorCode":504101' in body["Message"]


async def test_a_call_waits_for_the_device_to_connect_if_asked_to(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    call = {"methodName": "wake", "connectTimeoutInSeconds": 20}
    waiting = asyncio.create_task(hub.call("POST", f"/twins/{device_id}/methods", call))
    async with sdk_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        assert not waiting.done(), "connected is not enough: it must listen"
        await handle(client, "on_method_request_received", answering(client))
        assert await waiting == (200, {"status": 200, "payload": {"called": "wake", "with": None}})


async def test_an_answer_from_another_device_is_nobodys(hub: Hub, directory: Path, device_id: str) -> None:
    other_id = f"{device_id}-other"
    for name in (device_id, other_id):
        await hub.register(name)
    victim = raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id))
    other = raw_client(hub, other_id, issued_identity(directory, hub.pki, other_id))
    async with victim as client, other as impostor:
        await impostor.connect()
        await subscribe_to_methods(client)
        waiting = asyncio.create_task(hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "open"}))
        request = await client.receive()
        assert isinstance(request, Publish)
        answer_topic = f"$iothub/methods/res/200/?{request.topic.partition('?')[2]}"
        impostor.publish(answer_topic, b'"forged"')
        await impostor.receive()
        client.publish(answer_topic, b'"genuine"')
        assert await waiting == (200, {"status": 200, "payload": "genuine"})


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


async def test_a_device_that_unsubscribes_from_methods_cannot_be_called(
    hub: Hub, directory: Path, device_id: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await subscribe_to_methods(client)
        client.send(Unsubscribe(2, (METHODS,)))
        assert await client.receive() == Unsuback(2)
        assert (await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "honk"}))[0] == 404


async def test_a_clean_session_forgets_subscriptions(hub: Hub, directory: Path, device_id: str) -> None:
    await hub.register(device_id)
    identity = issued_identity(directory, hub.pki, device_id)
    async with raw_client(hub, device_id, identity) as client:
        await subscribe_to_methods(client)
    async with raw_client(hub, device_id, identity) as client:
        await client.connect(clean_session=True)
        assert (await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "honk"}))[0] == 404


async def subscribe_to_methods(client: RawClient) -> None:
    assert await client.connect() == 0
    client.send(Subscribe(1, ((METHODS, 0),)))
    assert await client.receive() == Suback(1, b"\x00")
