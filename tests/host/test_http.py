"""HTTP functions and the host's own endpoints, over real HTTP."""

import asyncio

import aiohttp
import pytest

from localcloud.processes import Child
from tests.host.conftest import Bench
from tests.host.payloads import TRACE_PARENT


async def test_a_request_reaches_its_function_with_route_query_headers_and_body(
    bench: Bench, browser: aiohttp.ClientSession, url: str, key: dict[str, str]
) -> None:
    headers = {**key, "X-Asked": "yes", "traceparent": TRACE_PARENT}
    async with browser.post(f"{url}/api/things/-7?tag=a&tag=b", data="größe".encode(), headers=headers) as answer:
        assert (answer.status, answer.content_type, answer.headers["X-Own"]) == (201, "application/json", "yes")
        assert answer.cookies["seen"].value == "1"
        seen = await answer.json()
    assert seen == {
        "method": "POST",
        "url": f"{url}/api/things/-7?tag=a&tag=b",
        "params": {"tag": "a,b"},
        "route_params": {"id": "-7"},
        "body": "größe",
        "own_header": "yes",
    }
    (*_, last) = await bench.observer.wait("thing")
    assert last["context"]["trace_parent"] == TRACE_PARENT


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/things/seven"), ("DELETE", "/api/things/7"), ("GET", "/things/7"), ("GET", "/api/nothing")],
    ids=["constraint", "method", "prefix", "path"],
)
async def test_what_no_route_matches_is_not_found(
    browser: aiohttp.ClientSession, url: str, key: dict[str, str], method: str, path: str
) -> None:
    async with browser.request(method, f"{url}{path}", headers=key) as answer:
        assert answer.status == 404


async def test_a_function_key_is_asked_for_in_header_or_query(
    browser: aiohttp.ClientSession, host: Child, url: str
) -> None:
    given: list[tuple[str, dict[str, str]]] = [
        ("", {}),
        ("?code=wrong", {}),
        ("", {"x-functions-key": "wrong"}),
        (f"?code={host.ready['key']}", {}),
        ("", {"x-functions-key": host.ready["key"]}),
    ]
    statuses = []
    for query, headers in given:
        async with browser.get(f"{url}/api/things/1{query}", headers=headers) as answer:
            statuses.append(answer.status)
    assert statuses == [401, 401, 401, 201, 201]


async def test_an_anonymous_function_is_open_and_may_answer_with_text(browser: aiohttp.ClientSession, url: str) -> None:
    async with browser.get(f"{url}/api/open?name=me") as answer:
        assert (answer.status, await answer.text()) == (200, "hello me")


@pytest.mark.parametrize("how", ["none", "raise", "slow"])
async def test_a_function_that_fails_or_takes_too_long_is_an_error_of_the_server(
    browser: aiohttp.ClientSession, url: str, host: Child, how: str
) -> None:
    """Returning None is one; host.json allows one second."""
    async with browser.get(f"{url}/api/wrong/{how}") as answer:
        assert answer.status == 500
    line = [line for line in host.log.read_text().splitlines() if " wrong: " in line][-1]
    reason = {
        "none": "NotImplementedError",
        "raise": "ValueError: asked to fail",
        "slow": "Timeout value of 00:00:01 was exceeded by function: Functions.wrong",
    }
    assert "ERROR wrong: failed: " in line
    assert reason[how] in line


async def test_any_function_is_fired_by_hand_and_counted(
    bench: Bench, browser: aiohttp.ClientSession, url: str
) -> None:
    async def counts() -> dict[str, dict[str, int]]:
        async with browser.get(f"{url}/admin/host/status") as answer:
            status = await answer.json()
        assert status["state"] == "Running"
        functions: dict[str, dict[str, int]] = status["functions"]
        return functions

    before = await counts()
    names = ("tick", "event_batch", "event_one", "event_text", "queue_message", "queue_batch", "topic_message")
    for name in names:
        async with browser.post(f"{url}/admin/functions/{name}", json={"input": "by hand"}) as answer:
            assert answer.status == 202
    for name in names[1:]:
        await bench.observer.wait(name, where=lambda each: "by hand" in str(each["seen"]))
    await bench.observer.wait("tick")
    after = await counts()
    while any(after[name]["running"] for name in names):
        await asyncio.sleep(0.02)
        after = await counts()
    assert {after[name]["invocations"] - before[name]["invocations"] for name in names} == {1}
    assert {after[name]["failures"] - before[name]["failures"] for name in names} == {0}


async def test_a_returned_value_without_a_binding_fails_the_invocation(
    browser: aiohttp.ClientSession, url: str, host: Child
) -> None:
    async with browser.post(f"{url}/admin/functions/returns_something") as answer:
        assert answer.status == 202
    async with asyncio.timeout(10):
        failures = 0
        while not failures:
            await asyncio.sleep(0.02)
            async with browser.get(f"{url}/admin/host/status") as answer:
                failures = (await answer.json())["functions"]["returns_something"]["failures"]
    assert "ERROR returns_something: failed: RuntimeError: a function without a $return binding" in host.log.read_text()


@pytest.mark.parametrize(
    ("name", "body", "content_type", "status"),
    [
        ("nothing", b"{}", "application/json", 404),
        ("tick", b'{"input": "x"}', "text/plain", 415),
        ("tick", b"{", "application/json", 400),
        ("tick", b'{"input": 1}', "application/json", 400),
    ],
    ids=["unknown function", "not declared as JSON", "no JSON", "input is no text"],
)
async def test_a_bad_order_to_fire_is_refused(
    browser: aiohttp.ClientSession, url: str, name: str, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    async with browser.post(f"{url}/admin/functions/{name}", data=body, headers=headers) as answer:
        assert answer.status == status


async def test_the_host_answers_a_ping_and_names_settings_that_it_ignores(
    browser: aiohttp.ClientSession, url: str, host: Child
) -> None:
    async with browser.get(f"{url}/admin/host/ping") as answer:
        assert answer.status == 200
    warnings = [line for line in host.log.read_text().splitlines() if "is not honoured" in line]
    assert len(warnings) == 1
    assert "logging.applicationInsights.samplingSettings.isEnabled" in warnings[0]
