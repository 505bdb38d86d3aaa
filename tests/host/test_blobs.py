"""Blob triggers against Azurite: which blobs fire, once for each version, with what, and what failures come to."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from localcloud.host.blob_paths import BlobPath
from localcloud.host.blob_receipts import BlobReceipts
from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench
from tests.host.observer import Observation
from tests.host.test_storage_queues import until_arrived


@pytest.fixture
async def storage(bench: Bench) -> AsyncIterator[BlobServiceClient]:
    async with BlobServiceClient.from_connection_string(bench.layout.storage_connection) as service:
        yield service


@pytest.fixture
async def drops(storage: BlobServiceClient) -> ContainerClient:
    container = storage.get_container_client("drops")
    with suppress(ResourceExistsError):
        await container.create_container()
    return container


async def seen(bench: Bench, name: str, count: int = 1) -> list[Observation]:
    return await bench.observer.wait("dropped_blob", count, where=lambda each: each["seen"]["name"] == f"drops/{name}")


async def test_a_blob_arrives_with_its_properties_and_metadata(
    bench: Bench, host: Child, drops: ContainerClient
) -> None:
    blob = await drops.upload_blob("car-1/first.csv", b"\xff\x00", metadata={"origin": "depot"})
    (each,) = await seen(bench, "car-1/first.csv")
    assert each["seen"]["body"] == "\xff\x00"
    assert each["seen"]["length"] == 2
    assert each["seen"]["metadata"] == {"origin": "depot"}
    assert each["seen"]["uri"] == blob.url
    properties = each["seen"]["blob_properties"]
    assert properties["ETag"] == (await blob.get_blob_properties()).etag
    assert (properties["ContentLength"], properties["BlobType"]) == (2, 0)


@documented("azure/azure-functions/functions-bindings-storage-blob-trigger#blob-receipts")
async def test_each_version_of_a_blob_fires_once_also_after_a_restart(
    bench: Bench, host: Child, drops: ContainerClient
) -> None:
    await drops.upload_blob("car-2/twice.csv", b"one")
    await seen(bench, "car-2/twice.csv")
    await drops.upload_blob("car-2/twice.csv", b"two", overwrite=True)
    await seen(bench, "car-2/twice.csv", 2)
    await host.stop()
    assert host.exit_code == 0
    await drops.upload_blob("car-2/later.csv", b"while it was down")
    await bench.start_host()
    await seen(bench, "car-2/later.csv")
    # Blobs are scanned by name: what follows was looked at after the one in question.
    await drops.upload_blob("car-2/zz.csv", b"last")
    await seen(bench, "car-2/zz.csv")
    assert [each["seen"]["body"] for each in await seen(bench, "car-2/twice.csv")] == ["one", "two"]


async def test_a_blob_that_the_path_does_not_mean_does_not_fire(
    bench: Bench, host: Child, drops: ContainerClient
) -> None:
    await drops.upload_blob("car-3/a.txt", b"not for us")
    await drops.upload_blob("car-3/b.csv", b"")
    (empty,) = await seen(bench, "car-3/b.csv")
    assert empty["seen"]["body"] == ""
    names = [each["seen"]["name"] for each in bench.observer.observations if each["function"] == "dropped_blob"]
    assert "drops/car-3/a.txt" not in names


@documented("azure/azure-functions/functions-bindings-storage-blob-trigger#poison-blobs")
async def test_a_failing_blob_comes_five_times_and_is_then_told_in_the_poison_queue(
    bench: Bench, host: Child, drops: ContainerClient
) -> None:
    blob = await drops.upload_blob("car-4/bad.csv", b"fail")
    message = await until_arrived(bench.storage_queue("webjobs-blobtrigger-poison"))
    assert json.loads(base64.b64decode(message.content)) == {
        "Type": "BlobTrigger",
        "FunctionId": "Host.Functions.dropped_blob",
        "BlobType": "BlockBlob",
        "ContainerName": "drops",
        "BlobName": "car-4/bad.csv",
        "ETag": (await blob.get_blob_properties()).etag,
    }
    assert len(await seen(bench, "car-4/bad.csv", 5)) == 5


@documented("azure/azure-functions/functions-manually-run-non-http")
async def test_a_blob_function_is_fired_by_hand_with_the_path_of_a_blob(
    drops: ContainerClient, bench: Bench, host: Child, browser: aiohttp.ClientSession, url: str
) -> None:
    await drops.upload_blob("by/hand.csv", b"again")
    await seen(bench, "by/hand.csv")
    async with browser.post(f"{url}/admin/functions/dropped_blob", json={"input": "drops/by/hand.csv"}) as answer:
        assert answer.status == 202
    assert [each["seen"]["body"] for each in await seen(bench, "by/hand.csv", 2)] == ["again", "again"]


@pytest.mark.parametrize("path", ["drops/no/such.csv", "drops/other", "elsewhere/by/hand.csv", ""])
async def test_an_order_to_fire_with_a_blob_that_is_none_of_the_functions_is_refused(
    host: Child, browser: aiohttp.ClientSession, url: str, path: str
) -> None:
    async with browser.post(f"{url}/admin/functions/dropped_blob", json={"input": path}) as answer:
        assert answer.status == 400
        assert "must name a blob" in await answer.text()


async def test_a_receipt_is_claimed_by_one_host_at_a_time_and_complete_once(storage: BlobServiceClient) -> None:
    container = await storage.create_container("receipts")
    receipts = BlobReceipts(container, "h")
    version = ("Host.Functions.f", '"0x1"', "drops", "a/b.csv")
    with suppress(ZeroDivisionError):
        async with receipts.claimed(*version) as is_ours:
            assert is_ours is True
            raise ZeroDivisionError  # before the blob was handed on
    async with receipts.claimed(*version) as first, receipts.claimed(*version) as second:
        assert (first, second) == (True, None)
    async with receipts.claimed(*version) as again:
        assert again is False
    names = [name async for name in container.list_blob_names()]
    assert names == ['blobreceipts/h/Host.Functions.f/"0x1"/drops/a/b.csv']


@documented("azure/azure-functions/functions-bindings-storage-blob-trigger#blob-name-patterns")
@pytest.mark.parametrize(
    ("path", "blob", "values"),
    [
        ("c", "any/thing", {}),
        ("c/fixed.txt", "fixed.txt", {}),
        ("c/fixed.txt", "fixed-txt", None),
        ("c/{name}", "a/b", {"name": "a/b"}),
        ("c/{car}/{name}.csv", "a/b/c.csv", {"car": "a/b", "name": "c"}),
        ("c/{car}/{name}.csv", "a.csv", None),
        ("c/{{x}}-{n}", "{x}-1", {"n": "1"}),
    ],
)
def test_a_path_takes_values_from_names(path: str, blob: str, values: dict[str, str] | None) -> None:
    assert BlobPath(path).match(blob) == values
