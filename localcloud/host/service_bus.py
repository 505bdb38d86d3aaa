"""Service Bus triggers: messages of a queue or a subscription, settled by what the function makes of them."""

import asyncio
from datetime import datetime
from functools import partial

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver
from azure.servicebus.amqp import AmqpMessageBodyType
from azure.servicebus.exceptions import ServiceBusError

from localcloud.clock import EPOCH
from localcloud.errors import Misconfigured
from localcloud.host.app import IndexedFunction
from localcloud.host.datums import plain
from localcloud.host.decoding import Message, TriggerInput, message_batch, single_message
from localcloud.host.host_json import ServiceBusOptions
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.logs import current_function, logger
from localcloud.host.settings import AppSettings

_RECONNECT_DELAY_S = 1.0
# The SDK reads a connection in turns of this length. A settlement that waits for its answer takes turns with the
# receiver, so with the default of 0.2 s a message can lie unseen that long.
_READ_TURN_S = 0.02
_BATCH_WAIT_S = 60.0


class ServiceBusListener:
    """Feeds the messages of one queue or subscription to one function: success completes, failure abandons.

    Redelivery, its count and dead-lettering are the broker's.
    """

    def __init__(
        self, function: IndexedFunction, invoker: Invoker, options: ServiceBusOptions, settings: AppSettings
    ) -> None:
        properties = function.trigger.properties
        if properties.get("isSessionsEnabled"):
            raise Misconfigured("the local host does not receive from queues with sessions")
        self._function = function
        self._invoker = invoker
        self._options = options
        self._names = {
            name: settings.resolve(properties[name])
            for name in ("queueName", "topicName", "subscriptionName")
            if name in properties
        }
        self._client = ServiceBusClient.from_connection_string(settings.connection(properties["connection"]))
        self._renewer = AutoLockRenewer(max_lock_renewal_duration=options.max_auto_lock_renewal.total_seconds())
        self._free_calls = asyncio.Semaphore(options.max_concurrent_calls)
        self._attached = asyncio.Event()
        self._stopping = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._grace_s = 0.0

    async def start(self) -> None:
        """Returns once the receiver is attached. Raises `ServiceBusError` if that is refused."""
        current_function.set(self._function.name)
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
        await self._renewer.close()
        await self._client.close()

    async def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                async with self._receiver() as receiver:
                    self._attached.set()
                    await self._receive_until_stopped(receiver)
            except Exception as error:  # whatever the SDK raises on a lost connection
                if not self._attached.is_set():
                    raise
                logger.warning("receiving is interrupted: %s: %s", type(error).__name__, error)
                await asyncio.sleep(_RECONNECT_DELAY_S)

    def _receiver(self) -> ServiceBusReceiver:
        # Locks of batches are not renewed, there as here.
        renewer = None if self._function.trigger.is_batch else self._renewer
        receiver_of = (
            partial(self._client.get_queue_receiver, self._names["queueName"])
            if "queueName" in self._names
            else partial(
                self._client.get_subscription_receiver, self._names["topicName"], self._names["subscriptionName"]
            )
        )
        return receiver_of(
            prefetch_count=self._options.prefetch_count, auto_lock_renewer=renewer, socket_timeout=_READ_TURN_S
        )

    async def _receive_until_stopped(self, receiver: ServiceBusReceiver) -> None:
        receive = self._receive_batches if self._function.trigger.is_batch else self._receive_messages
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
            if self._stopping.is_set():
                await self._finish_running()

    async def _finish_running(self) -> None:
        """The receiver stays open meanwhile, because settlements go through it."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._grace_s)
            for task in late:
                task.cancel()

    async def _receive_messages(self, receiver: ServiceBusReceiver) -> None:
        messages = aiter(receiver)
        while True:
            await self._free_calls.acquire()
            try:
                message = await anext(messages)
            except BaseException:
                self._free_calls.release()
                raise
            task = asyncio.create_task(self._process(receiver, [message]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            task.add_done_callback(lambda _: self._free_calls.release())

    async def _receive_batches(self, receiver: ServiceBusReceiver) -> None:
        while True:
            messages = await receiver.receive_messages(self._options.max_message_batch_size, _BATCH_WAIT_S)
            if not messages:
                continue
            task = asyncio.create_task(self._process(receiver, messages))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.shield(task)

    async def _process(self, receiver: ServiceBusReceiver, messages: list[ServiceBusReceivedMessage]) -> None:
        try:
            await self._invoker.invoke(self._function, self._input(messages))
            settle = receiver.complete_message
        except InvocationFailed:
            settle = receiver.abandon_message
        for message in messages:
            try:
                await settle(message)
            except (ServiceBusError, ValueError) as error:  # ValueError: the receiver was closed meanwhile
                logger.warning("a message is not settled and will come again: %s: %s", type(error).__name__, error)

    def _input(self, messages: list[ServiceBusReceivedMessage]) -> TriggerInput:
        binary = self._function.trigger.is_binary
        if self._function.trigger.is_batch:
            return message_batch(list(map(_message, messages)), binary=binary)
        return single_message(_message(messages[0]), binary=binary)


def _message(message: ServiceBusReceivedMessage) -> Message:
    return Message(
        body=_body(message),
        message_id=message.message_id or "",
        sequence_number=message.sequence_number or 0,
        delivery_count=(message.delivery_count or 0) + 1,  # AMQP counts earlier failures, .NET deliveries
        enqueued_at=message.enqueued_time_utc or EPOCH,
        expires_at=message.expires_at_utc or datetime.max.replace(tzinfo=EPOCH.tzinfo),
        lock_token=str(message.lock_token or ""),
        application_properties=plain(message.application_properties or {}),
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        subject=message.subject,
        session_id=message.session_id,
        reply_to=message.reply_to,
        reply_to_session_id=message.reply_to_session_id,
        to=message.to,
        partition_key=message.partition_key,
        dead_letter_source=message.dead_letter_source,
    )


def _body(message: ServiceBusReceivedMessage) -> bytes:
    if message.body_type == AmqpMessageBodyType.DATA:
        return b"".join(message.body)
    return str(message).encode()
