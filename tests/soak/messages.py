"""Many messages through one queue with competing consumers, while the broker is killed."""

import asyncio
import multiprocessing
import random
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median
from typing import Any

from azure.servicebus.aio import ServiceBusClient

from localcloud.layout import LOOPBACK
from tests.iothub.services import Service, start_broker
from tests.soak.figures import MIB, Report, cpu_s, mib, rss_bytes, spread_mib
from tests.soak.ledger import Step, Verdict, judge, unpacked
from tests.soak.workers import QUEUE, Job, consume, produce

CONSUMER_PROCESSES, RECEIVERS_EACH = 2, 2
MAX_DEPTH = 5_000
SAMPLE_S = 0.5
STALLED_S = 120.0  # without a completion: something hangs
MAX_GROWTH_BYTES = 16 * MIB  # between the first and the last part of the run, both at the same depth
CONFIG = f"""
[servicebus.queues.{QUEUE}]
LockDuration = "PT15S"
MaxDeliveryCount = 2000
"""


@dataclass(slots=True)
class Sample:
    """The broker at one moment."""

    life: int  # of which broker, counted from 0
    done: int  # messages completed so far
    rss_bytes: int


@dataclass(slots=True)
class Broker:
    """A broker that can be killed and comes back on its port with what it had."""

    config: Path
    log: Path
    data: Path
    service: Service
    kills_ns: list[int] = field(default_factory=list)
    cpu_before_s: float = 0.0  # of those that were killed
    longest_start_s: float = 0.0

    @classmethod
    async def start(cls, directory: Path) -> "Broker":
        config, log, data = directory / "entities.toml", directory / "broker.log", directory / "data"
        config.write_text(CONFIG, encoding="utf-8")
        return cls(config, log, data, await start_broker(config, log, 0, "--data", str(data)))

    @property
    def port(self) -> int:
        return self.service.ports["port"]

    @property
    def cpu_s(self) -> float:
        return self.cpu_before_s + cpu_s(self.service.pid)

    async def kill_and_restart(self) -> None:
        self.cpu_before_s += cpu_s(self.service.pid)
        self.kills_ns.append(time.monotonic_ns())
        await self.service.kill()
        started_s = time.monotonic()
        self.service = await start_broker(self.config, self.log, self.port, "--data", str(self.data))
        self.longest_start_s = max(self.longest_start_s, time.monotonic() - started_s)


