"""Storage Queue triggers: each message of a queue for itself, decoded as host.json says."""

from datetime import timedelta

from azure.storage.queue import QueueMessage

from localcloud.clock import utc_now
from localcloud.errors import Misconfigured
from localcloud.host.app import IndexedFunction
from localcloud.host.host_json import QueueOptions
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.logs import current_function, logger
from localcloud.host.message_pump import (
    LEASE,
    MessagePump,
    UndecodableMessage,
    is_queue_name,
    poison_queue_name,
    queue_service,
)
from localcloud.host.settings import STORAGE_SETTING, AppSettings
from localcloud.host.storage_decoding import StoredMessage, message_body, stored_message


class StorageQueueListener:
    """Feeds the messages of one Storage Queue to one function."""

    def __init__(
        self,
        function: IndexedFunction,
        invoker: Invoker,
        options: QueueOptions,
        settings: AppSettings,
        lease: timedelta = LEASE,
    ) -> None:
        properties = function.trigger.properties
        name = settings.resolve(properties["queueName"]).lower()  # the real extension lowers it too
        if not is_queue_name(name):
            raise Misconfigured(f"{name!r} is no name for a storage queue")
        self._function = function
        self._invoker = invoker
        self._is_base64 = options.is_base64
        self._service = queue_service(settings.connection(properties.get("connection") or STORAGE_SETTING))
        poison_name = poison_queue_name(name)
        self._pump = MessagePump(
            self._service.get_queue_client(name),
            self._service.get_queue_client(poison_name) if poison_name else None,
            self._invoke,
            options,
            lease,
        )

    async def start(self) -> None:
        """Returns once the queue service has answered. Raises `AzureError` if it does not."""
        current_function.set(self._function.name)
        await self._pump.start()

    async def stop(self, grace_s: float) -> None:
        """Takes no further message, lets those that run be settled, at most for `grace_s` seconds."""
        await self._pump.stop(grace_s)
        await self._service.close()

    async def _invoke(self, message: QueueMessage) -> bool:
        try:
            body = message_body(message.content or "", is_base64=self._is_base64)
        except ValueError as error:
            logger.warning("a message is not base64, which extensions.queues.messageEncoding in host.json asks for")
            raise UndecodableMessage from error
        try:
            trigger_input = stored_message(_received(message, body), binary=self._function.trigger.is_binary)
        except UnicodeDecodeError:
            logger.error("a message is not text; data_type=func.DataType.BINARY takes any bytes")
            return False
        try:
            await self._invoker.invoke(self._function, trigger_input)
        except InvocationFailed:
            return False
        return True


def _received(message: QueueMessage, body: bytes) -> StoredMessage:
    now = utc_now()
    known = {} if message.expires_on is None else {"expires_at": message.expires_on}
    return StoredMessage(
        body=body,
        message_id=message.id,
        dequeue_count=message.dequeue_count or 0,
        inserted_at=message.inserted_on or now,
        next_visible_at=message.next_visible_on or now,
        pop_receipt=message.pop_receipt or "",
        **known,
    )
