"""The same app in a host of its own, whose app settings override host.json and choose what runs."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime

import aiohttp
import pytest
from azure.servicebus import ServiceBusMessage

from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench
from tests.host.test_failures import read_checkpoint, until_checkpointed

_HOST_JSON = "azure/azure-functions/functions-host-json"
_JOB_HOST = "AzureFunctionsJobHost__"
_OFFSET = f"{_JOB_HOST}extensions__eventHubs__initialOffsetOptions__"


@pytest.fixture(scope="module")
async def other_host(stage: Bench) -> Child:
    """Started between two events of the hub that its function reads."""
    await stage.send_events("since", b"early")
    await asyncio.sleep(0.05)
    moment = datetime.now(UTC).isoformat()
    await asyncio.sleep(0.05)
    await stage.send_events("since", b"late")
    return await stage.start_host(
        "--settings",
        str(stage.app / "local.settings.json"),
        **{
            f"{_JOB_HOST}functions__0": "since",
            f"{_JOB_HOST}functions__1": "dawdle",
            f"{_JOB_HOST}functions__2": "ahead",
            f"{_JOB_HOST}extensions__serviceBus__prefetchCount": "5",
            f"{_JOB_HOST}extensions__serviceBus__minMessageBatchSize": "1",
            f"{_JOB_HOST}extensions__eventHubs__batchCheckpointFrequency": "100",
            f"{_OFFSET}type": "fromEnqueuedTime",
            f"{_OFFSET}enqueuedTimeUtc": moment,
        },
    )


@documented(f"{_HOST_JSON}#functions")
async def test_only_the_functions_of_the_list_are_run(other_host: Child) -> None:
    """`functions`, here by app settings: one for each name, as Core Tools set them for `--functions`."""
    assert other_host.ready["functions"] == ["ahead", "since", "dawdle"]


@documented("azure/azure-functions/functions-develop-local#local-settings-file")
async def test_the_port_is_the_one_of_the_settings_file(stage: Bench, other_host: Child) -> None:
    """`Host.LocalHttpPort` holds where `--port` is not given."""
    settings = json.loads((stage.app / "local.settings.json").read_text())
    assert other_host.ready["port"] == settings["Host"]["LocalHttpPort"]


@documented("azure/azure-functions/functions-bindings-event-hubs#hostjson-settings")
async def test_a_hub_without_a_checkpoint_is_read_from_the_time_in_the_settings(
    stage: Bench, other_host: Child
) -> None:
    """`initialOffsetOptions` with `fromEnqueuedTime`; by "Override host.json values" app settings may say it too."""
    await stage.observer.wait("since", where=lambda each: each["seen"]["body"] == "late")
    assert "early" not in [each["seen"]["body"] for each in await stage.observer.wait("since")]


@documented("azure/azure-functions/functions-bindings-service-bus#hostjson-settings")
async def test_messages_that_are_fetched_ahead_wait_for_no_others(stage: Bench, other_host: Child) -> None:
    """`prefetchCount`: what came while a batch was settled is handed over at once."""
    for number in range(4):
        await stage.send_messages(ServiceBusMessage(f"a{number}"), queue="ahead")
        await stage.observer.wait("ahead", number + 1)
    assert stage.observer.bodies("ahead") == ["a0", "a1", "a2", "a3"]


@documented("azure/azure-functions/performance-reliability#write-defensive-functions")
async def test_a_first_signal_lets_functions_finish_and_a_second_one_does_not(stage: Bench, other_host: Child) -> None:
    """A host that stops takes nothing more, records how far events were read (`batchCheckpointFrequency` batches were
    not full yet) and waits for what runs, unless somebody is impatient.
    """
    assert await read_checkpoint(stage, "since", "0", "$Default") is None
    url = f"http://127.0.0.1:{other_host.ready['port']}/admin/functions/dawdle"
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as answer:
        assert answer.status == 202
    await stage.observer.wait("dawdle")
    os.kill(other_host.pid, signal.SIGTERM)
    await until_checkpointed(stage, "since", "0", 1)
    assert other_host.running
    os.kill(other_host.pid, signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await other_host.until_ended() == 128 + signal.SIGTERM
