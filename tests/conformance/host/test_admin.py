"""The host's own endpoints: state, functions, keys, and firing by hand."""

import os

import aiohttp
import pytest

from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench

_STATUS = "https://github.com/Azure/azure-functions-host/blob/dev/src/WebJobs.Script.WebHost/Models/HostStatus.cs"
_API = "https://github.com/Azure/azure-functions-host/wiki/Key-management-API"
_FUNCTIONS = (
    "https://github.com/Azure/azure-functions-host/blob/dev/src/WebJobs.Script.WebHost/Models/"
    "FunctionMetadataResponse.cs"
)
_BY_HAND = "azure/azure-functions/functions-manually-run-non-http"


@documented(_STATUS)
async def test_the_status_tells_id_state_version_and_uptime(browser: aiohttp.ClientSession, host: Child) -> None:
    """`GET /admin/host/status`, with the extension bundle of host.json."""
    async with browser.get("/admin/host/status") as answer:
        status = await answer.json()
    assert status["state"] == "Running"
    assert status["id"].startswith("local-")
    assert status["version"].startswith("4.")
    assert status["versionDetails"].startswith(status["version"])
    assert status["processUptime"] > 0
    assert status["instanceId"] == str(host.pid)
    assert status["extensionBundle"]["id"] == "Microsoft.Azure.Functions.ExtensionBundle"
    assert status["computerName"] == os.uname().nodename


@documented(
    "https://github.com/Azure/azure-functions-host/blob/dev/src/WebJobs.Script.WebHost/Controllers/HostController.cs"
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_ping_is_answered_with_nothing(browser: aiohttp.ClientSession, method: str) -> None:
    """`/admin/host/ping`, by GET and POST."""
    async with browser.request(method, "/admin/host/ping") as answer:
        assert (answer.status, await answer.text()) == (200, "")


@documented(_FUNCTIONS)
async def test_functions_are_described_with_their_bindings(browser: aiohttp.ClientSession, host: Child) -> None:
    """`GET /admin/functions` lists all; each has a link, its bindings, and a URL if it is called by HTTP."""
    async with browser.get("/admin/functions") as answer:
        functions = {function["name"]: function for function in await answer.json()}
    assert list(functions) == host.ready["functions"]
    base = f"http://127.0.0.1:{host.ready['port']}"
    assert functions["items"]["href"] == f"{base}/admin/functions/items"
    assert functions["items"]["invoke_url_template"] == f"{base}/v1/items/{{id:int?}}"
    assert functions["orders"]["invoke_url_template"] is None
    assert functions["orders"]["language"] == "python"
    (binding,) = functions["orders"]["config"]["bindings"]
    assert (binding["type"], binding["queueName"]) == ("serviceBusTrigger", "%Orders%")
    assert [name for name, function in functions.items() if function["isDisabled"]] == ["turned_off", "ahead", "since"]


@documented(_FUNCTIONS)
async def test_one_function_is_described_by_its_name_in_any_case(browser: aiohttp.ClientSession) -> None:
    """`GET /admin/functions/{name}`, 404 for another name."""
    async with browser.get("/admin/functions/ORDERS") as answer:
        assert (answer.status, (await answer.json())["name"]) == (200, "orders")
    async with browser.get("/admin/functions/nobody") as answer:
        assert answer.status == 404
    async with browser.get("/admin/functions/orders/status") as answer:
        assert answer.status == 200


@documented(_BY_HAND)
@pytest.mark.parametrize(("function", "seen"), [("texts", "text"), ("readings", "bodies"), ("since", "body")])
async def test_a_function_is_fired_by_hand_with_an_input(
    browser: aiohttp.ClientSession, stage: Bench, function: str, seen: str
) -> None:
    """`POST /admin/functions/{name}` with `{"input": …}` answers 202 at once, also for a disabled function."""
    async with browser.post(f"/admin/functions/{function}", json={"input": f"by hand {function}"}) as answer:
        assert answer.status == 202
    await stage.observer.wait(function, where=lambda each: f"by hand {function}" in str(each["seen"][seen]))


@documented(_BY_HAND)
async def test_an_order_to_fire_must_be_json(browser: aiohttp.ClientSession) -> None:
    """Other media types are refused with 415, a body that is no object with 400, an unknown function with 404."""
    async with browser.post("/admin/functions/texts", data="input=x") as answer:
        assert answer.status == 415
    async with browser.post("/admin/functions/texts", json=["x"]) as answer:
        assert answer.status == 400
    async with browser.post("/admin/functions/nobody", json={}) as answer:
        assert answer.status == 404


@documented(_API)
@pytest.mark.parametrize(
    "path",
    ["/admin/host/keys", "/admin/host/functionkeys", "/admin/host/systemkeys/_master", "/admin/functions/items/keys"],
)
async def test_keys_are_told_only_to_the_holder_of_the_master_key(
    browser: aiohttp.ClientSession, function_key: dict[str, str], master_key: dict[str, str], path: str
) -> None:
    """Function keys do not open the key management."""
    async with browser.get(path, headers=function_key) as answer:
        assert answer.status == 401
    async with browser.get(path, headers=master_key) as answer:
        assert answer.status == 200


@documented(_API)
async def test_a_function_key_opens_its_function_and_no_other(
    browser: aiohttp.ClientSession, master_key: dict[str, str], host: Child
) -> None:
    """Keys of a function are listed by name, set by PUT, renewed by POST, gone after DELETE."""
    path = "/admin/functions/items/keys/partner"
    async with browser.put(path, headers=master_key, json={"name": "partner", "value": "own-value"}) as answer:
        assert (answer.status, await answer.json()) == (201, {"name": "partner", "value": "own-value"})
    async with browser.get("/admin/functions/items/keys", headers=master_key) as answer:
        assert {key["name"] for key in (await answer.json())["keys"]} == {"default", "partner"}
    async with browser.get("/v1/items/1?code=own-value") as items, browser.get("/v1/vault?code=own-value") as vault:
        assert (items.status, vault.status) == (200, 401)
    async with browser.post(path, headers=master_key) as answer:
        renewed = (await answer.json())["value"]
    async with browser.get("/v1/items/1?code=own-value") as old, browser.get(f"/v1/items/1?code={renewed}") as new:
        assert (old.status, new.status) == (401, 200)
    async with browser.delete(path, headers=master_key) as gone, browser.delete(path, headers=master_key) as again:
        assert (gone.status, again.status) == (204, 404)
    async with browser.get(f"/v1/items/1?code={renewed}") as answer:
        assert answer.status == 401


@documented(_API)
async def test_a_host_key_opens_all_functions(browser: aiohttp.ClientSession, master_key: dict[str, str]) -> None:
    """Host keys are valid for every function; a value must be given with PUT, and the master key cannot be deleted."""
    async with browser.put("/admin/host/functionkeys/all", headers=master_key, json={"value": "for-all"}) as answer:
        assert answer.status == 201
    async with browser.get("/v1/items/1?code=for-all") as answer:
        assert answer.status == 200
    async with browser.put("/admin/host/functionkeys/all", headers=master_key, json={}) as answer:
        assert answer.status == 400
    async with browser.delete("/admin/host/functionkeys/_master", headers=master_key) as answer:
        assert answer.status == 400
