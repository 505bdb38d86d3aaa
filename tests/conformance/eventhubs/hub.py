"""Tests that have an event hub of their own and run at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any, Final, NamedTuple

import pytest
from azure.eventhub import EventData

from tests.conformance.eventhubs.clients import Asyncio, Flavour, Reading, Threads

FLAVOURS: Final = (Asyncio.name, Threads.name)
SECOND_GROUP: Final = "second"
_TESTS_AT_ONCE: Final = 16
# Without a context, each connection loads all root certificates for a TLS that it does not use: 50 ms of work.
_CLIENT: Final = {"retry_total": 0, "ssl_context": SSLContext(PROTOCOL_TLS_CLIENT)}


class Hub:
    """An event hub that only one test uses, and clients of it."""

    def __init__(self, name: str, flavour: Flavour, connection: str, storage: str) -> None:
        self.name = name
        self.flavour = flavour
        self.storage = storage
        self.connection = connection
        self._producers: list[Any] = []
        self._readings: list[Reading] = []
        self._stores: list[Any] = []
        self.producer = self.new_producer()

    @property
    def namespace(self) -> str:
        """The name under which the SDK knows the broker."""
        return self.connection.partition("sb://")[2].partition(";")[0]

    def new_producer(self, hub: str | None = None, **options: Any) -> Any:
        """A producer whose methods are awaited, whatever the flavour."""
        producer = self.flavour.producer(self.connection, hub or self.name, **_CLIENT, **options)
        self._producers.append(producer)
        return producer

    async def send(self, *events: EventData | str, **options: Any) -> None:
        """All of them in one batch."""
        batch = await self.producer.create_batch(**options)
        for event in events:
            batch.add(EventData(event) if isinstance(event, str) else event)
        await self.producer.send_batch(batch)

    def read(
        self,
        position: Any = "-1",
        group: str = "$Default",
        partition: str | None = "0",
        *,
        batches: bool = False,
        client: dict[str, Any] | None = None,
        **options: Any,
    ) -> Reading:
        """Begins to read one partition, or all with None. `client`: options of the client itself."""
        options = {"partition_id": partition, "starting_position": position, "batches": batches, **options}
        reading = self.flavour.read(self.connection, group, self.name, {**_CLIENT, **(client or {})}, **options)
        self._readings.append(reading)
        return reading

    def checkpoint_store(self) -> Any:
        store = self.flavour.checkpoint_store(self.storage)
        self._stores.append(store)
        return store

    async def stop(self, reading: Reading) -> None:
        self._readings.remove(reading)
        await reading.close()

    async def close(self) -> None:
        """The SDK is busy with it for up to a second."""
        await asyncio.gather(*(client.close() for client in (*self._readings, *self._producers)))
        for store in self._stores:
            await self.flavour.close_store(store)


Test = Callable[[Hub], Awaitable[None]]
Started = Callable[["Runner", str], Awaitable[None]]


class Declared(NamedTuple):
    """A test, the event hub that it wants and the flavours in which it makes sense."""

    test: Test
    properties: str
    flavours: tuple[str, ...]


_declared: dict[str, list[Declared]] = {}  # by module


def with_hub(
    partitions: int = 2, *, flavours: tuple[str, ...] = FLAVOURS, **properties: float
) -> Callable[[Test], Started]:
    """Gives a test an event hub of its own, in each flavour of the SDK.

    The tests of a module run at the same time, because the SDK sleeps through most of each. `properties`: of the hub's
    declaration.
    """
    lines = [f"PartitionCount = {partitions}", f'ConsumerGroups = ["{SECOND_GROUP}"]']
    lines += [f"{name} = {value}" for name, value in properties.items()]

    def decorate(test: Test) -> Started:
        _declared.setdefault(test.__module__, []).append(Declared(test, "\n".join(lines), flavours))

        @wraps(test)
        async def run(runner: "Runner", flavour: str) -> None:
            await runner.outcome(test, flavour)

        del run.__wrapped__  # pytest is to see what this asks for, not the test
        return pytest.mark.parametrize("flavour", flavours)(run)

    return decorate


def declarations() -> Iterator[str]:
    """The event hubs of all tests, for the broker's configuration."""
    for tests in _declared.values():
        for declared in tests:
            for flavour in declared.flavours:
                yield f'[eventhubs."{_hub_name(flavour, declared.test)}"]\n{declared.properties}'


class Runner:
    """Runs the tests of a module together."""

    def __init__(self, connection: str, storage: str, selected: frozenset[str]) -> None:
        """`selected`: the tests that are asked for, by `identity`."""
        self._connection = connection
        self._storage = storage
        self._selected = selected
        self._flavours: dict[str, Flavour] = {Asyncio.name: Asyncio(), Threads.name: Threads()}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_TESTS_AT_ONCE)
        self._closing: list[asyncio.Task[None]] = []

    async def outcome(self, test: Test, flavour: str) -> None:
        """Waits for a test to end. Raises what it raises."""
        if identity(test, flavour) not in self._running:
            for declared in _declared[test.__module__]:
                for one in declared.flavours:
                    name = identity(declared.test, one)
                    if name in self._selected:
                        self._running[name] = asyncio.create_task(self._run(declared.test, self._flavours[one]))
        await self._running[identity(test, flavour)]

    async def close(self) -> None:
        await asyncio.gather(*self._closing)

    async def _run(self, test: Test, flavour: Flavour) -> None:
        hub = Hub(_hub_name(flavour.name, test), flavour, self._connection, self._storage)
        async with self._room:
            try:
                await test(hub)
            finally:
                self._closing.append(asyncio.create_task(hub.close()))


def identity(test: Callable[..., Any], flavour: str) -> str:
    return f"{test.__module__}.{test.__name__}[{flavour}]"


def _hub_name(flavour: str, test: Test) -> str:
    return f"{flavour}-{test.__name__.removeprefix('test_')}"
