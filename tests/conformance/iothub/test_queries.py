"""Queries over twins by the service API."""

import asyncio
from typing import Any

import pytest

from tests.conformance.documented import documented
from tests.iothub.services import Hub, refusal

LANGUAGE = "azure/iot-hub/iot-hub-devguide-query-language"
TWINS = "azure/iot-hub/query-twins"


@pytest.fixture
async def fleet(hub: Hub, device_id: str) -> str:
    """The tag of seven devices: numbers 0 to 6, those with an even one in Germany, those from 4 on without a model."""

    async def make(number: int) -> None:
        name = f"{device_id}-{number}"
        await hub.register(name)
        tags = {"fleet": device_id, "number": number, "place": {"market": "fr" if number % 2 else "de"}}
        desired = {} if number >= 4 else {"model": f"m{number}"}
        await hub.call("PATCH", f"/twins/{name}", {"tags": tags, "properties": {"desired": desired}})

    await asyncio.gather(*map(make, range(7)))
    return device_id


async def numbers(hub: Hub, fleet: str, condition: str) -> list[int]:
    query = f"SELECT * FROM devices WHERE tags.fleet = '{fleet}' AND ({condition})"
    status, headers, twins = await hub.exchange("POST", "/devices/query", {"query": query})
    assert (status, headers["x-ms-item-type"]) == (200, "twin"), twins
    return [twin["tags"]["number"] for twin in twins]


@documented(TWINS)
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("tags.place.market = 'de'", [0, 2, 4, 6]),
        ("tags.number >= 2 AND tags.number < 5", [2, 3, 4]),
        ("tags.place.market IN ['de', 'at'] AND NOT tags.number <> 2", [2]),
        ("tags.number NIN [0, 1, 2]", [3, 4, 5, 6]),
        ("is_defined(properties.desired.model)", [0, 1, 2, 3]),
        ("properties.desired.model = 'm1' OR tags.number = 6", [1, 6]),
        ("status = 'enabled' AND connectionState = 'Disconnected' AND tags.number = 1", [1]),
        ("tags.number = '1'", []),
        ("capabilities.iotEdge = true", []),
    ],
)
async def test_a_query_finds_the_twins_that_meet_its_condition(
    hub: Hub, fleet: str, condition: str, expected: list[int]
) -> None:
    """Over tags, properties and what the twin shows of the identity."""
    assert await numbers(hub, fleet, condition) == expected


@documented("rest/api/iothub/service/query/get-twins")
async def test_a_query_comes_in_pages(hub: Hub, fleet: str) -> None:
    """Of `x-ms-max-item-count`; `x-ms-continuation` leads to the next one and is absent on the last."""
    query = {"query": f"SELECT * FROM devices WHERE tags.fleet = '{fleet}'"}
    pages: list[list[int]] = []
    headers = {"x-ms-max-item-count": "3"}
    for _ in range(4):
        _, answered, twins = await hub.exchange("POST", "/devices/query", query, headers)
        pages.append([twin["tags"]["number"] for twin in twins])
        if "x-ms-continuation" not in answered:
            break
        headers["x-ms-continuation"] = answered["x-ms-continuation"]
    assert pages == [[0, 1, 2], [3, 4, 5], [6]]


@documented(f"{LANGUAGE}#select-clause")
async def test_a_query_can_choose_and_count(hub: Hub, fleet: str) -> None:
    """Projections and COUNT() are no twins: the item type is raw."""

    async def ask(query: str) -> tuple[str, Any]:
        _, headers, items = await hub.exchange("POST", "/devices/query", {"query": query})
        return headers["x-ms-item-type"], items

    condition = f"FROM devices WHERE tags.fleet = '{fleet}'"
    assert await ask(f"SELECT COUNT() AS total {condition}") == ("raw", [{"total": 7}])
    chosen = await ask(f"SELECT TOP 2 deviceId, tags.place.market AS market, tags.absent {condition}")
    assert chosen == (
        "raw",
        [{"deviceId": f"{fleet}-{number}", "market": "fr" if number else "de"} for number in (0, 1)],
    )


@documented(f"{LANGUAGE}#group-by-clause")
async def test_a_query_can_group(hub: Hub, fleet: str) -> None:
    """A row for each value of a property, with counts, sums, means and extremes."""
    columns = "COUNT() AS devices, SUM(tags.number) AS sum, AVG(tags.number) AS mean, MIN(tags.number), MAX(tags.text)"
    query = f"SELECT tags.place.market AS market, {columns} FROM devices WHERE tags.fleet = '{fleet}'"
    _, headers, rows = await hub.exchange("POST", "/devices/query", {"query": f"{query} GROUP BY tags.place.market"})
    assert headers["x-ms-item-type"] == "raw"
    assert sorted(rows, key=lambda row: str(row["market"])) == [
        {"market": "de", "devices": 4, "sum": 12, "mean": 3, "MIN": 0},
        {"market": "fr", "devices": 3, "sum": 9, "mean": 3, "MIN": 1},
    ]
    models = f"SELECT COUNT() AS n FROM devices WHERE tags.fleet = '{fleet}' GROUP BY properties.desired.model"
    _, _, rows = await hub.exchange("POST", "/devices/query", {"query": models})
    assert sorted(row["n"] for row in rows) == [1, 1, 1, 1, 3]


@documented(LANGUAGE)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "SELECT",
        "SELECT * FROM cars",
        "SELECT * FROM devices.modules",
        "SELECT * FROM devices WHERE",
        "SELECT * FROM devices WHERE tags.a =",
        "SELECT * FROM devices WHERE length(tags.a) = 1",
        "SELECT * FROM devices GROUP BY tags.a",
        "SELECT tags.a FROM devices GROUP BY tags.a",
        "SELECT tags.b, COUNT() FROM devices GROUP BY tags.a",
        "SELECT tags.b, COUNT() FROM devices",
        "SELECT COUNT(tags.b) FROM devices",
        "SELECT MEDIAN(tags.b) FROM devices",
        "SELECT COUNT() FROM devices GROUP tags.a",
        "SELECT TOP x * FROM devices",
        "DELETE * FROM devices",
    ],
)
async def test_a_query_that_is_not_understood_is_refused(hub: Hub, query: str) -> None:
    """With 400, and what is wrong where."""
    assert refusal(await hub.call("POST", "/devices/query", {"query": query})) == (400, "ArgumentInvalid")


@documented("rest/api/iothub/service/query/get-twins")
async def test_a_continuation_belongs_to_its_query(hub: Hub, fleet: str) -> None:
    """Neither an invented one nor that of another query leads anywhere."""
    query = {"query": f"SELECT * FROM devices WHERE tags.fleet = '{fleet}'"}
    _, headers, _ = await hub.exchange("POST", "/devices/query", query, {"x-ms-max-item-count": "1"})
    for continuation, asked in (
        ("nonsense", query),
        (headers["x-ms-continuation"], {"query": "SELECT * FROM devices"}),
    ):
        status, _, _ = await hub.exchange("POST", "/devices/query", asked, {"x-ms-continuation": continuation})
        assert status == 400