class Soak:
    """One run."""

    def __init__(self, directory: Path, messages: int, kills: int, seed: int) -> None:
        self._directory = directory
        self._messages = messages
        chance = random.Random(seed)
        # Each at a random point of its own part of the run.
        self._kill_at = [messages * (part + chance.uniform(0.3, 0.9)) / (kills + 1) for part in range(kills)]
        self._seed = seed
        self._context = multiprocessing.get_context("spawn")
        workers = 1 + CONSUMER_PROCESSES
        self._sent: Any = self._context.Array("q", workers)
        self._completed: Any = self._context.Array("q", workers)
        self._stop = self._context.Event()
        self._processes: list[BaseProcess] = []
        self._samples: list[Sample] = []
        self.report = Report("messages")

    async def run(self) -> Report:
        children_cpu_s = _children_cpu_s()
        broker = await Broker.start(self._directory)
        started_s = time.monotonic()
        try:
            self._start_workers(broker.port)
            await self._until_all_are_sent(broker)
            await self._until_empty(broker)
            elapsed_s = time.monotonic() - started_s
        finally:
            self._stop.set()
            await asyncio.to_thread(self._end_workers)
            broker_cpu_s = broker.cpu_s
            await broker.service.stop()
        workers_cpu_s = _children_cpu_s() - children_cpu_s - broker_cpu_s
        self._tell(broker, elapsed_s, workers_cpu_s, broker_cpu_s)
        self.report.check("Traceback" not in broker.log.read_text(encoding="utf-8"), f"a traceback in {broker.log}")
        return self.report

    # ---- workers

    def _start_workers(self, port: int) -> None:
        connection = (
            f"Endpoint=sb://{LOOPBACK}:{port};SharedAccessKeyName=soak;SharedAccessKey=bG9jYWw=;"
            "UseDevelopmentEmulator=true;"
        )

        def start(index: int, target: Any, *arguments: Any) -> None:
            log = self._directory / f"worker-{index}.log"
            job = Job(connection, log, self._seed, self._sent, self._completed, index, self._stop)
            process = self._context.Process(target=target, args=(job, *arguments), daemon=True)
            process.start()
            self._processes.append(process)

        start(0, produce, range(self._messages), MAX_DEPTH)
        for index in range(1, CONSUMER_PROCESSES + 1):
            start(index, consume, RECEIVERS_EACH)

    def _end_workers(self) -> None:
        for process in self._processes:
            process.join(30)
            if process.is_alive():
                process.kill()
                process.join()

    # ---- the run

    async def _until_all_are_sent(self, broker: Broker) -> None:
        """Kills the broker on the way. Gives up when nothing moves any more."""
        kill_at = list(self._kill_at)
        done, moved_s = 0, time.monotonic()
        while sum(self._sent) < self._messages:
            await asyncio.sleep(SAMPLE_S)
            if sum(self._completed) != done:
                done, moved_s = sum(self._completed), time.monotonic()
            self._samples.append(Sample(len(broker.kills_ns), done, rss_bytes(broker.service.pid)))
            if kill_at and done >= kill_at[0]:
                kill_at.pop(0)
                await broker.kill_and_restart()
            if time.monotonic() - moved_s > STALLED_S or broker.service.exit_code is not None:
                self.report.failures.append(f"nothing moves any more after {done} messages")
                return
        self.report.check(not kill_at, "the broker was not killed as often as it should have been")

    async def _until_empty(self, broker: Broker) -> None:
        """Until neither a receiver nor a lock has anything left, which peeking tells of."""
        connection = f"Endpoint=sb://{LOOPBACK}:{broker.port};SharedAccessKeyName=s;SharedAccessKey=bG9jYWw=;UseDevelopmentEmulator=true;"
        deadline_s = time.monotonic() + STALLED_S
        async with (
            ServiceBusClient.from_connection_string(connection) as client,
            client.get_queue_receiver(QUEUE) as receiver,
        ):
            while await receiver.peek_messages(1, sequence_number=1):
                if time.monotonic() > deadline_s:
                    self.report.failures.append("messages are left in the queue that no consumer gets")
                    return
                await asyncio.sleep(SAMPLE_S)

    # ---- the verdict

    def _tell(self, broker: Broker, elapsed_s: float, workers_cpu_s: float, broker_cpu_s: float) -> None:
        logs = sorted(self._directory.glob("worker-*.log"))
        entries = (entry for log in logs for entry in unpacked(log.read_bytes()))
        verdict = judge(entries, self._messages, broker.kills_ns)
        self._check(verdict)
        steps = verdict.steps
        self.report.figures = {
            "messages": self._messages,
            "a second": round(self._messages / elapsed_s),
            "seconds": round(elapsed_s),
            "broker's CPU": f"{broker_cpu_s:.1f} s",
            "SDK's CPU": f"{workers_cpu_s:.1f} s",
            "kills": len(broker.kills_ns),
            "longest restart": f"{broker.longest_start_s:.2f} s",
            "redelivered": verdict.redelivered,
            "abandoned": steps[Step.ABANDONED],
            "sends of unknown outcome": steps[Step.SEND_UNKNOWN],
            "completions of unknown outcome": steps[Step.COMPLETE_UNKNOWN] + steps[Step.COMPLETE_REFUSED],
            "broker's memory": spread_mib(sample.rss_bytes for sample in self._samples),
            "growth": f"{mib(self._growth_bytes())} MiB",
        }
        self.report.check(self._growth_bytes() < MAX_GROWTH_BYTES, "the broker's memory is not flat")

    def _check(self, verdict: Verdict) -> None:
        for name, keys in (
            ("never confirmed as sent", verdict.missing),
            ("lost", verdict.lost),
            ("delivered again after a confirmed completion", verdict.came_again),
            ("settled twice", verdict.settled_twice),
            ("received but never sent", verdict.never_sent),
        ):
            self.report.check(not keys, f"{len(keys)} messages {name}, for instance {keys[:3]}")
        self.report.check(verdict.steps[Step.ABANDONED] > 0, "nothing was abandoned")

    def _growth_bytes(self) -> int:
        """How much more the last part of the run takes than the first that is warm, at the same depth of the queue."""
        warm = [sample for sample in self._samples if sample.done > self._messages * 0.1]
        quarter = max(len(warm) // 4, 1)
        return int(_median(warm[-quarter:]) - _median(warm[:quarter])) if warm else 0


def _children_cpu_s() -> float:
    """Of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _median(samples: Sequence[Sample]) -> float:
    return median(sample.rss_bytes for sample in samples)


async def run(directory: Path, messages: int, kills: int, seed: int) -> Report:
    """Sends and completes so many messages, with so many kills of the broker on the way."""
    return await Soak(directory, messages, kills, seed).run()
