"""Delivery to an Event Hub: in order within a partition, as often as it takes, and reported when accepted."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final, TypeVar
from zlib import crc32

from azure.eventhub import EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from localcloud.iothub.events import Event

_LINGER_S: Final = 0.003  # what a lone message waits for company
_MAX_BATCH: Final = 250  # encoding more than that at once would keep the devices waiting
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0

_T = TypeVar("_T")

log = logging.getLogger(__name__)


class Backlog:
    """How much waits for the Event Hubs, all together; tells when it is too much and when it is not any more."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._waiting: list[Callable[[], None]] = []

    @property
    def is_full(self) -> bool:
        return self._bytes > self._limit_bytes

    def call_when_drained(self, callback: Callable[[], None]) -> None:
        """Calls back once, when half of the limit is free again."""
        self._waiting.append(callback)

    async def drained(self) -> None:
        """Returns when nothing waits."""
        await self._empty.wait()

    def add(self, event: Event) -> None:
        self._bytes += event.cost_bytes
        self._empty.clear()

    def remove(self, event: Event) -> None:
        self._bytes -= event.cost_bytes
        if not self._bytes:
            self._empty.set()
        if self._waiting and self._bytes <= self._limit_bytes // 2:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()


class _Partition:
    """The queue of one partition, of which one batch at a time is under way."""

    def __init__(self, partition_id: str, backlog: Backlog) -> None:
        self.partition_id = partition_id
        self._backlog = backlog
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()

    def put(self, event: Event) -> None:
        self._events.append(event)
        self._backlog.add(event)
        self._arrived.set()

    async def wait(self) -> None:
        await self._arrived.wait()

    def fill(self, batch: EventDataBatch) -> int:
        """Adds to the batch what fits and returns how many of the first events that is."""
        for count, event in enumerate(islice(self._events, _MAX_BATCH)):
            try:
                batch.add(event.as_amqp())
            except ValueError:  # the batch is full
                return count
        return min(len(self._events), _MAX_BATCH)

    def settle(self, count: int) -> None:
        """Takes the first events off the queue and reports them."""
        for _ in range(count):
            event = self._events.popleft()
            self._backlog.remove(event)
            event.accepted()
        if not self._events:
            self._arrived.clear()

    def drop_unsendable(self) -> None:
        event = self._events[0]
        log.error("a message of %s is too large for the Event Hub and is dropped", event.device_id)
        self.settle(1)


class EventHubEndpoint:
    """One Event Hub, written by its unmodified SDK. All messages of a device go to one partition, in their order."""

    def __init__(self, connection_string: str, name: str, partition_count: int, backlog: Backlog) -> None:
        self._name = name
        # The SDK's own attempts would only hide an outage from the ones below, which never end.
        self._producer = EventHubProducerClient.from_connection_string(
            connection_string, eventhub_name=name, retry_total=0
        )
        self._partitions = [_Partition(str(number), backlog) for number in range(partition_count)]

    def put(self, event: Event) -> None:
        self._partitions[crc32(event.device_id.encode()) % len(self._partitions)].put(event)

    async def run(self) -> None:
        """Delivers until cancelled."""
        async with self._producer, asyncio.TaskGroup() as group:
            for partition in self._partitions:
                group.create_task(self._deliver(partition))

    async def _deliver(self, partition: _Partition) -> None:
        await self._new_batch(partition)  # connects, which takes a second that the first message is spared
        while True:
            await partition.wait()
            await asyncio.sleep(_LINGER_S)
            await self._deliver_batch(partition)

    async def _deliver_batch(self, partition: _Partition) -> None:
        batch = await self._new_batch(partition)
        count = partition.fill(batch)
        if not count:
            partition.drop_unsendable()
            return
        await self._persistently(lambda: self._producer.send_batch(batch))
        partition.settle(count)

    async def _new_batch(self, partition: _Partition) -> EventDataBatch:
        return await self._persistently(lambda: self._producer.create_batch(partition_id=partition.partition_id))

    async def _persistently(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """What the attempt gives once it succeeds, however long the Event Hub is away."""
        pause_s = 0.0
        while True:
            try:
                result = await attempt()
            except Exception as error:  # noqa: BLE001 - a lost connection surfaces in the SDK as almost anything
                if not pause_s:
                    log.warning("Event Hub %s is away (%s); trying until it is back", self._name, type(error).__name__)
                pause_s = min(pause_s * 2 or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
                await asyncio.sleep(pause_s)
            else:
                if pause_s:
                    log.warning("Event Hub %s is back", self._name)
                return result
