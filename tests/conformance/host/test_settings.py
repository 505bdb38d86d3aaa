"""local.settings.json and host.json: what they change, and what the host says of the rest."""

import asyncio

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
