"""A walk over everything that is stored, as the storage itself lists it, in search of a word."""

import zlib
from collections.abc import AsyncIterator

from shared import connections


async def traces(word: str) -> list[str]:
    """Where the word stands: in a key, a name, a value or a content, whether deflated or not; each place in full."""
    return sorted([place async for place, content in everything() if word.encode() in content])


async def everything() -> AsyncIterator[tuple[str, bytes]]:
    """Each row of each table and each blob of each container, with all that it holds."""
    async for table in connections.tables().list_tables():
        async for entity in connections.tables().get_table_client(table.name).list_entities():
            place = f"{table.name}: {entity['PartitionKey']} {entity['RowKey']}"
            yield place, b"\n".join([place.encode(), *(_plain(name, value) for name, value in entity.items())])
    async for container in connections.blobs().list_containers(include_metadata=True):
        client = connections.blobs().get_container_client(container.name)
        async for blob in client.list_blobs(include=["metadata", "snapshots", "deleted", "versions"]):
            place = f"{container.name}: {blob.name}"
            content = await (await client.download_blob(blob.name)).readall()
            yield place, b"\n".join([f"{place} {blob.metadata}".encode(), _inflated(content)])


def _plain(name: str, value: object) -> bytes:
    content = value if isinstance(value, bytes) else str(getattr(value, "value", value)).encode()
    return name.encode() + b"=" + _inflated(content)


def _inflated(content: bytes) -> bytes:
    try:
        return content + zlib.decompress(content)
    except zlib.error:
        return content
