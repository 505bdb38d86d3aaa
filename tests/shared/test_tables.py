"""Table Storage through the one wrapper, against Azurite."""

from typing import Any
from uuid import uuid4

import pytest

from localcloud.services import LocalCloud
from shared import connections
from shared.errors import Conflict, Unavailable
from shared.settings import NOTIFICATIONS_TABLE
from shared.storage.tables import Row, Table, Value, Write, delete, insert, replace, upsert

VALUES: dict[str, Value | None] = {
    "text": "ä",
    "small": 1,
    "large": 2**40,
    "part": 0.1,
    "flag": True,
    "raw": b"\x00\xff",
}


@pytest.fixture
def table(local_services: LocalCloud) -> Table:
    """Tests share the table and keep to partitions of their own."""
    assert local_services
    return Table(NOTIFICATIONS_TABLE)


@pytest.fixture
def partition() -> str:
    return uuid4().hex


async def _written(table: Table, partition: str, key: str = "a") -> Row:
    await table.commit([upsert(Row(partition, key, VALUES))])
    row = await table.get(partition, key)
    assert row
    return row


async def test_a_row_is_read_as_it_was_written(table: Table, partition: str) -> None:
    row = await _written(table, partition)
    assert row.values == VALUES
    assert row.etag


async def test_a_value_of_none_is_absent(table: Table, partition: str) -> None:
    await table.commit([insert(Row(partition, "a", {"x": None, "y": 1}))])
    row = await table.get(partition, "a")
    assert row
    assert row.values == {"y": 1}


async def test_what_is_not_there_is_none(table: Table, partition: str) -> None:
    assert await table.get(partition, "a") is None


async def test_the_new_etag_fences_the_next_replacement(table: Table, partition: str) -> None:
    row = await _written(table, partition)
    (etag,) = await table.commit([replace(Row(partition, "a", {"x": 1}, row.etag))])
    await table.commit([replace(Row(partition, "a", {"x": 2}, etag))])
    with pytest.raises(Conflict):
        await table.commit([replace(Row(partition, "a", {"x": 3}, etag))])


@pytest.mark.parametrize("kind", ["insert", "replace", "delete", "delete-gone"])
async def test_a_conflict_leaves_the_whole_transaction_undone(table: Table, partition: str, kind: str) -> None:
    old = await _written(table, partition)
    await table.commit([upsert(Row(partition, "a", {"x": 1}))])
    conflicting: dict[str, Write] = {
        "insert": insert(Row(partition, "a", {})),
        "replace": replace(old),
        "delete": delete(old),
        "delete-gone": delete(Row(partition, "gone")),
    }
    with pytest.raises(Conflict):
        await table.commit([upsert(Row(partition, "b", {"x": 1})), conflicting[kind]])
    assert await table.get(partition, "b") is None


async def test_an_unfenced_replacement_is_a_bug(table: Table, partition: str) -> None:
    with pytest.raises(ValueError, match="fenced"):
        await table.commit([replace(Row(partition, "a", {}))])


async def test_rows_are_read_by_key_range_in_order(table: Table, partition: str) -> None:
    await table.commit([upsert(Row(partition, key, {})) for key in ("c", "a", "d", "b", "c|1")])
    rows = table.query(partition, key_from="b", key_before="d")
    assert [row.key async for row in rows] == ["b", "c", "c|1"]
    assert [row.key async for row in table.query(partition, limit=2)] == ["a", "b"]


async def test_only_what_is_selected_is_read_but_always_key_and_etag(table: Table, partition: str) -> None:
    written = await _written(table, partition)
    (some,) = [row async for row in table.query(partition, select=["text", "absent"])]
    assert (some.values, some.key, some.etag) == ({"text": "ä"}, "a", written.etag)
    (none,) = [row async for row in table.query(partition, select=(), where={"small": 1})]
    assert (none.values, none.partition, none.etag) == ({}, partition, written.etag)


