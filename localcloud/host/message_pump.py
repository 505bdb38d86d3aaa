"""The pump behind storage triggers: polls a queue, deletes what succeeds, shows again what fails, sets aside the rest.

Sources: QueueListener and QueueProcessor of the WebJobs extension.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from localcloud.host.host_json import QueueOptions
from localcloud.host.logs import logger
from localcloud.host.polling import PollingDelay
from localcloud.host.waiting import RunningTasks, is_set_within

LEASE = timedelta(minutes=10)
"""For how long a received message is hidden from others; it is hidden anew while its function runs."""

SOON_GIVEN_UP: dict[str, Any] = {"retry_total": 1, "initial_backoff": 1, "random_jitter_range": 1}
"""Options for storage clients: whoever polls tries again by itself, and a stop must not wait for long."""

_POISON_SUFFIX = "-poison"
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
# After a renewal that failed there is time for some more before the message shows again.
_RENEWALS_PER_LEASE = 2
_ATTEMPTS_PER_LEASE = 10
# Another receipt is valid now, or the message or its queue is gone: nothing is left to do with it.
_LOST = (400, 404)


class UndecodableMessage(Exception):  # noqa: N818 - an outcome: no attempt can go better
    """The message's text is not in the encoding of host.json."""


Handler = Callable[[QueueMessage], Awaitable[bool]]
"""Whether a message was processed. Raises `UndecodableMessage`."""


class MessagePump:
    """Polls one queue and has its messages processed, some at a time, until it is stopped."""

    def __init__(
        self,
        queue: QueueClient,
        poison_queue: QueueClient | None,
        handle: Handler,
        options: QueueOptions,
        lease: timedelta = LEASE,
    ) -> None:
        self._queue = queue
        self._poison_queue = poison_queue
        self._handle = handle
        self._options = options
        self._lease = lease
        self._delay = PollingDelay(options.max_polling_interval)
        self._stopping = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._running = RunningTasks()

    async def start(self) -> None:
        """Returns once the queue service has answered. Raises `AzureError` if it does not."""
        batch = await self._receive()
        self._polling = asyncio.create_task(self._poll(batch))

    async def stop(self, grace_s: float) -> None:
        """Takes no further message, lets those that run be settled, at most for `grace_s` seconds."""
        self._stopping.set()
        if self._polling is not None:
            await self._polling
        await self._running.finish(grace_s)

    async def _poll(self, batch: list[QueueMessage]) -> None:
        interrupted = False
        while True:
            for message in batch:
                self._running.start(self._process(message))
            if batch:
                self._delay.reset()
                await self._until_there_is_room()
            else:
                await is_set_within(self._stopping, self._delay.next_s())
            if self._stopping.is_set():
                return
            try:
                batch = await self._receive()
            except AzureError as error:
                batch = []
                if not interrupted:  # said once, not at every poll
                    logger.warning("receiving is interrupted: %s: %s", type(error).__name__, error)
                interrupted = True
            else:
                interrupted = False

    async def _receive(self) -> list[QueueMessage]:
        """Nothing from a queue that does not exist (yet): whoever sends the first message makes it."""
        size = self._options.batch_size
        received = self._queue.receive_messages(
            messages_per_page=size, max_messages=size, visibility_timeout=_whole_seconds(self._lease)
        )
        try:
            return [message async for message in received]
        except ResourceNotFoundError:
            return []

    async def _until_there_is_room(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        while len(self._running) > self._options.new_batch_threshold and not stopping.done():
            await asyncio.wait((*self._running, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def _process(self, message: QueueMessage) -> None:
        try:
            await self._settle(message, await self._is_processed(message))
        except AzureError as error:
            if not (isinstance(error, HttpResponseError) and error.status_code in _LOST):
                logger.warning("a message is not settled and will come again: %s: %s", type(error).__name__, error)

    async def _is_processed(self, message: QueueMessage) -> bool | None:
        """None for a message that no attempt can help."""
        if (message.dequeue_count or 0) > self._options.max_dequeue_count:
            return None  # the host died during the last attempt
        handled = asyncio.Event()
        renewing = asyncio.create_task(self._renew_until(handled, message))
        try:
            return await self._handle(message)
        except UndecodableMessage:
            return None
        finally:
            handled.set()
            await renewing  # not cancelled: half a renewal would leave a receipt that nobody knows

    async def _settle(self, message: QueueMessage, processed: bool | None) -> None:
        if processed:
            await self._queue.delete_message(message)
        elif self._poison_queue is None:
            return  # it stays hidden to the end of its lease, lest it fail without a pause for ever
        elif processed is None or (message.dequeue_count or 0) >= self._options.max_dequeue_count:
            await self._set_aside(message, self._poison_queue)
        else:
            await self._queue.update_message(
                message, visibility_timeout=_whole_seconds(self._options.visibility_timeout)
            )

    async def _set_aside(self, message: QueueMessage, poison_queue: QueueClient) -> None:
        logger.warning("a message goes to the queue %s", poison_queue.queue_name)
        try:
            await poison_queue.send_message(message.content, time_to_live=-1)
        except ResourceNotFoundError:
            await create_queue(poison_queue)
            await poison_queue.send_message(message.content, time_to_live=-1)
        await self._queue.delete_message(message)

    async def _renew_until(self, handled: asyncio.Event, message: QueueMessage) -> None:
        """Hides the message anew at half of its lease; each time it gets another receipt."""
        lease_s = self._lease.total_seconds()
        delay_s = lease_s / _RENEWALS_PER_LEASE
        while not await is_set_within(handled, delay_s):
            try:
                renewed = await self._queue.update_message(message, visibility_timeout=_whole_seconds(self._lease))
            except AzureError as error:
                if isinstance(error, HttpResponseError) and error.status_code in _LOST:
                    return
                delay_s = lease_s / _ATTEMPTS_PER_LEASE
            else:
                message.pop_receipt = renewed.pop_receipt
                delay_s = lease_s / _RENEWALS_PER_LEASE


def queue_service(connection: str) -> QueueServiceClient:
    """A client for a pump."""
    return QueueServiceClient.from_connection_string(connection, **SOON_GIVEN_UP)


def is_queue_name(name: str) -> bool:
    return _QUEUE_NAME.fullmatch(name) is not None


def poison_queue_name(queue: str) -> str | None:
    """Where messages of `queue` go that failed too often; None for a poison queue itself and for too long a name."""
    name = f"{queue}{_POISON_SUFFIX}"
    return None if queue.endswith(_POISON_SUFFIX) or not is_queue_name(name) else name


async def create_queue(queue: QueueClient) -> None:
    """Makes the queue if it is not there."""
    try:
        await queue.create_queue()
    except ResourceExistsError:
        return


def _whole_seconds(span: timedelta) -> int:
    """The service knows no fractions; a little longer is safe."""
    return -(-span // timedelta(seconds=1))
