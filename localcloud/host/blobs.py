"""Blob triggers: containers are scanned, new versions of blobs go through a queue of the host to their functions.

Sources: BlobTriggerExecutor, BlobQueueTriggerExecutor and BlobListenerFactory of the WebJobs extension.
"""

import asyncio
import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, BlobType
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from localcloud.errors import Misconfigured, Rejected
from localcloud.host.app import IndexedFunction
from localcloud.host.blob_paths import BlobPath
from localcloud.host.blob_receipts import BlobReceipts
from localcloud.host.decoding import TriggerInput
from localcloud.host.host_json import QueueOptions
from localcloud.host.invoker import InvocationFailed, Invoker
from localcloud.host.logs import current_function, logger
from localcloud.host.message_pump import SOON_GIVEN_UP, MessagePump, UndecodableMessage, create_queue, queue_service
from localcloud.host.settings import STORAGE_SETTING, AppSettings
from localcloud.host.storage_decoding import StoredBlob, stored_blob
from localcloud.host.waiting import is_set_within

POISON_QUEUE = "webjobs-blobtrigger-poison"
# In the order of .NET's enumeration, which reaches the function as a number.
_BLOB_TYPES = (BlobType.BLOCKBLOB, BlobType.PAGEBLOB, BlobType.APPENDBLOB)
_LONGEST_SCAN_INTERVAL = timedelta(seconds=10)


class BlobWatch:
    """Which blobs fire one function, and which of them need no second look."""

    def __init__(self, function: IndexedFunction, settings: AppSettings, *, is_disabled: bool = False) -> None:
        """Raises `Misconfigured` for a path or a source that cannot be served. A disabled one finds no new blobs."""
        properties = function.trigger.properties
        if "eventgrid" in str(properties.get("source", "")).lower():
            raise Misconfigured("the local host has no Event Grid; without the trigger's source blobs are scanned")
        self.function = function
        self.is_disabled = is_disabled
        self.function_id = f"Host.Functions.{function.name}"
        self.path = BlobPath(settings.resolve(properties["path"]))
        self.service = BlobServiceClient.from_connection_string(
            settings.connection(properties.get("connection") or STORAGE_SETTING), **SOON_GIVEN_UP
        )
        self._listed: dict[str, str | None] = {}
        self._handed_on: dict[str, str | None] = {}

    async def new_blobs(self) -> list[str]:
        """Names of blobs that were written since they were `handed_on`; none if there is no such container yet."""
        found: dict[str, str | None] = {}
        with suppress(ResourceNotFoundError):
            async for blob in self.service.get_container_client(self.path.container).list_blobs():
                if self.path.match(blob.name) is not None:
                    found[blob.name] = blob.etag
        new = [name for name, etag in found.items() if self._handed_on.get(name) != etag]
        self._handed_on = {name: etag for name, etag in found.items() if name not in new}
        self._listed = found
        return new

    def handed_on(self, name: str) -> None:
        self._handed_on[name] = self._listed[name]