async def test_no_more_rows_are_fetched_than_are_asked_for(table: Table, partition: str) -> None:
    from azure.data.tables.aio import TableClient

    await table.commit([upsert(Row(partition, key, {})) for key in "abc"])
    asked: list[Any] = []
    query = TableClient.query_entities

    def watched(client: TableClient, *arguments: Any, **options: Any) -> Any:
        asked.append(options.get("results_per_page"))
        return query(client, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableClient, "query_entities", watched)
        assert [row.key async for row in table.query(partition, limit=2)] == ["a", "b"]
        assert [row.key async for row in table.query(partition, limit=5000)] == ["a", "b", "c"]
        assert [row.key async for row in table.query(partition)] == ["a", "b", "c"]
    assert asked == [2, 1000, None]


async def test_rows_are_read_over_a_range_of_partitions(table: Table, partition: str) -> None:
    for suffix in ("1", "2", "3"):
        await table.commit([upsert(Row(partition + suffix, suffix, {"kind": "x"}))])
    rows = table.query(partition_from=partition + "1", partition_before=partition + "3", where={"kind": "x"})
    assert [row.key async for row in rows] == ["1", "2"]


async def test_whole_numbers_are_compared_as_they_are_stored(table: Table, partition: str) -> None:
    """Small and large ones alike, zero and one included, which the SDK takes for booleans."""
    await table.commit([upsert(Row(partition, str(number), {"n": number})) for number in (0, 1, 2, 2**40)])
    await table.commit([upsert(Row(partition, "none", {}))])
    for number in (0, 1, 2, 2**40):
        assert [row.key async for row in table.query(partition, where={"n": number})] == [str(number)]
    assert [row.key async for row in table.query(partition, at_most={"n": 2})] == ["0", "1", "2"]


async def test_a_page_holds_no_more_than_is_wanted(table: Table, partition: str) -> None:
    """And goes on with the next page; the etag comes with whatever is selected."""
    await table.commit([upsert(Row(partition, key, VALUES)) for key in "abc"])
    sizes = list[int]()
    client = type(table._client)
    answer = client.query_entities

    def noted(*args: Any, **wanted: Any) -> Any:
        sizes.append(wanted["results_per_page"])
        return answer(*args, **wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "query_entities", noted)
        rows = [row async for row in table.query(partition, select=["part"], limit=2)]
        few = [row async for row in table.query(partition, limit=5000)]
    assert (sizes, len(few)) == ([2, 1000], 3)
    assert [(row.key, dict(row.values)) for row in rows] == [("a", {"part": 0.1}), ("b", {"part": 0.1})]
    assert all(row.etag for row in rows)
    assert [row.key async for row in table.query(partition, at_least={"part": 0.1})] == ["a", "b", "c"]
    assert [row.key async for row in table.query(partition, at_least={"part": 0.11})] == []


async def test_removing_takes_no_offence_at_what_is_gone(table: Table, partition: str) -> None:
    rows = [Row(partition, f"{number:03d}", {}) for number in range(203)]
    for start in range(0, len(rows), 100):
        await table.commit([upsert(row) for row in rows[start : start + 100]])
    other = Row(f"{partition}-2", "a", {})
    await table.commit([upsert(other)])
    await table.commit([delete(rows[0]), delete(rows[150])])
    await table.remove([*rows[:-1], other])
    await table.remove([*rows[:-1], other])
    assert [row.key async for row in table.query(partition)] == ["202"]
    assert await table.get(other.partition, "a") is None


async def test_text_in_a_filter_is_no_code(table: Table, partition: str) -> None:
    odd = "it's' or PartitionKey ne '"
    await table.commit([upsert(Row(partition, "a", {"x": odd})), upsert(Row(partition, "b", {"x": "y"}))])
    assert [row.key async for row in table.query(partition, where={"x": odd})] == ["a"]


async def test_storage_that_is_away_is_unavailable(local_services: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.data.tables.aio import TableServiceClient

    away = local_services.layout.storage_connection.replace(str(local_services.layout.table_port), "9")
    async with TableServiceClient.from_connection_string(away, retry_total=0) as client:
        monkeypatch.setattr(connections, "tables", lambda: client)
        with pytest.raises(Unavailable):
            await Table(NOTIFICATIONS_TABLE).get("a", "b")
        with pytest.raises(Unavailable):
            await Table(NOTIFICATIONS_TABLE).commit([upsert(Row("a", "b", {}))])
