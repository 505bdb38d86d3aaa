"""The unmodified azure-eventhub SDK in both of its flavours, asyncio and threads, driven from one event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Any, Final, Protocol

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, aio
from azure.eventhub.extensions import checkpointstoreblob, checkpointstoreblobaio

CONTAINER: Final = "checkpoints"
WAIT_S: Final = 20.0


class Reading:
    """What a consumer has seen so far."""

    def __init__(self) -> None:
        self.events: list[EventData] = []
        self.contexts: list[Any] = []  # of each event
        self.sizes: list[int] = []  # of each batch
        self.idle_calls = 0  # with no event, after `max_wait_time`
        self.errors: list[Exception] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while True:
                self._changed.clear()
                if condition():
                    return
                await self._changed.wait()

    async def got(self, count: int) -> list[EventData]:
        """All events, as soon as there are so many."""
        await self.until(lambda: len(self.events) >= count)
        return self.events

    async def bodies(self, count: int) -> list[str]:
        return [event.body_as_str() for event in await self.got(count)]

    async def failed(self) -> Exception:
        """The first error."""
        await self.until(lambda: bool(self.errors))
        return self.errors[0]

    async def close(self) -> None:
        raise NotImplementedError

    def take(self, context: Any, events: EventData | Sequence[EventData] | None) -> None:
        if isinstance(events, EventData):
            self._add(context, [events])
        elif events:
            self.sizes.append(len(events))
            self._add(context, events)
        else:
            self.idle_calls += 1
        self._notify()

    def fail(self, _context: Any, error: Exception) -> None:
        self.errors.append(error)
        self._notify()

    def _add(self, context: Any, events: Sequence[EventData]) -> None:
        self.contexts += [context] * len(events)
        self.events += events

    def _notify(self) -> None:
        self._loop.call_soon_threadsafe(self._changed.set)


class AsyncioReading(Reading):
    def __init__(self, consumer: aio.EventHubConsumerClient, *, batches: bool, **options: Any) -> None:
        super().__init__()
        self._consumer = consumer
        receive = consumer.receive_batch if batches else consumer.receive
        self._task = asyncio.create_task(receive(self._take, on_error=self._fail, **options))

    async def close(self) -> None:
        await self._consumer.close()
        self._task.cancel()  # else it sleeps for half a minute before it sees that it is closed
        await asyncio.wait([self._task])

    async def _take(self, context: Any, events: Any) -> None:
        self.take(context, events)

    async def _fail(self, context: Any, error: Exception) -> None:
        self.fail(context, error)


class ThreadReading(Reading):
    def __init__(self, consumer: EventHubConsumerClient, *, batches: bool, **options: Any) -> None:
        super().__init__()
        self._consumer = consumer
        receive = consumer.receive_batch if batches else consumer.receive
        Thread(target=receive, args=(self.take,), kwargs={"on_error": self.fail, **options}, daemon=True).start()

    async def close(self) -> None:
        await asyncio.to_thread(self._consumer.close)


class Threaded:
    """An object of the synchronous SDK: its methods run in a thread and are awaited."""

    def __init__(self, wrapped: Any, executor: ThreadPoolExecutor) -> None:
        self._wrapped = wrapped
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._wrapped, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            bound = partial(method, *arguments, **options)
            return await asyncio.get_running_loop().run_in_executor(self._executor, bound)

        return call


class Flavour(Protocol):
    """One of the SDK's flavours: what it makes is used in the same way."""

    name: str

    def producer(self, connection: str, hub: str, **options: Any) -> Any: ...

    def read(self, connection: str, group: str, hub: str, client: dict[str, Any], **options: Any) -> Reading: ...

    def checkpoint_store(self, storage: str) -> Any: ...

    async def close_store(self, store: Any) -> None: ...

    def callback(self, function: Callable[..., None]) -> Any:
        """The function as the producer wants it for its callbacks."""

    async def checkpoint(self, context: Any, event: EventData | None = None) -> None: ...


class Asyncio:
    name = "asyncio"

    def producer(self, connection: str, hub: str, **options: Any) -> Any:
        return aio.EventHubProducerClient.from_connection_string(connection, eventhub_name=hub, **options)

    def read(self, connection: str, group: str, hub: str, client: dict[str, Any], **options: Any) -> Reading:
        consumer = aio.EventHubConsumerClient.from_connection_string(connection, group, eventhub_name=hub, **client)
        return AsyncioReading(consumer, **options)

    def checkpoint_store(self, storage: str) -> Any:
        return checkpointstoreblobaio.BlobCheckpointStore.from_connection_string(storage, CONTAINER)

    async def close_store(self, store: Any) -> None:
        await store.__aexit__()

    def callback(self, function: Callable[..., None]) -> Any:
        async def call(*arguments: Any) -> None:
            function(*arguments)

        return call

    async def checkpoint(self, context: Any, event: EventData | None = None) -> None:
        await context.update_checkpoint(event)


class Threads:
    name = "threads"

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(32)

    def producer(self, connection: str, hub: str, **options: Any) -> Any:
        producer = EventHubProducerClient.from_connection_string(connection, eventhub_name=hub, **options)
        return Threaded(producer, self._executor)

    def read(self, connection: str, group: str, hub: str, client: dict[str, Any], **options: Any) -> Reading:
        consumer = EventHubConsumerClient.from_connection_string(connection, group, eventhub_name=hub, **client)
        return ThreadReading(consumer, **options)

    def checkpoint_store(self, storage: str) -> Any:
        return checkpointstoreblob.BlobCheckpointStore.from_connection_string(storage, CONTAINER)

    async def close_store(self, store: Any) -> None:
        await asyncio.to_thread(store.close)

    def callback(self, function: Callable[..., None]) -> Any:
        return function

    async def checkpoint(self, context: Any, event: EventData | None = None) -> None:
        await asyncio.to_thread(context.update_checkpoint, event)
