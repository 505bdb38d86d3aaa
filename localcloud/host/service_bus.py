"""Service Bus triggers without sessions: messages one by one, many at a time, or batches one after another."""

import asyncio

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer, ServiceBusReceiver

from localcloud.host.app import IndexedFunction
from localcloud.host.host_json import ServiceBusOptions
from localcloud.host.invoker import Invoker
from localcloud.host.logs import current_function, logger
from localcloud.host.service_bus_entity import GATHERING_S, Entity, received_together
from localcloud.host.settings import AppSettings
from localcloud.host.waiting import RunningTasks, is_set_within

_RECONNECT_DELAY_S = 1.0
_BATCH_WAIT_S = 60.0


class ServiceBusListener:
    """Feeds the messages of one queue or subscription to one function."""

    def __init__(
        self, function: IndexedFunction, invoker: Invoker, options: ServiceBusOptions, settings: AppSettings
    ) -> None:
        self._entity = Entity(function, invoker, options, settings)
        self._options = options
        self._is_batch = function.trigger.is_batch
        self._renewer = AutoLockRenewer(max_lock_renewal_duration=options.max_auto_lock_renewal.total_seconds())
        self._free_calls = asyncio.Semaphore(options.max_concurrent_calls)
        self._attached = asyncio.Event()
        self._stopping = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._running = RunningTasks()
        self._grace_s = 0.0

    async def start(self) -> None:
        """Returns once the receiver is attached. Raises `ServiceBusError` if that is refused."""
        current_function.set(self._entity.function.name)
        self._listening = asyncio.create_task(self._listen())
        attached = asyncio.create_task(self._attached.wait())
        await asyncio.wait((self._listening, attached), return_when=asyncio.FIRST_COMPLETED)
        if self._listening.done():
            attached.cancel()
            await self._listening

    async def stop(self, grace_s: float) -> None:
        """Takes no further message, lets those that run be settled, at most for `grace_s` seconds."""
        self._grace_s = grace_s
        self._stopping.set()
        if self._listening is not None:
            await self._listening
        await self._running.finish(grace_s)  # where the connection was lost; they are done otherwise
        await self._renewer.close()
        await self._entity.close()

    async def _listen(self) -> None:
        # Locks of batches are not renewed, there as here.
        renewer = None if self._is_batch else self._renewer
        while not self._stopping.is_set():
            try:
                async with self._entity.receiver(auto_lock_renewer=renewer) as receiver:
                    self._attached.set()
                    await self._receive_until_stopped(receiver)
            except Exception as error:  # whatever the SDK raises on a lost connection
                if not self._attached.is_set():
                    raise
                logger.warning("receiving is interrupted: %s: %s", type(error).__name__, error)
                await is_set_within(self._stopping, _RECONNECT_DELAY_S)

    async def _receive_until_stopped(self, receiver: ServiceBusReceiver) -> None:
        receive = self._receive_batches if self._is_batch else self._receive_messages
        receiving = asyncio.create_task(receive(receiver))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((receiving, stopping), return_when=asyncio.FIRST_COMPLETED)
        try:
            if receiving.done():
                await receiving
        finally:
            for task in (receiving, stopping):
                task.cancel()
            # After a lost connection functions run on beside the next receiver; their messages come again.
            if self._stopping.is_set():  # the receiver stays open meanwhile, because settlements go through it
                await self._running.finish(self._grace_s)

    async def _receive_messages(self, receiver: ServiceBusReceiver) -> None:
        messages = aiter(receiver)
        while True:
            await self._free_calls.acquire()
            try:
                message = await anext(messages)
            except BaseException:
                self._free_calls.release()
                raise
            self._run(receiver, [message]).add_done_callback(lambda _: self._free_calls.release())

    async def _receive_batches(self, receiver: ServiceBusReceiver) -> None:
        while True:
            if messages := await self._batch(receiver):
                await asyncio.shield(self._run(receiver, messages))

    async def _batch(self, receiver: ServiceBusReceiver) -> list[ServiceBusReceivedMessage]:
        """At least `minMessageBatchSize` messages, or what has come when `maxBatchWaitTime` is over."""
        options = self._options
        messages = await received_together(receiver, options.max_message_batch_size, _BATCH_WAIT_S)
        loop = asyncio.get_running_loop()
        end = loop.time() + options.max_batch_wait_time.total_seconds()
        while messages and len(messages) < options.min_message_batch_size and (left_s := end - loop.time()) > 0:
            room = options.max_message_batch_size - len(messages)
            messages += await receiver.receive_messages(room, min(left_s, GATHERING_S))
        return messages

    def _run(self, receiver: ServiceBusReceiver, messages: list[ServiceBusReceivedMessage]) -> asyncio.Task[None]:
        return self._running.start(self._entity.process(receiver, messages))
