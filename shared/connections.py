"""Clients of Azure services: made once, shared by every invocation of an instance, closed together.

A connection setting is either a connection string (`StateStorage`) or, with managed identity, a set of endpoint
settings (`StateStorage__tableServiceUri`, `ServiceBus__fullyQualifiedNamespace`), as the Functions host reads them:
https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection.
SDKs are imported on first use, because importing them is most of a cold start.
"""

import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from shared import settings

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.data.tables.aio import TableServiceClient
    from azure.servicebus.aio import ServiceBusClient
    from azure.storage.blob.aio import BlobServiceClient

# The SDKs tell of every request at INFO, the worker's level: many lines, paid for, for each batch of messages.
logging.getLogger("azure").setLevel(logging.WARNING)

_open = AsyncExitStack()
_Client = TypeVar("_Client")


def _endpoint(connection: str, suffix: str) -> str | None:
    return os.environ.get(f"{connection}__{suffix}") or None


def _track(client: _Client) -> _Client:
    _open.push_async_callback(client.close)  # type: ignore[attr-defined] # every client has it
    return client


@cache
def credential() -> "AsyncTokenCredential":
    """The identity of this instance in Azure. Never needed where connection strings are set."""
    from azure.identity.aio import DefaultAzureCredential

    return _track(DefaultAzureCredential())


@cache
def tables() -> "TableServiceClient":
    from azure.data.tables.aio import TableServiceClient

    name = settings.STATE_STORAGE_CONNECTION
    if endpoint := _endpoint(name, "tableServiceUri"):
        return _track(TableServiceClient(endpoint, credential=credential()))
    return _track(TableServiceClient.from_connection_string(settings.connection(name)))


@cache
def blobs() -> "BlobServiceClient":
    from azure.storage.blob.aio import BlobServiceClient

    name = settings.STATE_STORAGE_CONNECTION
    if endpoint := _endpoint(name, "blobServiceUri"):
        return _track(BlobServiceClient(endpoint, credential=credential()))
    return _track(BlobServiceClient.from_connection_string(settings.connection(name)))


@cache
def service_bus() -> "ServiceBusClient":
    from azure.servicebus.aio import ServiceBusClient

    name = settings.SERVICE_BUS_CONNECTION
    if namespace := _endpoint(name, "fullyQualifiedNamespace"):
        return _track(ServiceBusClient(namespace, credential()))
    return _track(ServiceBusClient.from_connection_string(settings.connection(name)))


@cache
def http() -> "ClientSession":
    import ssl

    from aiohttp import ClientSession, ClientTimeout, TCPConnector

    # aiohttp makes its own context when it is imported, and would not see roots that are named by SSL_CERT_FILE later.
    connector = TCPConnector(ssl=ssl.create_default_context())
    return _track(ClientSession(connector=connector, timeout=ClientTimeout(total=60)))


_forgetting: list[Callable[[], None]] = [
    factory.cache_clear for factory in (credential, tables, blobs, service_bus, http)
]


def on_close(forget: Callable[[], None]) -> None:
    """Calls this when the connections are closed: whoever keeps what was made from them must not use it again."""
    _forgetting.append(forget)


async def close() -> None:
    """Close every client of this process. They are made again at their next use."""
    for forget in _forgetting:
        forget()
    await _open.aclose()
