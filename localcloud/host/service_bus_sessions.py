"""Service Bus triggers with sessions: each is read by one caller at a time, in the order of its messages."""

import asyncio

from azure.servicebus import NEXT_AVAILABLE_SESSION
from azure.servicebus.aio import AutoLockRenewer, ServiceBusReceiver
from azure.servicebus.exceptions import OperationTimeoutError

from localcloud.host.app import IndexedFunction
from localcloud.host.host_json import ServiceBusOptions
from localcloud.host.invoker import Invoker
from localcloud.host.logs import current_function, logger
from localcloud.host.service_bus_entity import Entity, received_together
from localcloud.host.settings import AppSettings
from localcloud.host.waiting import RunningTasks, is_set_within

_RECONNECT_DELAY_S = 1.0
_SESSION_WAIT_S = 60.0


class SessionListener:
    """Feeds the sessions of one queue or subscription to one function, `maxConcurrentSessions` side by side.

    A function that takes batches is given one session after another, as in the real extension.
    """

    def __init__(
        self, function: IndexedFunction, invoker: Invoker, options: ServiceBusOptions, settings: AppSettings
    ) -> None:
        self._entity = Entity(function, invoker, options, settings)
        self._idle_s = options.session_idle_timeout.total_seconds()
        self._is_batch = function.trigger.is_batch
        self._sessions = 1 if self._is_batch else options.max_concurrent_sessions
        self._most_messages = options.max_message_batch_size if self._is_batch else 1
        self._renewer = AutoLockRenewer(max_lock_renewal_duration=options.max_auto_lock_renewal.total_seconds())
        self._stopping = asyncio.Event()
        self._reading: list[asyncio.Task[None]] = []
        self._running = RunningTasks()
        self._interrupted = False

    async def start(self) -> None:
        """Sessions are waited for from now on; whether the entity has any, or is there at all, shows later."""
        current_function.set(self._entity.function.name)
        self._reading = [asyncio.create_task(self._read_sessions()) for _ in range(self._sessions)]

    async def stop(self, grace_s: float) -> None:
        """Takes no further message, lets those that run be settled, at most for `grace_s` seconds."""
        self._stopping.set()
        await self._running.finish(grace_s)
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        await self._renewer.close()
        await self._entity.close()

    async def _read_sessions(self) -> None:
        while not self._stopping.is_set():
            try:
                receiver = self._entity.receiver(session_id=NEXT_AVAILABLE_SESSION, max_wait_time=_SESSION_WAIT_S)
                async with receiver:
                    self._interrupted = False
                    await self._read(receiver)
            except OperationTimeoutError:
                continue  # there was no session with messages
            except Exception as error:  # noqa: BLE001 - whatever the SDK raises on a lost connection or session
                if not self._interrupted:  # said once, not by each reader every second
                    self._interrupted = True
                    logger.warning("receiving is interrupted: %s: %s", type(error).__name__, error)
                await is_set_within(self._stopping, _RECONNECT_DELAY_S)

    async def _read(self, receiver: ServiceBusReceiver) -> None:
        """Until the session gave nothing for the idle time, so that others have their turn."""
        if not self._is_batch:  # locks of batches are not renewed, there as here
            self._renewer.register(receiver, receiver.session)
        while not self._stopping.is_set():
            messages = await received_together(receiver, self._most_messages, self._idle_s)
            if not messages:
                return
            await asyncio.shield(self._running.start(self._entity.process(receiver, messages)))
