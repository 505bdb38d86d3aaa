"""With `--data` everything that a client was told survives the hub, even one that is killed."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from localcloud.iothub.mqtt.packets import Publish, Suback, Subscribe
from localcloud.layout import Layout
from tests.iothub.devices import eventually, handle, into, issued_identity, raw_client, sdk_client, self_signed_identity
from tests.iothub.events import consuming
from tests.iothub.services import CONFIG, Hub, event_hubs, own_address, running_hub, start_broker

TWIN_ANSWERS = "$iothub/twin/res/#"
DESIRED = "$iothub/twin/PATCH/properties/desired/#"
NOBODY = event_hubs(9)


class Place:
    """Where a hub comes back to what it knew."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address = own_address()
        self.config = CONFIG

    def hub(self, event_hubs_connection: str = NOBODY) -> AbstractAsyncContextManager[Hub]:
        return running_hub(
            self.directory,
            event_hubs_connection,
            self.config,
            address=self.address,
            data=self.directory / "data",
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_devices_and_twins_are_as_they_were_after_a_stop(place: Place) -> None:
    thumbprints = {"primaryThumbprint": "AB" * 32}
    async with place.hub() as hub:
        await hub.register("with-thumbprint", type="selfSigned", x509Thumbprint=thumbprints)
        await hub.register("with-keys", type="sas")
        await hub.register("gone")
        await hub.call("DELETE", "/devices/gone")
        change = {"tags": {"market": "de"}, "properties": {"desired": {"a": {"b": [1, 2.5, None]}}}}
        await hub.call("PATCH", "/twins/with-keys", change)
        before = [await state(hub, name) for name in ("with-thumbprint", "with-keys")]
        assert await hub.service.stop() == 0
    async with place.hub() as hub:
        assert [await state(hub, name) for name in ("with-thumbprint", "with-keys")] == before
        assert (await hub.call("GET", "/devices/gone"))[0] == 404


async def test_what_clients_were_told_in_the_middle_of_writing_survives_a_kill(place: Place) -> None:
    """A twin is as it was last told, or one change further: the answer to that one did not get out any more.

    Versions and etags go on from there, and the generation is the same.
    """
    names = [f"car-{number}" for number in range(6)]
    told: dict[str, Any] = {}
    async with place.hub() as hub:
        identities = {name: await hub.register(name) for name in names}
        writers = [asyncio.create_task(write(hub, name, told)) for name in names]
        await eventually(lambda: len(told) == len(names) and all(twin["version"] > 20 for twin in told.values()))
        await hub.service.kill()
        await asyncio.gather(*writers)
    async with place.hub() as hub:
        for name in names:
            _, twin = await hub.call("GET", f"/twins/{name}")
            assert twin["version"] - told[name]["version"] in (0, 1)
            assert twin["tags"]["count"] == twin["properties"]["desired"]["count"] == twin["version"]
            _, changed = await hub.call("PATCH", f"/twins/{name}", {"tags": {}}, if_match=f'"{twin["etag"]}"')
            assert changed["version"] == twin["version"] + 1
            assert changed["etag"] != twin["etag"]
            _, identity = await hub.call("GET", f"/devices/{name}")
            assert identity == identities[name]


async def test_what_a_device_was_told_of_its_reports_survives_a_kill(place: Place) -> None:
    async with place.hub() as hub:
        await hub.register("car")
        async with raw_client(hub, "car", issued_identity(place.directory, hub.pki, "car")) as client:
            await client.connect()
            client.send(Subscribe(1, ((TWIN_ANSWERS, 0),)))
            assert await client.receive() == Suback(1, b"\x00")
            for number in itertools.count(1):
                body = msgspec.json.encode({"number": number})
                client.publish(f"$iothub/twin/PATCH/properties/reported/?$rid={number}", body, qos=0)
                if number == 300:
                    killing = asyncio.create_task(hub.service.kill())
                if number % 10 == 0:
                    await asyncio.sleep(0)
                if number == 400:
                    break
            told = await last_version(client)
            await killing
    async with place.hub() as hub:
        _, twin = await hub.call("GET", "/twins/car")
    reported = twin["properties"]["reported"]
    assert reported["$version"] >= told
    assert reported.get("number", 0) == reported["$version"] - 1


async def test_a_device_hears_of_desired_properties_after_a_kill_without_subscribing_again(place: Place) -> None:
    """The SDK relies on its session: it does not subscribe again when it reconnects by itself."""
    patches: asyncio.Queue[Any] = asyncio.Queue()
    async with place.hub() as hub:
        await hub.register("car")
        identity = issued_identity(place.directory, hub.pki, "car")
        async with sdk_client(hub, "car", identity, connection_retry=True, connection_retry_interval=1) as client:
            await handle(client, "on_twin_desired_properties_patch_received", into(patches))
            await hub.service.kill()
            async with place.hub() as second:
                await eventually(lambda: bool(client.connected))
                await second.call("PATCH", "/twins/car", {"properties": {"desired": {"update": 7}}})
                assert await asyncio.wait_for(patches.get(), 20) == {"update": 7, "$version": 2}


async def test_a_clean_session_is_forgotten_for_good(place: Place) -> None:
    async with place.hub() as hub:
        await hub.register("car")
        identity = issued_identity(place.directory, hub.pki, "car")
        for clean_session in (False, True):
            async with raw_client(hub, "car", identity) as client:
                assert await client.connect(clean_session=clean_session) == 0
                if not clean_session:
                    client.send(Subscribe(1, ((DESIRED, 0),)))
                    assert await client.receive() == Suback(1, b"\x00")
        await hub.service.kill()
    async with place.hub() as hub, raw_client(hub, "car", identity) as client:
        await client.connect()
        await hub.call("PATCH", "/twins/car", {"properties": {"desired": {"a": 1}}})
        with pytest.raises(TimeoutError):
            await client.receive(0.5)


async def test_a_device_that_was_connected_to_a_killed_hub_is_not_connected(place: Place) -> None:
    async with place.hub() as hub:
        await hub.register("car")
        async with raw_client(hub, "car", issued_identity(place.directory, hub.pki, "car")) as client:
            await client.connect()
            await hub.service.kill()
    async with place.hub() as hub:
        _, identity = await hub.call("GET", "/devices/car")
        assert identity["connectionState"] == "Disconnected"


async def test_notifications_that_found_no_event_hub_are_delivered_by_the_next_hub(place: Place) -> None:
    place.config = place.directory / "cloud.toml"
    place.config.write_text(
        "[eventhubs.events]\nPartitionCount = 1\n"
        + "".join(
            f'[[iothub.routes]]\nname = "{source}"\nsource = "{source}"\nendpoint = "events"\n'
            for source in ("DeviceLifecycleEvents", "DeviceConnectionStateEvents", "TwinChangeEvents")
        )
    )
    port = Layout(Path()).on_free_ports().amqp_port
    async with place.hub(event_hubs(port)) as hub:
        await hub.register("car")
        await hub.call("PATCH", "/twins/car", {"tags": {"a": 1}})
        async with raw_client(hub, "car", self_signed_identity(place.directory)) as client:
            assert await client.connect() == 5
        async with raw_client(hub, "car", issued_identity(place.directory, hub.pki, "car")) as client:
            await client.connect()
            await hub.service.kill()
    broker = await start_broker(place.config, place.directory / "broker.log", port)
    try:
        async with place.hub(event_hubs(port)) as hub, consuming(event_hubs(port), "events") as events:
            received = await events.wait("car", 4)
    finally:
        await broker.stop()
    happened = [event.properties["opType"] for event in received]
    assert happened == ["createDeviceIdentity", "updateTwin", "deviceConnected", "deviceDisconnected"]
    assert {event.properties["hubName"] for event in received} == {hub.address}
    numbers = [msgspec.json.decode(event.body)["sequenceNumber"] for event in received[2:]]
    assert numbers == sorted(set(numbers)), "the later hub counts on from the earlier"


async def test_two_hubs_cannot_share_a_folder(place: Place) -> None:
    async with place.hub():
        second = Place(place.directory)
        with pytest.raises(AssertionError, match="did not start"):
            async with second.hub():
                pass
    assert "misconfigured" in (place.directory / "hub.log").read_text()


async def state(hub: Hub, device_id: str) -> tuple[Any, Any]:
    return await hub.call("GET", f"/devices/{device_id}"), await hub.call("GET", f"/twins/{device_id}")


async def write(hub: Hub, name: str, told: dict[str, Any]) -> None:
    """Changes a twin as fast as it can until the hub is gone; what is counted is the version to be."""
    for version in itertools.count(2):
        change = {"tags": {"count": version}, "properties": {"desired": {"count": version}}}
        try:
            status, twin = await hub.call("PATCH", f"/twins/{name}", change)
        except (aiohttp.ClientError, OSError):
            return
        assert status == 200
        told[name] = twin


async def last_version(client: Any) -> int:
    """Of the answers until the connection ends."""
    version = 1
    async for packet in packets(client):
        version = int(packet.topic.partition("$version=")[2])
    return version


async def packets(client: Any) -> AsyncIterator[Publish]:
    with suppress(TimeoutError):
        while isinstance(packet := await client.receive(5), Publish):
            yield packet
