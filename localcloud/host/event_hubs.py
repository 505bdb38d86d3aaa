"""Event Hub triggers: one receiver for each partition, checkpoints in blob storage as the real extension keeps them."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from azure.core.exceptions import AzureError
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.amqp import AmqpMessageBodyType
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

from localcloud.clock import EPOCH, from_epoch_ms
from localcloud.host.app import IndexedFunction
from localcloud.host.datums import plain
from localcloud.host.decoding import Event, Partition, TriggerInput, event_batch, single_event
from localcloud.host.host_json import EventHubOptions
from localcloud.host.logs import current_function, logger
from localcloud.host.retrying_invoker import RetryingInvoker
from localcloud.host.settings import AppSettings

CHECKPOINT_CONTAINER = "azure-webjobs-eventhub"
# Equal levels steal from each other, so a restarted host need not wait until its dead predecessor is missed.
_OWNER_LEVEL = 0
_RECONNECT_INTERVAL_S = 1
_LOOK_INTERVAL_S = 0.5  # how often events that are held back are looked after
_KNOWN_ANNOTATIONS = (b"x-opt-sequence-number", b"x-opt-offset", b"x-opt-enqueued-time", b"x-opt-partition-key")
_IOTHUB_ENQUEUED_TIME = "iothub-enqueuedtime"


class HeldBack:
    """Events of one partition that are too few for a batch yet (PartitionProcessorEventsManager)."""

    def __init__(self, options: EventHubOptions) -> None:
        self._options = options
        self._events: list[EventData] = []
        self._since_s = 0.0

    def batch_with(self, events: list[EventData], now_s: float) -> list[EventData]:
        """What is to be processed now that `events` have come, if there are enough or they have waited long enough."""
        if not self._events:
            self._since_s = now_s
        self._events += events
        waited_s = now_s - self._since_s
        if (
            len(self._events) < self._options.min_event_batch_size
            and waited_s < self._options.max_wait_time.total_seconds()
        ):
            return []
        largest = self._options.max_event_batch_size
        batch, self._events = self._events[:largest], self._events[largest:]
        self._since_s = now_s
        return batch


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a partition's function is working on, and the sign to make no further attempt."""

    task: asyncio.Task[None]
    abandoned: asyncio.Event


