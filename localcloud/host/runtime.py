"""The host: everything that one function app needs, from its settings to its listeners."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from zlib import crc32

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from localcloud.errors import Misconfigured, Unavailable
from localcloud.host.admin import About, Admin
from localcloud.host.admin_keys import KeysAdmin
from localcloud.host.app import (
    BLOB,
    EVENT_HUB,
    HTTP,
    SCRIPT,
    SERVICE_BUS,
    STORAGE_QUEUE,
    TIMER,
    IndexedFunction,
    load_app,
)
from localcloud.host.blob_receipts import BlobReceipts
from localcloud.host.blobs import BlobListener, BlobWatch
from localcloud.host.by_hand import input_by_hand
from localcloud.host.decoding import TriggerInput
from localcloud.host.event_hubs import CHECKPOINT_CONTAINER, EventHubListener
from localcloud.host.host_json import load_host_json
from localcloud.host.http_server import HttpServer
from localcloud.host.invoker import Invoker
from localcloud.host.keys import KeyRing
from localcloud.host.local_settings import Cors
from localcloud.host.logs import logger
from localcloud.host.retrying_invoker import RetryingInvoker
from localcloud.host.service_bus import ServiceBusListener
from localcloud.host.service_bus_sessions import SessionListener
from localcloud.host.settings import STORAGE_SETTING, AppSettings
from localcloud.host.storage_queues import StorageQueueListener
from localcloud.host.timers import STATUS_CONTAINER, StatusStore, TimerListener

_HOST_ID_SETTING = "AzureFunctionsWebHost__hostid"
_SCRIPT_SETTING = "PYTHON_SCRIPT_FILE_NAME"
_OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
_GRACE_S = 10.0
_START_RETRY_S = 1.0


class Listener(Protocol):
    """Waits for what fires one function."""

    async def start(self) -> None: ...

    async def stop(self, grace_s: float) -> None: ...


class Host:
    """One running function app. Built, it is indexed; `start` attaches it."""

    def __init__(self, app_root: Path, settings: AppSettings, cors: Cors | None = None) -> None:
        """Raises `Misconfigured` if the app would not load in the real host either."""
        self.options = load_host_json(app_root, settings.overrides(_OVERRIDE_PREFIX))
        self._settings = settings
        self._host_id = settings.get(_HOST_ID_SETTING) or f"local-{crc32(str(app_root).encode()):08x}"
        self.functions = self._loaded(app_root)
        self.keys = KeyRing(settings)
        disabled = frozenset(each.name for each in self.functions if settings.is_disabled(each.name))
        self._invoker = Invoker(self.functions, self.options.function_timeout)
        self._retrying = RetryingInvoker(self._invoker)
        self._server = HttpServer(self._invoker, self.keys, self.options.http, cors or Cors())
        about = About(self._host_id, self.options.http.route_prefix, self.options.extension_bundle, disabled)
        self._admin = Admin(self.functions, self._invoker, about, self._input_by_hand)
        self._admin.add_to(self._server)
        KeysAdmin(self.keys, frozenset(self._invoker.counts), self._server)
        connection = settings.connection(STORAGE_SETTING)
        self._storage = BlobServiceClient.from_connection_string(connection)
        self._listeners: list[Listener] = []
        watches: list[BlobWatch] = []
        for function in self.functions:
            with _loading(function):
                is_disabled = function.name in disabled
                if function.trigger.type == HTTP:
                    self._server.add_function(function, is_disabled=is_disabled)
                elif function.trigger.type == BLOB:
                    watches.append(BlobWatch(function, settings, is_disabled=is_disabled))
                else:
                    listener = self._listener(function, connection)
                    if not is_disabled:
                        self._listeners.append(listener)
        self._blobs = self._blob_listener(watches, connection) if watches else None
        if self._blobs:
            self._listeners.append(self._blobs)

    def _loaded(self, app_root: Path) -> list[IndexedFunction]:
        """Says how many functions were found and loaded, as the real host does."""
        try:
            functions = load_app(app_root, self._settings.get(_SCRIPT_SETTING) or SCRIPT)
        except Misconfigured:
            logger.error("Worker failed to index functions")
            logger.info("0 functions loaded")
            raise
        chosen = [each for each in functions if not self.options.functions or each.name in self.options.functions]
        logger.info("%d functions found (Custom)", len(functions))
        logger.info("%d functions loaded", len(chosen))
        return chosen

    def _listener(self, function: IndexedFunction, storage: str) -> Listener:
        options, settings = self.options, self._settings
        if function.trigger.type == EVENT_HUB:
            return EventHubListener(function, self._retrying, options.event_hubs, settings, storage)
        if function.trigger.type == SERVICE_BUS:
            kind = SessionListener if function.trigger.properties.get("isSessionsEnabled") else ServiceBusListener
            return kind(function, self._invoker, options.service_bus, settings)
        if function.trigger.type == STORAGE_QUEUE:
            return StorageQueueListener(function, self._invoker, options.queues, settings)
        store = StatusStore(self._storage.get_container_client(STATUS_CONTAINER), self._host_id)
        return TimerListener(function, self._retrying, settings, store)

    def _blob_listener(self, watches: list[BlobWatch], storage: str) -> BlobListener:
        receipts = BlobReceipts(self._storage.get_container_client(STATUS_CONTAINER), self._host_id)
        return BlobListener(watches, self._invoker, self.options.queues, storage, receipts, self._host_id)

    async def _input_by_hand(self, function: IndexedFunction, text: str) -> TriggerInput:
        """Raises `Rejected` for a text that names no blob."""
        if function.trigger.type == BLOB:
            assert self._blobs
            return await self._blobs.input_by_hand(function, text)
        return input_by_hand(function, text)

    async def serve(self, address: str, port: int) -> int:
        """The port on which HTTP is served from now on. Raises `OSError` if it is taken."""
        return await self._server.start(address, port)

    async def start(self) -> None:
        """Attaches all listeners. Raises `Unavailable` if storage or a broker does not answer."""
        for path in self.options.ignored:
            logger.warning("host.json: %s is not honoured by the local host", path)
        for function in self.functions:
            if function.retry_policy and function.trigger.type not in (EVENT_HUB, TIMER):
                logger.warning("%s: a retry policy is honoured only for Event Hub and timer triggers", function.name)
        try:
            for container in (CHECKPOINT_CONTAINER, STATUS_CONTAINER):
                await self._create_container(container)
        except AzureError as error:
            raise Unavailable(f"the storage of {STORAGE_SETTING} does not answer: {error}") from error
        await asyncio.gather(*(self._start(listener) for listener in self._listeners))
        self._admin.state = "Running"

    async def _create_container(self, name: str) -> None:
        try:
            await self._storage.create_container(name)
        except ResourceExistsError:
            return

    async def _start(self, listener: Listener) -> None:
        """Tries for as long as it takes: a broker may come up after the host, as in the cloud."""
        reason = ""
        while True:
            try:
                await listener.start()
            except Exception as error:  # noqa: BLE001 - the SDKs' errors on the way to a connection are many
                if str(error) != reason:  # said once, not every second
                    reason = str(error)
                    logger.warning("cannot listen yet: %s: %s", type(error).__name__, reason)
                await asyncio.sleep(_START_RETRY_S)
            else:
                return

    async def stop(self) -> None:
        """Takes nothing more, lets running invocations finish for a bounded time, records how far they got."""
        self._admin.state = "Stopping"
        await asyncio.gather(
            self._server.stop(),
            self._admin.stop(_GRACE_S),
            *(listener.stop(_GRACE_S) for listener in self._listeners),
        )
        await self._storage.close()
        self._invoker.close()


@contextmanager
def _loading(function: IndexedFunction) -> Iterator[None]:
    try:
        yield
    except (Misconfigured, ValueError) as error:  # ValueError: the SDKs' word for a bad connection string
        raise Misconfigured(f"cannot load the {function.name} function: {error}") from error
