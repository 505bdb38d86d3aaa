"""The limits of a tier, as devices and services run into them."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from azure.iot.device.aio import IoTHubDeviceClient

from tests.conformance.documented import documented
from tests.iothub.devices import issued_identity, sdk_client, telemetry
from tests.iothub.events import EventLog
from tests.iothub.services import Hub

QUOTAS = "azure/iot-hub/iot-hub-devguide-quotas-throttling"


async def register(hub: Hub, *device_ids: str) -> None:
    """As often as it takes: that is limited too."""
    devices = [
        {"id": device_id, "importMode": "create", "authentication": {"type": "certificateAuthority"}}
        for device_id in device_ids
    ]
    async with asyncio.timeout(30):
        while True:
            status, headers, _ = await hub.exchange("POST", "/devices", devices)
            if status != 429:
                assert status == 200
                return
            await asyncio.sleep(int(headers["Retry-After"]))


@asynccontextmanager
async def connected(hub: Hub, *device_ids: str) -> AsyncIterator[list[IoTHubDeviceClient]]:
    """The SDK as these new devices."""
    await register(hub, *device_ids)
    async with AsyncExitStack() as stack:
        identities = [issued_identity(hub.log.parent, hub.pki, device_id) for device_id in device_ids]
        clients = [sdk_client(hub, *pair) for pair in zip(device_ids, identities, strict=True)]
        yield await asyncio.gather(*map(stack.enter_async_context, clients))


@documented(f"{QUOTAS}#operation-throttles")
async def test_registry_operations_beyond_the_limit_are_429(limited_hub: Hub, device_id: str) -> None:
    """100 a minute and unit; the answer has the documented code and says when to come back."""
    answers = await asyncio.gather(*(limited_hub.exchange("GET", f"/devices/{device_id}") for _ in range(30)))
    refused = [(headers, body) for status, headers, body in answers if status == 429]
    assert len(answers) > len(refused) > 0, "some pass"
    for headers, body in refused:
        assert headers["iothub-errorcode"] == "ThrottlingException"
        assert int(headers["Retry-After"]) >= 1
        assert msgspec.json.decode(body["Message"])["errorCode"] == 429001


@documented(f"{QUOTAS}#operation-throttles")
async def test_queries_have_a_limit_of_their_own(limited_hub: Hub) -> None:
    """20 a minute and unit."""
    query = {"query": "SELECT * FROM devices"}
    answers = await asyncio.gather(*(limited_hub.call("POST", "/devices/query", query) for _ in range(15)))
    assert {status for status, _ in answers} == {200, 429}


@documented(f"{QUOTAS}#traffic-shaping")
async def test_sends_beyond_the_limit_are_queued_and_acknowledged_later(
    limited_hub: Hub, events: EventLog, device_id: str
) -> None:
    """A burst is accepted; what follows is processed at the limit rate, in its order, and nothing is lost."""
    async with connected(limited_hub, device_id) as [client]:
        began = time.monotonic()
        await asyncio.gather(*(client.send_message(telemetry(str(number))) for number in range(60)))
        assert time.monotonic() - began > 0.45, "10 at once and then 100 a second"
    assert len(await events.wait(device_id, 60)) == 60


@documented(f"{QUOTAS}#traffic-shaping")
async def test_who_goes_on_sending_beyond_the_limit_is_disconnected(limited_hub: Hub, device_id: str) -> None:
    """Once the queue is full: MQTT 3.1.1 has no other way to refuse a message.

    The SDK has 20 messages on the way at a time, so that it takes several devices to fill the queue.
    """
    names = [f"{device_id}-{number}" for number in range(10)]
    await register(limited_hub, *names)
    arguments = [limited_hub.address, str(limited_hub.pki.root)]
    for name in names:
        identity = issued_identity(limited_hub.log.parent, limited_hub.pki, name)
        arguments += (name, str(identity.certificate_file), str(identity.key_file))
    devices = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.conformance.iothub.flooding_devices", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # of the SDK
    )
    error, _ = await asyncio.wait_for(devices.communicate(), 60)
    assert error in {b"ConnectionDroppedError", b"NoConnectionError", b"OperationCancelled"}


@documented("azure/iot/iot-mqtt-connect-to-iot-hub#update-device-twins-reported-properties")
async def test_reports_beyond_the_limit_are_answered_with_429(limited_hub: Hub, device_id: str) -> None:
    """50 a second; the SDK raises an error because of it, and the connection stays."""
    async with connected(limited_hub, device_id) as [client]:
        await client.patch_twin_reported_properties({"n": 0})
        reports = [client.patch_twin_reported_properties({"n": number}) for number in range(200)]
        results: list[Any] = await asyncio.gather(*reports, return_exceptions=True)
        assert client.connected
    refused = [result for result in results if result is not None]
    assert refused
    assert {str(error.__cause__) for error in refused} == {"twin operation returned status 429"}
    assert len(refused) < len(results)


@documented(f"{QUOTAS}#throttling-details")
async def test_calls_are_metered_by_4_kb(limited_hub: Hub, device_id: str) -> None:
    """160 KB a second and unit: of small calls 40, and of those of 128 KB just one."""
    await register(limited_hub, device_id)
    path = f"/twins/{device_id}/methods"

    async def call(payload: str) -> int:
        status, _ = await limited_hub.call("POST", path, {"methodName": "x", "payload": payload})
        return status

    small = await asyncio.gather(*(call("x") for _ in range(30)))
    assert set(small) == {404}, "nobody is online, but that counts too"
    await asyncio.sleep(1)
    large = await asyncio.gather(*(call("x" * 127 * 1024) for _ in range(30)))
    assert set(large) == {404, 429}
