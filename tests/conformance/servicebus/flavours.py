"""Both halves of azure-servicebus under one surface: a test is written once, against the asyncio one.

Nothing of the synchronous half is changed or replaced. Its methods are called as any application would call them, each
in a thread because it blocks.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, cast

from azure.servicebus import AutoLockRenewer, ServiceBusClient
from azure.servicebus.aio import AutoLockRenewer as AsyncAutoLockRenewer
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient

_THREADS = ThreadPoolExecutor(64, thread_name_prefix="sync-sdk")
_END = object()


class InThreads:
    """A synchronous object of the SDK with the surface of its asyncio twin."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name == "session":
            return InThreads(value)
        if not callable(value):
            return value
        if name == "register":  # of a lock renewer: the one method that is synchronous in both
            return lambda *arguments, **options: value(*map(_target, arguments), **options)
        if name.startswith(("get_queue", "get_subscription", "get_topic", "list_")):  # they only make an object
            return lambda *arguments, **options: InThreads(value(*arguments, **options))
        return _in_thread(value)

    async def __aenter__(self) -> Self:
        await _in_thread(self._target.__enter__)()
        return self

    async def __aexit__(self, *error: object) -> None:
        await _in_thread(self._target.__exit__)(*error)

    def __aiter__(self) -> "InThreads":
        return InThreads(iter(self._target))

    async def __anext__(self) -> Any:
        value = await _in_thread(next)(self._target, _END)
        if value is _END:
            raise StopAsyncIteration
        return value


def _target(value: Any) -> Any:
    return value._target if isinstance(value, InThreads) else value


def _in_thread(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def call(*arguments: Any, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_THREADS, lambda: function(*map(_target, arguments), **options))

    return call


def new_client(flavour: str, connection_string: str) -> AsyncServiceBusClient:
    """Without retries: what the broker says is what the test sees."""
    if flavour == "aio":
        return AsyncServiceBusClient.from_connection_string(connection_string, retry_total=0)
    return cast(
        "AsyncServiceBusClient",
        InThreads(ServiceBusClient.from_connection_string(connection_string, retry_total=0)),
    )


def new_lock_renewer(flavour: str, **options: Any) -> AsyncAutoLockRenewer:
    if flavour == "aio":
        return AsyncAutoLockRenewer(**options)
    return cast("AsyncAutoLockRenewer", InThreads(AutoLockRenewer(**options)))
