"""local.settings.json and host.json: what they change, and what the host says of the rest."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime

import aiohttp

from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench

_LOCAL = "azure/azure-functions/functions-develop-local#local-settings-file"
_HOST_JSON = "azure/azure-functions/functions-host-json"
_HUBS = "azure/azure-functions/functions-bindings-event-hubs#hostjson-settings"


@documented(_LOCAL)
async def test_values_of_the_settings_file_are_in_the_environment_which_wins(browser: aiohttp.ClientSession) -> None:
    """`Values` are settings, connection strings have the prefix of their section; a variable that is set stays."""
    async with browser.get("/v1/settings", params={"names": "Orders,BOTH,ConnectionStrings:Sql"}) as answer:
        found = await answer.json()
    assert found == {"Orders": "orders", "BOTH": "the environment", "ConnectionStrings:Sql": "Server=nowhere"}


@documented(f"{_HOST_JSON}#logging")
async def test_log_levels_hold_for_a_category_and_what_is_below_it(browser: aiohttp.ClientSession, host: Child) -> None:
    """`logging.logLevel`: the longest name that fits decides."""
    for path in ("/v1/whispers", "/v1/speaks"):
        async with browser.get(path) as answer:
            assert answer.status in (200, 204)
    said = host.log.read_text()
    assert "INFO speaks: a word" in said
    assert "ERROR whispers: a cry" in said
    assert "a whisper" not in said


@documented(_HOST_JSON)
async def test_each_setting_that_is_not_honoured_is_named_once(host: Child) -> None:
    """Singleton locks and dynamic concurrency are the cloud's."""
    warnings = [line for line in host.log.read_text().splitlines() if "is not honoured" in line]
    assert len(warnings) == 2
    assert "singleton.lockPeriod" in warnings[0]
    assert "concurrency.dynamicConcurrencyEnabled" in warnings[1]


@documented(_HUBS)
async def test_an_event_batch_waits_for_its_least_size_and_not_for_ever(stage: Bench, host: Child) -> None:
    """`minEventBatchSize` events go together, at most `maxEventBatchSize`; fewer go when `maxWaitTime` is over."""
    await stage.send_events("readings", b"e1", b"e2")
    await asyncio.sleep(0.3)
    await stage.send_events("readings", b"e3")
    (first,) = await stage.observer.wait("readings", where=lambda each: "e1" in each["seen"]["bodies"])
    assert first["seen"]["bodies"] == ["e1", "e2", "e3"]
    await stage.send_events("readings", b"e4")
    (second,) = await stage.observer.wait("readings", where=lambda each: "e4" in each["seen"]["bodies"])
    assert second["seen"]["bodies"] == ["e4"]


@documented(_HUBS)
async def test_a_hub_without_a_checkpoint_is_read_from_the_time_in_the_settings(stage: Bench) -> None:
    """`initialOffsetOptions`, here by app settings, which override host.json; `functions` names the only ones to run.

    The port is `Host.LocalHttpPort`. The first signal lets functions finish, a second one does not.
    """
    await stage.send_events("since", b"early")
    await asyncio.sleep(0.05)
    moment = datetime.now(UTC).isoformat()
    await asyncio.sleep(0.05)
    await stage.send_events("since", b"late")
    prefix = "AzureFunctionsJobHost__"
    options = f"{prefix}extensions__eventHubs__initialOffsetOptions__"
    host = await stage.start_host(
        "--settings",
        str(stage.app / "local.settings.json"),
        **{
            f"{prefix}functions__0": "since",
            f"{prefix}functions__1": "dawdle",
            f"{options}type": "fromEnqueuedTime",
            f"{options}enqueuedTimeUtc": moment,
        },
    )
    assert host.ready["functions"] == ["since", "dawdle"]
    assert host.ready["port"] == json.loads((stage.app / "local.settings.json").read_text())["Host"]["LocalHttpPort"]
    await stage.observer.wait("since", where=lambda each: each["seen"]["body"] == "late")
    assert "early" not in [each["seen"]["body"] for each in await stage.observer.wait("since")]
    await _stopped_by_the_second_signal(stage, host)


async def _stopped_by_the_second_signal(stage: Bench, host: Child) -> None:
    url = f"http://127.0.0.1:{host.ready['port']}/admin/functions/dawdle"
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as answer:
        assert answer.status == 202
    await stage.observer.wait("dawdle")
    os.kill(host.pid, signal.SIGTERM)
    await asyncio.sleep(0.5)
    assert host.running
    os.kill(host.pid, signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await host.until_ended() == 128 + signal.SIGTERM
