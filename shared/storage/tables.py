"""Azure Table Storage, as much as the jobs need: point reads, range reads, entity-group transactions.

The one place that knows the SDK's entities and turns its errors into ours. A transaction holds at most 100 entities
of one partition and 4 MiB:
https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from shared import connections
from shared.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

MAX_TRANSACTION_ENTITIES = 100
MAX_PAGE_ENTITIES = 1000  # of an answer to a query
LAST_MS = 9_999_999_999_999  # of epoch milliseconds that a key can begin with

Value = str | int | float | bool | bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One entity. `etag` is set on rows that were read and fences their replacement."""

    partition: str
    key: str
    values: Mapping[str, Value | None] = field(default_factory=dict)
    etag: str | None = None

    def integer(self, name: str) -> int:
        """A property that is known to be one."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def binary(self, name: str) -> bytes:
        """A property that is known to be one."""
        value = self.values[name]
        assert isinstance(value, bytes)
        return value


def newest_first(epoch_ms: int) -> str:
    """What a key begins with so that keys fall as moments rise: the newest row comes first."""
    return f"{LAST_MS - epoch_ms:013d}"


def epoch_ms_of(newest_first_key: str) -> int:
    """The moment that such a key stands for."""
    return LAST_MS - int(newest_first_key)


@dataclass(frozen=True, slots=True)
class Write:
    """One operation of a transaction. Made by `insert`, `upsert`, `replace` and `delete`."""

    action: Literal["create", "upsert", "update", "delete"]
    row: Row


def insert(row: Row) -> Write:
    """Conflicts if the row exists."""
    return Write("create", row)


def upsert(row: Row) -> Write:
    """Writes the row whatever was there."""
    return Write("upsert", row)


def replace(row: Row) -> Write:
    """Conflicts if the row changed since it was read."""
    return Write("update", row)


def delete(row: Row) -> Write:
    """Removes the row; conflicts if it changed since it was read (where it has an etag) or is gone."""
    return Write("delete", row)


class Table:
    """One table. Cheap to make; the connection is shared."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def _client(self) -> "TableClient":
        return connections.tables().get_table_client(self.name)

    async def get(self, partition: str, key: str) -> Row | None:
        """The row, or None. Raises `Unavailable`."""
        from azure.core.exceptions import ResourceNotFoundError

        with _errors():
            try:
                return _row(await self._client.get_entity(partition, key))
            except ResourceNotFoundError:
                return None

    async def query(
        self,
        partition: str | None = None,
        *,
        partition_from: str | None = None,
        partition_before: str | None = None,
        key_from: str | None = None,
        key_before: str | None = None,
        where: Mapping[str, Value] | None = None,
        at_most: Mapping[str, int] | None = None,
        at_least: Mapping[str, float] | None = None,
        limit: int | None = None,
        select: Collection[str] | None = None,
    ) -> AsyncIterator[Row]:
        """Rows in key order, of one partition or of a range of partitions. Raises `Unavailable`.

        Bounds are inclusive below and exclusive above; `where` compares properties for equality, `at_most` for ≤
        and `at_least` for ≥ (rows without the property do not match). With `select` only these properties are read.
        """
        conditions, parameters = [], dict[str, Any]()
        for column, operator, bound in (
            ("PartitionKey", "eq", partition),
            ("PartitionKey", "ge", partition_from),
            ("PartitionKey", "lt", partition_before),
            ("RowKey", "ge", key_from),
            ("RowKey", "lt", key_before),
            *((name, "eq", value) for name, value in (where or {}).items()),
            *((name, "le", value) for name, value in (at_most or {}).items()),
            *((name, "ge", value) for name, value in (at_least or {}).items()),
        ):
            if bound is None:
                continue
            if isinstance(bound, int) and not isinstance(bound, bool):
                # All whole numbers are stored as 64 bits; the SDK's parameters would compare with 32.
                conditions.append(f"{column} {operator} {bound}L")
            else:
                parameters[f"p{len(parameters)}"] = bound
                conditions.append(f"{column} {operator} @p{len(parameters) - 1}")
        asked: dict[str, Any] = {}
        if select is not None:
            asked["select"] = ["PartitionKey", "RowKey", *select]
        if limit is not None:
            asked["results_per_page"] = min(limit, MAX_PAGE_ENTITIES)
        with _errors():
            if conditions:
                pages = self._client.query_entities(" and ".join(conditions), parameters=parameters, **asked)
            else:
                pages = self._client.list_entities(**asked)
            found = 0
            async for entity in pages:
                yield _row(entity)
                found += 1
                if found == limit:
                    return

    async def commit(self, writes: Sequence[Write]) -> list[str]:
        """All of the writes or none; returns the new etags in their order ("" for a deletion).

        Raises `Conflict` if a row is not as the write expects it, `Unavailable` if the outcome is unknown or the
        service throttles. The caller keeps to one partition and `MAX_TRANSACTION_ENTITIES`.
        """
        if not writes:
            return []
        with _errors():
            answers = await self._client.submit_transaction([_operation(write) for write in writes])
        return [answer.get("etag") or "" for answer in answers]

    async def remove(self, rows: Sequence[Row]) -> None:
        """Removes the rows, of any partitions, as they are now; those that are gone already are no obstacle.

        Not one transaction: what it leaves behind if it raises `Unavailable` is for a repetition to remove.
        """
        for partition in dict.fromkeys(row.partition for row in rows):
            await self.commit_each([delete(Row(partition, row.key))] for row in rows if row.partition == partition)

    async def commit_each(self, wholes: Iterable[Sequence[Write]]) -> int:
        """Commits each of the wholes, all of one partition; returns how many, as those that conflict are left out.

        Together where they fit into a transaction, and each by itself where that conflicts. Raises `Unavailable`.
        """
        return sum([await self._commit_batch(batch) for batch in _batches(wholes)])

    async def _commit_batch(self, batch: Sequence[Sequence[Write]]) -> int:
        try:
            await self.commit([write for whole in batch for write in whole])
        except Conflict:
            return 0 if len(batch) == 1 else sum([await self._commit_batch([whole]) for whole in batch])
        return len(batch)


