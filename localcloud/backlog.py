"""How far the app is behind: what waits in the Event Hubs and queues that it reads."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Self

from azure.core.exceptions import ResourceNotFoundError
from azure.eventhub.aio import EventHubConsumerClient
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.storage.blob.aio import ContainerClient

from localcloud.layout import Layout

CONSUMER_GROUP = "$Default"
CHECKPOINTS = "azure-webjobs-eventhub"
POLL_S = 0.1


class Backlog:
    """Compares what was sent with what the Functions host has checkpointed or completed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._open = AsyncExitStack()
        self._hubs: dict[str, EventHubConsumerClient] = {}
        self._queues: dict[str, ServiceBusReceiver] = {}

    async def __aenter__(self) -> Self:
        layout = self._layout
        self._service_bus = await self._open.enter_async_context(
            ServiceBusClient.from_connection_string(layout.amqp_connection)
        )
        self._checkpoints = await self._open.enter_async_context(
            ContainerClient.from_connection_string(layout.storage_connection, CHECKPOINTS)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def waiting_events(self, hub: str) -> int:
        """Events of an Event Hub that lie after the host's checkpoint."""
        if hub not in self._hubs:
            client = EventHubConsumerClient.from_connection_string(
                self._layout.amqp_connection, CONSUMER_GROUP, eventhub_name=hub
            )
            self._hubs[hub] = await self._open.enter_async_context(client)
        client = self._hubs[hub]
        done = await self._checkpointed(hub)
        ids = await client.get_partition_ids()
        partitions = await asyncio.gather(*map(client.get_partition_properties, ids))
        return sum(max(0, last["last_enqueued_sequence_number"] - done.get(last["id"], -1)) for last in partitions)

    async def waiting_messages(self, queue: str) -> int:
        """Messages of a queue that are not settled: waiting, locked or scheduled; at most 100 are counted."""
        # Kept open, because the SDK takes a second to close one.
        if queue not in self._queues:
            self._queues[queue] = await self._open.enter_async_context(self._service_bus.get_queue_receiver(queue))
        return len(await self._queues[queue].peek_messages(100, sequence_number=1))

    async def until_empty(self, *, hubs: Iterable[str] = (), queues: Iterable[str] = (), timeout_s: float) -> None:
        """Returns when nothing waits there. Raises `TimeoutError`, naming the places."""
        hubs, queues = tuple(hubs), tuple(queues)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    counts = [await self.waiting_events(hub) for hub in hubs]
                    counts += [await self.waiting_messages(queue) for queue in queues]
                    if not any(counts):
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            places = ", ".join((*hubs, *queues))
            raise TimeoutError(f"messages still waited after {timeout_s:.0f} s in {places}") from None

    async def _checkpointed(self, hub: str) -> dict[str, int]:
        """Sequence number by partition, from `{namespace}/{hub}/{group}/checkpoint/{partition}`."""
        done: dict[str, int] = {}
        try:
            async for blob in self._checkpoints.list_blobs(include=["metadata"]):
                _, of_hub, group, kind, partition = blob.name.split("/")
                if (of_hub, group, kind) == (hub, CONSUMER_GROUP.lower(), "checkpoint") and blob.metadata:
                    done[partition] = int(blob.metadata["sequencenumber"])
        except ResourceNotFoundError:
            pass  # the host has not made a checkpoint yet
        return done
