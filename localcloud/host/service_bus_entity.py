"""What Service Bus triggers share: the queue or subscription that is listened to, and what becomes of its messages."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.amqp import AmqpMessageBodyType
from azure.servicebus.exceptions import ServiceBusError

from localcloud.clock import EPOCH
from localcloud.host.app import IndexedFunction
from localcloud.host.datums import plain
from localcloud.host.decoding import Message, TriggerInput, message_batch, single_message
from localcloud.host.host_json import ServiceBusOptions
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.logs import logger
from localcloud.host.settings import AppSettings

# The SDK reads a connection in turns of this length. A settlement that waits for its answer takes turns with the
# receiver, so with the default of 0.2 s a message can lie unseen that long.
_READ_TURN_S = 0.02
GATHERING_S = 0.2
"""For how long messages are waited for that come with a first one, as in the SDK."""
_DEFAULT_CONNECTION = "ServiceBus"


class Entity:
    """The queue or subscription of one function: success completes its messages, failure abandons them.

    Redelivery, its count and dead-lettering are the broker's.
    """

    def __init__(
        self, function: IndexedFunction, invoker: Invoker, options: ServiceBusOptions, settings: AppSettings
    ) -> None:
        """Raises `Misconfigured` for a setting that is absent."""
        properties = function.trigger.properties
        self.function = function
        self._invoker = invoker
        self._prefetch_count = options.prefetch_count
        connection = settings.connection(properties.get("connection") or _DEFAULT_CONNECTION)
        self._client = ServiceBusClient.from_connection_string(connection)
        self._receiver_of = (
            partial(self._client.get_queue_receiver, settings.resolve(properties["queueName"]))
            if "queueName" in properties
            else partial(
                self._client.get_subscription_receiver,
                settings.resolve(properties["topicName"]),
                settings.resolve(properties["subscriptionName"]),
            )
        )

    def receiver(self, **options: Any) -> ServiceBusReceiver:
        """A new receiver, to be closed by the caller."""
        return self._receiver_of(prefetch_count=self._prefetch_count, socket_timeout=_READ_TURN_S, **options)

    async def close(self) -> None:
        await self._client.close()

    async def process(self, receiver: ServiceBusReceiver, messages: list[ServiceBusReceivedMessage]) -> None:
        """Invokes the function with the messages, a single one unless it takes batches, and settles them."""
        try:
            await self._invoker.invoke(self.function, self._input(messages))
            settle = receiver.complete_message
        except InvocationFailed:
            settle = receiver.abandon_message
        for message in messages:
            try:
                await settle(message)
            except (ServiceBusError, ValueError) as error:  # ValueError: the receiver was closed meanwhile
                logger.warning("a message is not settled and will come again: %s: %s", type(error).__name__, error)

    def _input(self, messages: Iterable[ServiceBusReceivedMessage]) -> TriggerInput:
        received = list(map(_message, messages))
        binary = self.function.trigger.is_binary
        if self.function.trigger.is_batch:
            return message_batch(received, binary=binary)
        return single_message(received[0], binary=binary)


async def received_together(receiver: ServiceBusReceiver, most: int, wait_s: float) -> list[ServiceBusReceivedMessage]:
    """A first message, waited for, and those that come with it.

    Not by one call: the SDK waits for the whole time although it has messages that it fetched ahead.
    """
    messages = await receiver.receive_messages(1, wait_s)
    if messages and most > 1:
        messages += await receiver.receive_messages(most - 1, GATHERING_S)
    return messages


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
