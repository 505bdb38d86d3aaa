"""HTTP triggers as their documentation describes them."""

import asyncio

import aiohttp
import pytest

from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.conformance.host.conftest import PAGE

_TRIGGER = "azure/azure-functions/functions-bindings-http-webhook-trigger"
_KEYS = "azure/azure-functions/function-keys-how-to"
_LOCAL = "azure/azure-functions/functions-develop-local#local-settings-file"
_OPTIONS = "azure/azure-functions/functions-bindings-http-webhook#hostjson-settings"
_TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _get(browser: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    async with browser.get(path, headers=headers) as answer:
        return answer.status, await answer.text()


@documented(f"{_OPTIONS}")
async def test_the_route_prefix_of_host_json_comes_before_every_route(browser: aiohttp.ClientSession) -> None:
    """`routePrefix` replaces `api`."""
    assert await _get(browser, "/v1/pages/first") == (200, "the first page")
    assert (await _get(browser, "/api/pages/first"))[0] == 404


@documented(f"{_TRIGGER}#customize-the-http-endpoint")
async def test_a_function_without_a_route_is_found_by_its_name(browser: aiohttp.ClientSession) -> None:
    """The default route is the function's name."""
    assert await _get(browser, "/v1/unrouted") == (200, "found by its name")


@documented(f"{_TRIGGER}#customize-the-http-endpoint")
async def test_an_optional_parameter_may_be_left_out(
    browser: aiohttp.ClientSession, function_key: dict[str, str]
) -> None:
    """`{id:int?}` takes a number or nothing; the function sees the parameter only if it is there."""
    assert await _get(browser, "/v1/items/-7", function_key) == (200, '{"id": "-7"}')
    assert await _get(browser, "/v1/items", function_key) == (200, "{}")


@documented("aspnet/core/fundamentals/routing#route-constraints")
@pytest.mark.parametrize("path", ["/v1/items/seven", "/v1/items/3000000000", "/v1/grades/7", "/v1/grades/a"])
async def test_a_constraint_makes_other_values_another_route(
    browser: aiohttp.ClientSession, function_key: dict[str, str], path: str
) -> None:
    """`int` is a 32-bit integer, `range(1,6)` has bounds: what does not fit is not found."""
    assert (await _get(browser, path, function_key))[0] == 404
    assert (await _get(browser, "/v1/grades/6"))[0] == 200


@documented("aspnet/core/fundamentals/routing#route-templates")
async def test_several_parameters_may_stand_in_one_segment(browser: aiohttp.ClientSession) -> None:
    """`{name}.{extension}` takes a file name apart."""
    assert await _get(browser, "/v1/files/report.csv") == (200, '{"name": "report", "extension": "csv"}')


@documented("aspnet/core/fundamentals/routing#route-templates")
async def test_a_catch_all_takes_the_rest_of_the_path_and_literals_win_over_it(browser: aiohttp.ClientSession) -> None:
    """`{*path}` takes any number of segments; a more precise route comes first."""
    assert await _get(browser, "/v1/pages/a/b/c") == (200, '{"method": "GET", "path": "a/b/c"}')
    assert await _get(browser, "/v1/pages/first") == (200, "the first page")


@documented("aspnet/core/fundamentals/routing#route-templates")
async def test_routes_have_no_case_and_values_keep_theirs(browser: aiohttp.ClientSession) -> None:
    """Literal parts are compared without regard to case."""
    assert await _get(browser, "/V1/Files/Report.CSV") == (200, '{"name": "Report", "extension": "CSV"}')


@documented(f"{_TRIGGER}#attributes")
async def test_only_the_methods_of_the_trigger_are_answered(
    browser: aiohttp.ClientSession, function_key: dict[str, str]
) -> None:
    """`methods` lists them; HEAD is answered without a body where it is listed."""
    async with browser.post("/v1/items/1", headers=function_key) as answer:
        assert answer.status == 404
    async with browser.head("/v1/items/1", headers=function_key) as answer:
        assert (answer.status, answer.content_type, await answer.text()) == (200, "application/json", "")
    async with browser.head("/v1/files/a.b") as answer:
        assert answer.status == 404


@documented(f"{_TRIGGER}#attributes")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_trigger_without_methods_answers_all(browser: aiohttp.ClientSession, method: str) -> None:
    """Where `methods` is left out, the function responds to all HTTP methods."""
    async with browser.request(method, "/v1/pages/x") as answer:
        assert await answer.json() == {"method": method, "path": "x"}


@documented(f"{_KEYS}#use-access-keys")
async def test_a_key_is_taken_from_the_header_or_the_query_and_the_header_wins(
    browser: aiohttp.ClientSession, host: Child
) -> None:
    """`x-functions-key` and `?code=`."""
    key = host.ready["key"]
    statuses = [
        (await _get(browser, "/v1/items/1"))[0],
        (await _get(browser, f"/v1/items/1?code={key}"))[0],
        (await _get(browser, "/v1/items/1", {"x-functions-key": key}))[0],
        (await _get(browser, f"/v1/items/1?code={key}", {"x-functions-key": "wrong"}))[0],
    ]
    assert statuses == [401, 200, 200, 401]


@documented(f"{_TRIGGER}#http-auth")
async def test_the_admin_level_needs_the_master_key(
    browser: aiohttp.ClientSession, function_key: dict[str, str], master_key: dict[str, str]
) -> None:
    """Host and function keys are not enough; the master key opens functions of every level."""
    assert (await _get(browser, "/v1/vault"))[0] == 401
    assert (await _get(browser, "/v1/vault", function_key))[0] == 401
    assert await _get(browser, "/v1/vault", master_key) == (200, "gold")
    assert (await _get(browser, "/v1/items/1", master_key))[0] == 200


@documented(_LOCAL)
async def test_pages_of_the_listed_origins_may_read_answers(browser: aiohttp.ClientSession) -> None:
    """`Host.CORS` lists origins, `Host.CORSCredentials` allows requests with credentials."""
    async with browser.get("/v1/pages/first", headers={"Origin": PAGE}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    async with browser.get("/v1/pages/first", headers={"Origin": "http://other.example"}) as answer:
        assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (200, False)


@documented(_LOCAL)
async def test_a_preflight_is_answered_by_the_host_and_reaches_no_function(browser: aiohttp.ClientSession) -> None:
    """A browser asks before it sends a key: methods and headers are allowed as it wants them."""
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-functions-key",
    }
    async with browser.options("/v1/items/1", headers=asked) as answer:
        assert (answer.status, await answer.text()) == (204, "")
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        assert answer.headers["Access-Control-Allow-Headers"] == "x-functions-key"


@documented(_OPTIONS)
async def test_custom_headers_of_host_json_are_on_every_answer(browser: aiohttp.ClientSession) -> None:
    """`customHeaders`, on answers of functions and on refusals."""
    for path in ("/v1/pages/first", "/v1/items/1", "/nowhere"):
        async with browser.get(path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@documented(_OPTIONS)
async def test_more_outstanding_requests_than_allowed_are_turned_away(browser: aiohttp.ClientSession) -> None:
    """Beyond `maxOutstandingRequests` the host answers 429 until there is room again."""
    answers = await asyncio.gather(*(_get(browser, "/v1/wait") for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 429]
    assert (await _get(browser, "/v1/wait"))[0] == 200


@documented("azure/azure-functions/disable-function")
async def test_a_function_that_a_setting_disables_is_not_found_but_by_its_admin(
    browser: aiohttp.ClientSession, master_key: dict[str, str]
) -> None:
    """`AzureWebJobs.<name>.Disabled`; the master key still reaches it."""
    assert (await _get(browser, "/v1/off"))[0] == 404
    assert (await _get(browser, "/v1/off", master_key))[0] == 200


@documented("https://www.w3.org/TR/trace-context/#traceparent-header")
async def test_the_trace_of_a_request_is_passed_on_or_begun(browser: aiohttp.ClientSession) -> None:
    """`traceparent` and `tracestate` reach `context.trace_context`; without them a new trace begins."""
    async with browser.get("/v1/trace", headers={"traceparent": _TRACE_PARENT, "tracestate": "a=1"}) as answer:
        assert await answer.json() == {"parent": _TRACE_PARENT, "state": "a=1"}
    async with browser.get("/v1/trace") as one, browser.get("/v1/trace") as other:
        parents = {(await answer.json())["parent"] for answer in (one, other)}
    assert len(parents) == 2
    assert all(len(parent.split("-")) == 4 for parent in parents)
