"""The app from outside: commands to its queues, and what it has stored."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar
from uuid import uuid4

from azure.data.tables import EntityProperty
from azure.data.tables.aio import TableServiceClient
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.storage.blob.aio import BlobServiceClient

from localcloud.layout import Layout
from shared import settings
from shared.clock import to_epoch_ms, utc_now
from shared.messaging.contracts import Message, to_envelope
from shared.messaging.publisher import Outgoing, to_service_bus

SOURCE = "/operator"
_ClientT = TypeVar("_ClientT")


class AppClient:
    """What an operator does, with clients of its own; for the length of an `async with`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._open = AsyncExitStack()
        self._senders: dict[str, ServiceBusSender] = {}

    async def __aenter__(self) -> Self:
        async def opened(make: Callable[[str], _ClientT], connection: str) -> _ClientT:
            client = make(connection)
            await self._open.enter_async_context(client)  # type: ignore[arg-type] # every client is one
            return client

        self._service_bus = await opened(ServiceBusClient.from_connection_string, self._layout.amqp_connection)
        self._tables = await opened(TableServiceClient.from_connection_string, self._layout.storage_connection)
        self._blobs = await opened(BlobServiceClient.from_connection_string, self._layout.storage_connection)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def command(self, queue: str, *commands: Message) -> None:
        """Sends commands to a job's queue."""
        now_ms = to_epoch_ms(utc_now())
        if queue not in self._senders:
            self._senders[queue] = await self._open.enter_async_context(self._service_bus.get_queue_sender(queue))
        for command in commands:
            envelope = to_envelope(command, message_id=uuid4().hex, source=SOURCE, subject="operator", time_ms=now_ms)
            await self._senders[queue].send_messages(to_service_bus(Outgoing(queue, envelope)))

    async def upload(self, container: str, name: str, body: bytes) -> None:
        """Stores a blob."""
        await self._blobs.get_blob_client(container, name).upload_blob(body, overwrite=True)

    async def rows(self, table: str, partition: str | None = None) -> list[Mapping[str, Any]]:
        """The rows of a table or of one partition, in key order."""
        client = self._tables.get_table_client(table)
        if partition is None:
            found = client.list_entities()
        else:
            found = client.query_entities("PartitionKey eq @partition", parameters={"partition": partition})
        return [{name: _plain(value) for name, value in entity.items()} async for entity in found]

    async def trips(self, vehicle_id: str) -> list[Mapping[str, Any]]:
        """The stored summaries of a vehicle's trips, oldest first."""
        return (await self.rows(settings.TRIPS_TABLE, vehicle_id))[::-1]

    async def parked(self) -> list[Mapping[str, Any]]:
        """What was set aside; the source of each is its partition."""
        sources = sorted(settings.PARKING_SOURCES)
        return [row for source in sources for row in await self.rows(settings.PARKED_TABLE, source)]


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, EntityProperty) else value