class BlobListener:
    """Feeds blobs to all functions of an app that have a blob trigger; they share a queue, as in the real host.

    Containers are scanned as often as `maxPollingInterval` says for queues, at least every 10 seconds.
    """

    def __init__(
        self,
        watches: Sequence[BlobWatch],
        invoker: Invoker,
        options: QueueOptions,
        storage: str,
        receipts: BlobReceipts,
        host_id: str,
    ) -> None:
        self._watches = {watch.function_id: watch for watch in watches}
        self._invoker = invoker
        self._receipts = receipts
        self._interval_s = min(options.max_polling_interval, _LONGEST_SCAN_INTERVAL).total_seconds()
        self._service = queue_service(storage)
        self._queue: QueueClient = self._service.get_queue_client(f"azure-webjobs-blobtrigger-{host_id}".lower())
        self._pump = MessagePump(self._queue, self._service.get_queue_client(POISON_QUEUE), self._invoke, options)
        self._interrupted: set[str] = set()
        self._scanning: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Returns once the queue is there and read. Raises `AzureError` if storage does not answer."""
        await create_queue(self._queue)
        await self._pump.start()
        self._scanning = asyncio.create_task(self._scan())

    async def stop(self, grace_s: float) -> None:
        """Finds nothing more, lets functions that run finish, at most for `grace_s` seconds."""
        self._stopping.set()
        if self._scanning is not None:
            _, late = await asyncio.wait((self._scanning,), timeout=grace_s)
            for task in late:  # what it was about to hand on is found again after the next start
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._pump.stop(grace_s)
        await asyncio.gather(self._service.close(), *(watch.service.close() for watch in self._watches.values()))

    async def input_by_hand(self, function: IndexedFunction, path: str) -> TriggerInput:
        """The blob at `container/name`, whatever its version. Raises `Rejected` if there is none or it is not text."""
        watch = next(each for each in self._watches.values() if each.function is function)
        container, _, name = path.partition("/")
        try:
            blob = await _newest(watch, name) if container == watch.path.container and name else None
            if blob is None:
                raise Rejected("blob-not-found", f"the input must name a blob that the path of {function.name} means")
            return stored_blob(blob, binary=not _is_text(watch))
        except UnicodeDecodeError as error:
            raise Rejected("blob-is-no-text", f"the content of {path} is not text") from error

    async def _scan(self) -> None:
        while not self._stopping.is_set():
            for watch in self._watches.values():
                if not watch.is_disabled:
                    await self._scan_one(watch)
            await is_set_within(self._stopping, self._interval_s)

    async def _scan_one(self, watch: BlobWatch) -> None:
        current_function.set(watch.function.name)
        try:
            for name in await watch.new_blobs():
                await self._hand_on(watch, name)
        except AzureError as error:
            if watch.function_id not in self._interrupted:  # said once, not at every scan
                logger.warning("scanning %s is interrupted: %s: %s", watch.path.container, type(error).__name__, error)
            self._interrupted.add(watch.function_id)
        else:
            self._interrupted.discard(watch.function_id)

    async def _hand_on(self, watch: BlobWatch, name: str) -> None:
        container = watch.path.container
        try:
            properties = await watch.service.get_blob_client(container, name).get_blob_properties()
        except ResourceNotFoundError:
            return
        async with self._receipts.claimed(watch.function_id, properties.etag, container, name) as is_ours:
            if is_ours:
                await self._queue.send_message(
                    base64.b64encode(json.dumps(_message(watch, properties)).encode()).decode()
                )
        if is_ours is not None:
            watch.handed_on(name)

    async def _invoke(self, message: QueueMessage) -> bool:
        """Done with, too, is a message of a function, a blob or a version of it that is no more."""
        try:
            found = json.loads(base64.b64decode(message.content or ""))
            function_id, name, etag = found["FunctionId"], found["BlobName"], found["ETag"]
        except (ValueError, KeyError, TypeError) as error:
            raise UndecodableMessage from error
        watch = self._watches.get(function_id)
        blob = await _fetched(watch, name, etag) if watch else None
        if watch is None or blob is None:
            return True
        try:
            await self._invoker.invoke(watch.function, stored_blob(blob, binary=not _is_text(watch)))
        except UnicodeDecodeError:
            logger.error("the content of a blob is not text; without data_type=func.DataType.STRING any bytes will do")
            return False
        except InvocationFailed:
            return False
        return True


def _is_text(watch: BlobWatch) -> bool:
    return str(watch.function.trigger.properties.get("dataType", "")).upper() == "STRING"


async def _newest(watch: BlobWatch, name: str) -> StoredBlob | None:
    try:
        properties = await watch.service.get_blob_client(watch.path.container, name).get_blob_properties()
    except ResourceNotFoundError:
        return None
    return await _fetched(watch, name, properties.etag)


async def _fetched(watch: BlobWatch, name: str, etag: str) -> StoredBlob | None:
    """None if there is no such blob any more, or not this version, or the function is no longer for it."""
    values = watch.path.match(name)
    if values is None:
        return None
    client = watch.service.get_blob_client(watch.path.container, name)
    try:
        # The condition holds for all parts of the download: never a mixture of two versions.
        download = await client.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
        content = await download.readall()
    except (ResourceNotFoundError, ResourceModifiedError):
        return None
    properties = download.properties
    return StoredBlob(
        content, watch.path.container, name, client.url, _described(properties), properties.metadata or {}, values
    )


def _message(watch: BlobWatch, properties: BlobProperties) -> dict[str, str]:
    """What goes through the queue, and into the poison queue at last (BlobTriggerMessage)."""
    return {
        "Type": "BlobTrigger",
        "FunctionId": watch.function_id,
        "BlobType": str(properties.blob_type.value),
        "ContainerName": watch.path.container,
        "BlobName": properties.name,
        "ETag": properties.etag,
    }


def _described(properties: BlobProperties) -> dict[str, Any]:
    """The fields of .NET's BlobProperties that say something of the blob itself."""
    content = properties.content_settings
    return {
        "LastModified": properties.last_modified,
        "CreatedOn": properties.creation_time,
        "Metadata": properties.metadata or {},
        "BlobType": _BLOB_TYPES.index(properties.blob_type),
        "ContentLength": properties.size,
        "ContentType": content.content_type,
        "ETag": properties.etag,
        "ContentHash": base64.b64encode(content.content_md5).decode() if content.content_md5 else None,
        "ContentEncoding": content.content_encoding,
        "ContentDisposition": content.content_disposition,
        "ContentLanguage": content.content_language,
        "CacheControl": content.cache_control,
    }