class EventHubListener:
    """Feeds the events of one Event Hub to one function: in order within a partition, partitions side by side."""

    def __init__(
        self,
        function: IndexedFunction,
        invoker: RetryingInvoker,
        options: EventHubOptions,
        settings: AppSettings,
        storage: str,
    ) -> None:
        self._function = function
        self._invoker = invoker
        self._options = options
        properties = function.trigger.properties
        self._store = BlobCheckpointStore.from_connection_string(storage, CHECKPOINT_CONTAINER)
        self._client = EventHubConsumerClient.from_connection_string(
            settings.connection(properties["connection"]),
            consumer_group=settings.resolve(properties.get("consumerGroup", "$Default")),
            eventhub_name=settings.resolve(properties["eventHubName"]),
            checkpoint_store=self._store,
            load_balancing_interval=_RECONNECT_INTERVAL_S,
            retry_total=0,  # the SDK makes a new receiver after each interval; more retries only hide the reason
        )
        self._receiving: list[asyncio.Task[None]] = []
        self._batches: dict[str, _Batch] = {}
        self._held_back: dict[str, HeldBack] = {}
        self._batches_since_checkpoint: dict[str, int] = {}
        self._uncheckpointed: dict[str, tuple[PartitionContext, EventData]] = {}
        self._interrupted: set[str] = set()
        self._stopping = False

    async def start(self) -> None:
        """Returns once the hub has answered and a receiver for each of its partitions is set up.

        Nothing can be missed from then on: receivers start at the last checkpoint.
        """
        current_function.set(self._function.name)
        partition_ids = await self._client.get_partition_ids()
        attached = {partition_id: asyncio.Event() for partition_id in partition_ids}

        async def on_partition_initialize(partition: PartitionContext) -> None:
            attached[partition.partition_id].set()

        for partition_id in partition_ids:
            receive = self._client.receive_batch(
                self._on_batch,
                partition_id=partition_id,
                owner_level=_OWNER_LEVEL,
                max_batch_size=self._options.max_event_batch_size,
                max_wait_time=_LOOK_INTERVAL_S if self._holds_back else None,
                prefetch=self._options.prefetch_count,
                starting_position=self._options.start,
                on_error=self._on_error,
                on_partition_initialize=on_partition_initialize,
            )
            self._receiving.append(asyncio.create_task(receive))
        await asyncio.gather(*(event.wait() for event in attached.values()))

    async def stop(self, grace_s: float) -> None:
        """Takes no further batch, lets those that run come to their checkpoint, at most for `grace_s` seconds."""
        self._stopping = True
        batches = list(self._batches.values())
        for batch in batches:
            batch.abandoned.set()
        if batches:
            _, late = await asyncio.wait([batch.task for batch in batches], timeout=grace_s)
            for task in late:
                task.cancel()
        for partition, finished in self._uncheckpointed.values():
            try:
                await partition.update_checkpoint(finished)
            except AzureError as error:  # at least once is kept
                logger.warning("a last checkpoint is not written: %s: %s", type(error).__name__, error)
        await self._client.close()
        await asyncio.gather(*self._receiving, return_exceptions=True)
        await self._store.close()

    async def _on_batch(self, partition: PartitionContext, events: list[EventData]) -> None:
        if self._stopping:
            await asyncio.Event().wait()  # until the client is closed: returning would fetch the next batch
        if events:
            self._interrupted.discard(partition.partition_id)
        if self._holds_back:
            held_back = self._held_back.setdefault(partition.partition_id, HeldBack(self._options))
            events = held_back.batch_with(events, asyncio.get_running_loop().time())
        if not events:
            return
        # A task of its own, so that closing the client cancels the wait and not the function.
        abandoned = asyncio.Event()
        task = asyncio.create_task(self._process(partition, events, abandoned))
        self._batches[partition.partition_id] = _Batch(task, abandoned)
        task.add_done_callback(lambda _: self._batches.pop(partition.partition_id))
        await asyncio.shield(task)

    async def _process(self, partition: PartitionContext, events: list[EventData], abandoned: asyncio.Event) -> None:
        source = Partition(
            partition.fully_qualified_namespace,
            partition.eventhub_name,
            partition.consumer_group,
            partition.partition_id,
        )
        count = self._batches_since_checkpoint.get(partition.partition_id, 0) + 1
        checkpointing = count >= self._options.batch_checkpoint_frequency
        self._batches_since_checkpoint[partition.partition_id] = 0 if checkpointing else count
        finished: EventData | None = None
        for last, trigger_input in self._inputs(events, source, checkpointing=checkpointing):
            if abandoned.is_set() or not await self._invoker.run(self._function, trigger_input, abandoned):
                break
            finished = last
        if finished is None:
            return
        self._uncheckpointed[partition.partition_id] = (partition, finished)
        if checkpointing:
            await partition.update_checkpoint(finished)
            self._uncheckpointed.pop(partition.partition_id, None)

    @property
    def _holds_back(self) -> bool:
        """Whether a batch can be too small: only functions that take batches have a least size."""
        return self._function.trigger.is_batch and self._options.min_event_batch_size > 1

    def _inputs(
        self, events: list[EventData], source: Partition, *, checkpointing: bool
    ) -> Iterator[tuple[EventData, TriggerInput]]:
        """What to invoke with, and the last event that each covers."""
        received = [_event(event) for event in events]
        binary = self._function.trigger.is_binary
        if self._function.trigger.is_batch:
            yield events[-1], event_batch(received, source, binary=binary, checkpointing=checkpointing)
        else:
            for raw, event in zip(events, received, strict=True):
                yield raw, single_event(event, source, binary=binary, checkpointing=checkpointing)

    async def _on_error(self, partition: PartitionContext | None, error: Exception) -> None:
        """The SDK makes a new receiver when this returns, from the last checkpoint on.

        So the batch in hand comes again, and must be at rest by then: never two at once of one partition.
        """
        partition_id = partition.partition_id if partition else ""
        if partition_id not in self._interrupted:  # said once, not every second
            self._interrupted.add(partition_id)
            logger.warning("partition %s is interrupted: %s: %s", partition_id, type(error).__name__, error)
        self._held_back.pop(partition_id, None)
        self._uncheckpointed.pop(partition_id, None)
        if batch := self._batches.get(partition_id):
            batch.abandoned.set()
            await asyncio.wait((batch.task,))


def _event(event: EventData) -> Event:
    """The record of a received event; IoT Hub's enqueued time, an AMQP timestamp, gets back its type."""
    properties: dict[str, Any] = plain(
        {name: value for name, value in event.system_properties.items() if name not in _KNOWN_ANNOTATIONS}
    )
    if isinstance(enqueued_ms := properties.get(_IOTHUB_ENQUEUED_TIME), int):
        properties[_IOTHUB_ENQUEUED_TIME] = from_epoch_ms(enqueued_ms)
    return Event(
        body=_body(event),
        sequence_number=event.sequence_number or 0,
        offset=event.offset or "",
        enqueued_at=event.enqueued_time or EPOCH,
        partition_key=plain(event.partition_key),
        properties=plain(event.properties or {}),
        system_properties=properties,
    )


def _body(event: EventData) -> bytes:
    if event.body_type == AmqpMessageBodyType.DATA:
        return b"".join(cast(Iterable[bytes], event.body))
    return event.body_as_str().encode()
