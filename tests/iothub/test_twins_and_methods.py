"""Twins and direct methods between the device SDK and the service API."""

import asyncio
from pathlib import Path

from localcloud.iothub.methods import METHODS_FILTER
from localcloud.iothub.mqtt.packets import Publish, Suback, Subscribe, Unsuback, Unsubscribe
from tests.iothub.devices import issued_identity, raw_client, subscribe_to_methods
from tests.iothub.services import Hub

TWIN_ANSWERS = "$iothub/twin/res/#"


async def test_a_report_that_a_twin_cannot_hold_is_refused_and_changes_nothing(
    hub: Hub, directory: Path, device_id: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await client.connect()
        client.send(Subscribe(1, ((TWIN_ANSWERS, 1),)))
        assert await client.receive() == Suback(1, b"\x01")
        bad = [b"", b"[]", b'{"a": NaN}', b'{"a.b": 1}', b"[" * 100_000, b'{"a":' * 11 + b"1" + b"}" * 11, b"\xff"]
        bad += [b'{"a": "\xed\xa0\x80"}', b'{"a": "\\ud800"}', b'{"a": 1e400}']
        bad += [b'{"a": "%s"}' % (b"x" * 5000), b'{"a": 5000000000000000}']
        for number, body in enumerate(bad):
            client.publish(f"$iothub/twin/PATCH/properties/reported/?$rid={number}", body, qos=0)
            answer = await client.receive()
            assert isinstance(answer, Publish)
            assert answer.topic == f"$iothub/twin/res/400/?$rid={number}", body[:20]
    _, twin = await hub.call("GET", f"/twins/{device_id}")
    assert twin["properties"]["reported"]["$version"] == 1


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


async def test_a_device_that_unsubscribes_from_methods_cannot_be_called(
    hub: Hub, directory: Path, device_id: str
) -> None:
    await hub.register(device_id)
    async with raw_client(hub, device_id, issued_identity(directory, hub.pki, device_id)) as client:
        await subscribe_to_methods(client)
        client.send(Unsubscribe(2, (METHODS_FILTER,)))
        assert await client.receive() == Unsuback(2)
        assert (await hub.call("POST", f"/twins/{device_id}/methods", {"methodName": "honk"}))[0] == 404
