"""Tests that have an event hub of their own and run at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Final, NamedTuple

from azure.eventhub import EventData

from tests.conformance.eventhubs.clients import Asyncio, Closing, Flavour, Reading, Threads

FLAVOURS: Final = ("asyncio", "threads")
SECOND_GROUP: Final = "second"


class Hub:
    """An event hub that only one test uses, and clients of it."""

    def __init__(self, name: str, flavour: Flavour, connection: str, storage: str, closing: Closing) -> None:
        self.name = name
        self.flavour = flavour
        self.storage = storage
        self._connection = connection
        self._closing = closing
        self._producers: list[Any] = []
        self._readings: list[Reading] = []
        self.producer = self.new_producer()

    def new_producer(self, hub: str | None = None, **options: Any) -> Any:
        """A producer whose methods are awaited, whatever the flavour."""
        producer = self.flavour.producer(self._connection, hub or self.name, retry_total=0, **options)
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
        reading = self.flavour.read(self._connection, group, self.name, {"retry_total": 0, **(client or {})}, **options)
        self._readings.append(reading)
        return reading

    async def stop(self, reading: Reading) -> None:
        self._readings.remove(reading)
        await reading.close()

    def close_soon(self) -> None:
        for client in (*self._readings, *self._producers):
            self._closing.soon(client.close())


Test = Callable[[Hub], Awaitable[None]]


class Declared(NamedTuple):
    """A test and the event hub that it wants."""

    test: Test
    properties: str


_declared: dict[str, list[Declared]] = {}  # by module


def with_hub(partitions: int = 2, **properties: float) -> Callable[[Test], Callable[["Runner"], Awaitable[None]]]:
    """Gives a test an event hub of its own, in each flavour of the SDK.

    The tests of a module run at the same time, because the SDK sleeps through most of each. `properties`: of the hub's
    declaration.
    """
    lines = [f"PartitionCount = {partitions}", f'ConsumerGroups = ["{SECOND_GROUP}"]']
    lines += [f"{name} = {value}" for name, value in properties.items()]

    def decorate(test: Test) -> Callable[["Runner"], Awaitable[None]]:
        _declared.setdefault(test.__module__, []).append(Declared(test, "\n".join(lines)))

        @wraps(test)
        async def run(runner: "Runner") -> None:
            await runner.outcome(test)

        del run.__wrapped__  # pytest is to see what this asks for, not the test
        return run

    return decorate


def declarations() -> Iterator[str]:
    """The event hubs of all tests, for the broker's configuration."""
    for tests in _declared.values():
        for declared in tests:
            for flavour in FLAVOURS:
                yield f'[eventhubs."{_hub_name(flavour, declared.test)}"]\n{declared.properties}'


class Runner:
    """Runs the tests of a module together, in one flavour."""

    def __init__(self, flavour: str, connection: str, storage: str, selected: frozenset[tuple[str, str]]) -> None:
        """`selected`: modules and names of the tests that are asked for."""
        self._flavour: Flavour = Asyncio() if flavour == "asyncio" else Threads()
        self._connection = connection
        self._storage = storage
        self._selected = selected
        self._running: dict[Test, asyncio.Task[None]] = {}
        self._closing = Closing()

    async def outcome(self, test: Test) -> None:
        """Waits for a test to end. Raises what it raises."""
        if test not in self._running:
            for declared in _declared[test.__module__]:
                if (test.__module__, declared.test.__name__) in self._selected:
                    self._running[declared.test] = asyncio.create_task(self._run(declared.test))
        await self._running[test]

    async def close(self) -> None:
        await self._closing.done()

    async def _run(self, test: Test) -> None:
        name = _hub_name(self._flavour.name, test)
        hub = Hub(name, self._flavour, self._connection, self._storage, self._closing)
        try:
            await test(hub)
        finally:
            hub.close_soon()


def _hub_name(flavour: str, test: Test) -> str:
    return f"{flavour}-{test.__name__.removeprefix('test_')}"
