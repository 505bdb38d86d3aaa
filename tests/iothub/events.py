"""Reading Event Hubs as a consumer would, by the unmodified SDK."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext


@dataclass(frozen=True, slots=True)
class Received:
    """An event with its names as text."""

    event_hub: str
    partition_id: str
    body: bytes
    properties: dict[str, Any]
    system: dict[str, Any]

    @property
    def device_id(self) -> str:
        return str(self.system["iothub-connection-device-id"])


class EventLog:
    """All events so far, and the way to wait for more."""

    def __init__(self) -> None:
        self._events: list[Received] = []
        self._arrived = asyncio.Condition()

    async def add(self, event: Received) -> None:
        async with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()

    def of(self, device_id: str) -> list[Received]:
        return [event for event in self._events if event.device_id == device_id]

    async def wait(self, device_id: str, count: int = 1, timeout_s: float = 20) -> list[Received]:
        """The device's events as soon as there are that many."""
        await self._wait_for(lambda: len(self.of(device_id)) >= count, timeout_s)
        return self.of(device_id)

    async def _wait_for(self, predicate: Callable[[], bool], timeout_s: float) -> None:
        async with self._arrived:
            await asyncio.wait_for(self._arrived.wait_for(predicate), timeout_s)


@asynccontextmanager
async def consuming(connection_string: str, *names: str) -> AsyncIterator[EventLog]:
    """Reads the named Event Hubs from their beginning until left."""
    log = EventLog()
    clients = {
        name: EventHubConsumerClient.from_connection_string(connection_string, "$Default", eventhub_name=name)
        for name in names
    }
    receiving = [
        asyncio.create_task(client.receive(_collector(log, name), starting_position="-1"))
        for name, client in clients.items()
    ]
    try:
        yield log
    finally:
        await asyncio.gather(*(client.close() for client in clients.values()))
        for task in receiving:
            task.cancel()  # it would notice the close only when it next balances its load, up to 30 s later
        await asyncio.gather(*receiving, return_exceptions=True)


def _collector(log: EventLog, name: str) -> Callable[[PartitionContext, EventData | None], Any]:
    async def collect(context: PartitionContext, event: EventData | None) -> None:
        if event is None:
            return
        body = b"".join(event.raw_amqp_message.body)
        properties = {_text(key): _text(value) for key, value in (event.properties or {}).items()}
        system = {_text(key): _text(value) for key, value in event.system_properties.items()}
        await log.add(Received(name, context.partition_id, body, properties, system))

    return collect


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