def _batches(wholes: Iterable[Sequence[Write]]) -> Iterator[list[Sequence[Write]]]:
    batch = list[Sequence[Write]]()
    for whole in wholes:
        if batch and sum(map(len, batch)) + len(whole) > MAX_TRANSACTION_ENTITIES:
            yield batch
            batch = []
        batch.append(whole)
    if batch:
        yield batch


def _operation(write: Write) -> tuple[Any, ...]:
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    entity = _entity(write.row)
    conditions = {"etag": write.row.etag, "match_condition": MatchConditions.IfNotModified} if write.row.etag else {}
    match write.action:
        case "create":
            return ("create", entity)
        case "upsert":
            return ("upsert", entity, {"mode": UpdateMode.REPLACE})
        case "update":
            if not conditions:
                raise ValueError(f"replacing {write.row.key} without its etag would not be fenced")
            return ("update", entity, {"mode": UpdateMode.REPLACE, **conditions})
        case "delete":
            return ("delete", entity, conditions)


def _entity(row: Row) -> dict[str, Any]:
    from azure.data.tables import EdmType, EntityProperty

    entity: dict[str, Any] = {"PartitionKey": row.partition, "RowKey": row.key}
    for name, value in row.values.items():
        if value is None:
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        # The SDK writes a plain int as 32 bits and refuses larger ones.
        entity[name] = EntityProperty(value, EdmType.INT64) if whole else value
    return entity


def _row(entity: Any) -> Row:
    values = {
        name: value.value if hasattr(value, "edm_type") else value
        for name, value in entity.items()
        if name not in {"PartitionKey", "RowKey"}
    }
    return Row(entity["PartitionKey"], entity["RowKey"], values, entity.metadata["etag"])


_CONFLICTS = frozenset(
    {
        "EntityAlreadyExists",
        "UpdateConditionNotSatisfied",
        "ResourceNotFound",
        "EntityNotFound",
        "ConditionNotMet",
    }
)


@contextmanager
def _errors() -> Iterator[None]:
    """Conflicts are for the caller to resolve; what only time can mend is `Unavailable`; the rest is our bug."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        code = str(getattr(error, "error_code", "") or "")
        if error.status_code in {404, 409, 412} or code.rpartition(".")[2] in _CONFLICTS:
            raise Conflict(f"table storage: {code or error.status_code}") from error
        if error.status_code is None or error.status_code in {408, 429} or error.status_code >= 500:
            raise Unavailable(f"table storage: {code or error.status_code}") from error
        raise
    except AzureError as error:
        raise Unavailable(f"table storage: {type(error).__name__}") from error
