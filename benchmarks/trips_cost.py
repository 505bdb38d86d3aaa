"""What trips cost in storage: every request of the job to Azurite, counted where the SDK hands it to the network.

A request is a transaction on the bill, whatever it holds: an entity-group transaction of up to 100 writes counts once
(https://learn.microsoft.com/azure/storage/tables/storage-performance-checklist#batching), and so does each page of a
query. Requests that the SDK repeats are counted again, as Azure does.

`python -m benchmarks.trips_cost SIZE` (JSON) prints a `Cost` as JSON. It is a process of its own because the app's
settings and connections belong to a process.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import msgspec
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableClient

from benchmarks.trips_drives import Fleet, Message, traffic
from functions.trips import messages, service
from functions.trips.store import SUB_SHARDS, Store
from localcloud.configuration import load
from localcloud.fleet.cycles import CycleName
from localcloud.layout import Layout
from localcloud.pki import ensure_pki
from localcloud.services import LocalCloud
from shared import connections
from shared.clock import from_epoch_ms, to_epoch_ms
from shared.identity.caller import Caller
from shared.messaging.device_messages import DeviceMessage
from shared.messaging.parking import Origin
from shared.settings import OPEN_TRIPS_TABLE, TELEMETRY_HUB, TRIPS_TABLE
from shared.storage.tables import Row, Table

_ONE_TRIP = (CycleName.WLTC_CLASS_3B,)
_SET_OUT_S = 20.0  # so that all cars are on their way in the first batch and no trip ends in the last warm one
TWICE, LATE = 0.05, 0.05  # the fractions of messages, on a bad link
_SWEEPS = 3  # a minute apart, until all cars were seen to be silent


@dataclass(frozen=True, slots=True)
class Size:
    cars: int = 100
    batch: int = 256
    batches: int = 20  # while all cars are on their way
    fleets: int = 2  # each in a partition of the hub of its own, divided into sub-shards by chance


@dataclass(slots=True)
class Phase:
    """How many messages were taken in, the CPU time of it, and the requests that were made for it, by kind."""

    messages: int = 0
    cpu_s: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.requests.values())


@dataclass(frozen=True, slots=True)
class Sizes:
    """In bytes."""

    median: float
    largest: float


@dataclass(frozen=True, slots=True)
class Cost:
    first: Phase  # the first batches of instances that know no car yet
    warm: Phase  # further batches of cars on their way, in order
    disordered: Phase  # the same with messages twice and late
    ends: Phase  # the last messages of these trips, and the sweeps until they are stored and announced
    trips: int
    sdk_cpu_s: float  # of the SDK alone for the transactions of the warm batches
    state: Sizes  # of cars on their way
    message: Sizes


@contextmanager
def counted(phase: Phase) -> Iterator[None]:
    """Counts what goes through the transport of any Azure client meanwhile. Service Bus does not: it speaks AMQP."""
    send = AioHttpTransport.send

    async def counting(self: AioHttpTransport, request: Any, **options: Any) -> Any:
        path = urlsplit(request.url).path
        what = "$batch" if path.endswith("$batch") else "row" if "PartitionKey=" in path else "query"
        kind = f"{request.method} {what}"
        phase.requests[kind] = phase.requests.get(kind, 0) + 1
        return await send(self, request, **options)

    begin = time.process_time()
    with patch.object(AioHttpTransport, "send", counting):
        yield
    phase.cpu_s += time.process_time() - begin


@contextmanager
def overheard(transactions: list[list[Any]]) -> Iterator[None]:
    """Notes the operations of each transaction that the SDK is told to make meanwhile."""
    submit = TableClient.submit_transaction

    async def noting(self: TableClient, operations: Any, **options: Any) -> Any:
        transactions.append(list(operations))
        return await submit(self, transactions[-1], **options)

    with patch.object(TableClient, "submit_transaction", noting):
        yield


async def repeated_cpu_s(transactions: Sequence[Sequence[Any]]) -> float:
    """CPU time of the SDK that writes the same entities again, in a table of their own: the least that they cost."""
    table = await connections.tables().create_table_if_not_exists("Repeated")
    begin = time.process_time()
    for operations in transactions:
        await table.submit_transaction([("upsert", operation[1]) for operation in operations])
    return time.process_time() - begin


async def measure(size: Size) -> Cost:
    """Starts Azurite and a broker of its own. Raises `StartFailed`, and `RuntimeError` if a trip is missing."""
    first, warm, disordered, ends = Phase(), Phase(), Phase(), Phase()
    rows, trips, sdk_cpu_s = list[Row](), 0, 0.0
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        cloud = await _started(Path(folder))
        try:
            for number in range(size.fleets):
                in_order = Fleet(size.cars, _ONE_TRIP, _SET_OUT_S, twice=0.0, late=0.0, seed=number)
                app = await asyncio.to_thread(Instance, in_order, size, str(2 * number))
                await app.hear(1, first)
                transactions = list[list[Any]]()
                with overheard(transactions):
                    await app.hear(size.batches - 1, warm)
                sdk_cpu_s += await repeated_cpu_s(transactions)
                rows += await app.rows()
                await app.hear(None, ends)
                await app.sweep(ends)
                trips += await app.trips()
                bad_link = Fleet(size.cars, _ONE_TRIP, _SET_OUT_S, TWICE, LATE, seed=size.fleets + number)
                app = await asyncio.to_thread(Instance, bad_link, size, str(2 * number + 1))
                await app.hear(1, Phase())
                await app.hear(size.batches - 1, disordered)
                rows += await app.rows()
        finally:
            await connections.close()
            await cloud.stop()
    if trips != size.cars * size.fleets:
        raise RuntimeError(f"{size.cars * size.fleets} trips were driven, {trips} are stored")
    state = _sizes([len(row.binary("state")) for row in rows if "state" in row.values])
    message = _sizes([len(row.binary("kept")) / row.integer("messages") for row in rows if "kept" in row.values])
    return Cost(first, warm, disordered, ends, trips, sdk_cpu_s, state, message)


def _sizes(of_each: Sequence[float]) -> Sizes:
    return Sizes(median(of_each), max(of_each))


async def _started(folder: Path) -> LocalCloud:
    layout = Layout(folder).on_free_ports()
    configuration = load()
    os.environ.update(configuration.settings_for(layout))
    ensure_pki(layout.pki, [layout.hostname, layout.address])
    cloud = LocalCloud(layout, configuration=configuration)
    await cloud.start_storage()
    await cloud.start_broker()
    return cloud


class Instance:
    """One instance of the app, which takes in what a fleet sends to one partition of the hub.

    To be made in a thread: making the fleet's messages takes longer than connections stay open unattended.
    """

    def __init__(self, fleet: Fleet, size: Size, hub_partition: str) -> None:
        self._hub_partition = hub_partition
        self._store = Store()
        arrived = [self._received(number, one) for number, one in enumerate(traffic(fleet).messages)]
        self._batches = iter([arrived[start : start + size.batch] for start in range(0, len(arrived), size.batch)])
        self._vehicle_ids = {message.caller.vehicle_id for message in arrived}
        self._now = from_epoch_ms(0)

    def _received(self, number: int, message: Message) -> DeviceMessage:
        arrived_at = from_epoch_ms(message.arrived_ms)
        origin = Origin(TELEMETRY_HUB, f"{self._hub_partition}/{number}", arrived_at, message.vehicle_id)
        sender = Caller(message.vehicle_id, "g")
        return DeviceMessage(sender, message.body, arrived_at, self._hub_partition, number, origin)

    async def hear(self, batches: int | None, phase: Phase) -> None:
        """So many of the batches that are left, or all."""
        for batch in islice(self._batches, batches):
            self._now = batch[-1].arrived_at + timedelta(seconds=1)
            with counted(phase):
                await service.hear(batch, store=self._store, clock=lambda: self._now)
            phase.messages += len(batch)

    async def sweep(self, phase: Phase) -> None:
        """What the timer and the queue have done when all cars have been silent for long enough."""
        for _ in range(_SWEEPS):
            now_ms = to_epoch_ms(self._now)
            for shard in range(SUB_SHARDS):
                command = messages.sweep_partition(f"sweep-{now_ms}", f"{self._hub_partition}-{shard}", now_ms)
                with counted(phase):
                    await service.obey(command, store=self._store, clock=lambda: self._now)
            self._now += timedelta(minutes=1)

    async def rows(self) -> list[Row]:
        """Everything that is kept of these cars beside their trips."""
        first, beyond = f"{self._hub_partition}-", f"{self._hub_partition}."
        return [row async for row in Table(OPEN_TRIPS_TABLE).query(partition_from=first, partition_before=beyond)]

    async def trips(self) -> int:
        """How many are stored."""
        return sum([1 for vehicle_id in self._vehicle_ids async for _ in Table(TRIPS_TABLE).query(vehicle_id)])


def main() -> None:
    size = msgspec.json.decode(sys.argv[1], type=Size)
    print(msgspec.json.encode(asyncio.run(measure(size))).decode())


if __name__ == "__main__":
    main()
