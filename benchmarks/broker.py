"""What the local cloud's broker and hub cost beside the clients that talk to them.

Every load is the work of an unmodified SDK in a process of its own, and both processes' CPU time is read around it. Two
claims are made of each: the broker uses less CPU than the SDK, and the SDK, which waits for every answer, is kept busy
for at least half of the time. The hub is compared with an endpoint that only acknowledges, and its CPU with what that
endpoint and the SDK that writes to the Event Hubs use together for the same messages: the rest is the hub's own work.
"""

import asyncio
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.hub_load import HubRun, hub_runs
from benchmarks.row import Row
from benchmarks.sdk_load import Run
from benchmarks.services import Broker, broker
from localcloud.layout import make_folder

_ROOT = Path(__file__).resolve().parents[1]
_MICRO = 1e6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    messages: int = 3000  # of each load, in hundreds
    vehicles: int = 1000
    messages_each: int = 10
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Load:
    claim: str
    name: str  # in `sdk_load`
    durable: bool = False
    busy: float = 0.5  # the share of time that the SDK should work


# In the order of a round: what is sent is received before more is sent.
LOADS = (
    Load("Service Bus: send in batches of 100", "send_messages"),
    Load("Service Bus: receive and complete each", "complete_messages"),
    Load("Service Bus: send in batches of 100", "send_messages"),
    Load("Service Bus: receive and delete", "delete_messages"),
    Load("Service Bus with --data: send in batches of 100", "send_messages", durable=True),
    # Each completion is a transaction of its own.
    Load("Service Bus with --data: receive and complete each", "complete_messages", durable=True, busy=0.4),
    Load("Event Hubs: send in batches of 100", "send_events"),
    Load("Event Hubs: receive", "receive_events"),
)
STAMPED = Load("Event Hubs: send in batches of 100, stamped like a hub's", "send_telemetry")


def rows(size: Size | None = None, loads: Sequence[Load] = LOADS) -> list[Row]:
    """Loads take turns, so that a noisy machine is noisy for all; of each, the run with the median ratio counts."""
    # Not in /tmp, which may be memory: the durable broker is to write to a disk.
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=make_folder(_ROOT / ".localcloud")) as folder:
        return asyncio.run(_rows(Path(folder), size or Size(), (*loads, STAMPED)))


async def _rows(folder: Path, size: Size, loads: Sequence[Load]) -> list[Row]:
    runs: dict[Load, list[Run]] = defaultdict(list)
    async with broker(folder) as in_memory, broker(folder, durable=True) as durable:
        for _ in range(size.rounds):
            for load in loads:
                runs[load].append(await _run(load, durable if load.durable else in_memory, size.messages))
        of_hub = await hub_runs(
            folder, in_memory, vehicles=size.vehicles, messages_each=size.messages_each, rounds=size.rounds
        )
    found = [row for load, of_load in runs.items() for row in _sdk_rows(load, of_load)]
    return found + _hub_rows(size.vehicles, of_hub, runs[STAMPED])


async def _run(load: Load, broker: Broker, messages: int) -> Run:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.sdk_load"),
        *(load.name, broker.connection_string, str(messages), str(broker.pid)),
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{load.claim}: the SDK's process failed, as it says above")
    return Run(**json.loads(output))


def _middle(items: Sequence[T], key: Callable[[T], float]) -> T:
    return sorted(items, key=key)[len(items) // 2]


def _sdk_rows(load: Load, runs: Sequence[Run]) -> list[Row]:
    by_cpu = _middle(runs, lambda run: run.broker_cpu_s / run.sdk_cpu_s)
    by_speed = _middle(runs, lambda run: run.sdk_cpu_s / run.elapsed_s)
    return [
        Row(
            f"{load.claim}, CPU of the broker against the SDK's",
            by_cpu.broker_cpu_s / by_cpu.messages * _MICRO,
            "µs/message",
            by_cpu.sdk_cpu_s / by_cpu.messages * _MICRO,
            1.0,
            at_most=True,
        ),
        Row(
            f"{load.claim}, throughput against the SDK alone",
            by_speed.messages / by_speed.elapsed_s,
            "messages/s",
            by_speed.messages / by_speed.sdk_cpu_s,
            load.busy,
        ),
    ]


def _hub_rows(vehicles: int, runs: Sequence[tuple[HubRun, HubRun]], stamped: Sequence[Run]) -> list[Row]:
    hub, bare = _middle(runs, lambda pair: pair[0].per_second / pair[1].per_second)
    hub_us, bare_us = (median(pair[which].cpu_s / pair[which].messages * _MICRO for pair in runs) for which in (0, 1))
    sdk_us = median(run.sdk_cpu_s / run.messages * _MICRO for run in stamped)
    claim = f"IoT Hub: telemetry of {vehicles:,} vehicles at QoS 1"
    return [
        Row(
            f"{claim}, throughput against a bare TLS endpoint",
            hub.per_second,
            "messages/s",
            bare.per_second,
            0.1,
        ),
        Row(
            f"{claim}, CPU of the hub against bare TLS and the SDK",
            hub_us,
            "µs/message",
            bare_us + sdk_us,
            1.5,
            at_most=True,
        ),
    ]
