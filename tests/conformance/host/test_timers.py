"""Timer triggers as their documentation describes them."""

import aiohttp
from azure.storage.blob.aio import BlobServiceClient

from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench


@documented("azure/azure-functions/functions-bindings-timer#attributes")
async def test_a_timer_without_a_monitor_keeps_no_status(
    stage: Bench, host: Child, browser: aiohttp.ClientSession
) -> None:
    """`useMonitor` keeps the schedule in the host's storage, below the id of the host; `%NAME%` names a schedule."""
    async with browser.get("/admin/host/status") as answer:
        folder = f"timers/{(await answer.json())['id']}"
    async with BlobServiceClient.from_connection_string(stage.layout.storage_connection) as storage:
        container = storage.get_container_client("azure-webjobs-hosts")
        names = [name async for name in container.list_blob_names(name_starts_with=folder)]
    assert names == [f"{folder}/Host.Functions.watched/status"]
