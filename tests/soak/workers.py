"""Producers and consumers of the message soak: the unmodified SDK in processes of their own."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import BinaryIO, TypeVar

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import MessageLockLostError

from tests.soak.ledger import Entry, Step, packed

_Handler = TypeVar("_Handler", ServiceBusSender, ServiceBusReceiver)

log = logging.getLogger(__name__)

QUEUE = "soak"
SEND_BATCH = 100
RECEIVE_BATCH = 100
ABANDONED_SHARE = 0.02
_PAUSE_S = 0.05
_AGAIN_S = 0.5  # after a failure: a broker that was killed takes its time to come back


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker process is told."""

    connection_string: str
    log: Path
    seed: int
    # Of all workers together, by their index: how much was sent and how much was completed.
    sent: "SynchronizedArray[int]"
    completed: "SynchronizedArray[int]"
    index: int
    stop: Event


class Log:
    """What a worker did, in the order of its clock."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, step: Step, attempt: int, number: int) -> None:
        self._file.write(packed(Entry(step, attempt, number, time.monotonic_ns())))


def produce(job: Job, numbers: Sequence[int], max_depth: int) -> None:
    """Sends every number until it is confirmed, as long as no more than `max_depth` messages wait."""
    _log_to_file(job)
    with job.log.open("wb", buffering=1 << 16) as file:
        asyncio.run(_Producer(job, Log(file), max_depth).run(numbers))


def consume(job: Job, receivers: int) -> None:
    """Receives, abandons some and completes the others until told to stop."""
    _log_to_file(job)
    with job.log.open("wb", buffering=1 << 16) as file:
        asyncio.run(_Consumer(job, Log(file)).run(receivers))


def _log_to_file(job: Job) -> None:
    logging.basicConfig(filename=job.log.with_suffix(".txt"), level=logging.WARNING)
    for name in ("azure", "asyncio"):  # they tell at length of every connection that a kill has cost
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _payload(number: int, attempt: int) -> ServiceBusMessage:
    return ServiceBusMessage(b"%d/%d" % (number, attempt))


def _key(message: ServiceBusReceivedMessage) -> tuple[int, int]:
    number, attempt = b"".join(message.body).split(b"/")
    return int(number), int(attempt)


class _Producer:
    def __init__(self, job: Job, log: Log, max_depth: int) -> None:
        self._job = job
        self._log = log
        self._max_depth = max_depth

    async def run(self, numbers: Sequence[int]) -> None:
        waiting = [numbers[start : start + SEND_BATCH] for start in range(0, len(numbers), SEND_BATCH)]
        waiting.reverse()
        attempts = 0  # a number of all, so that no message is ever sent twice

        async def send(sender: ServiceBusSender) -> None:
            nonlocal attempts
            while waiting and not self._job.stop.is_set():
                if sum(self._job.sent[:]) - sum(self._job.completed[:]) > self._max_depth:
                    await asyncio.sleep(_PAUSE_S)
                    continue
                batch = waiting[-1]
                try:
                    await sender.send_messages([_payload(number, attempts) for number in batch])
                except Exception:
                    self._note(Step.SEND_UNKNOWN, attempts, batch)
                    attempts += 1
                    raise
                self._note(Step.SENT, attempts, batch)
                self._job.sent[self._job.index] += len(batch)
                waiting.pop()

        while waiting and not self._job.stop.is_set():
            await _with_client(self._job, lambda client: client.get_queue_sender(QUEUE), send)

    def _note(self, step: Step, attempt: int, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._log.write(step, attempt, number)


class _Consumer:
    def __init__(self, job: Job, log: Log) -> None:
        self._job = job
        self._log = log
        self._chance = random.Random(f"{job.seed}/{job.index}")

    async def run(self, receivers: int) -> None:
        await asyncio.gather(*(self._keep_receiving() for _ in range(receivers)))

    async def _keep_receiving(self) -> None:
        while not self._job.stop.is_set():
            await _with_client(self._job, lambda client: client.get_queue_receiver(QUEUE), self._receive)

    async def _receive(self, receiver: ServiceBusReceiver) -> None:
        while not self._job.stop.is_set():
            messages = await receiver.receive_messages(max_message_count=RECEIVE_BATCH, max_wait_time=1)
            for message in messages:
                number, attempt = _key(message)
                self._log.write(Step.RECEIVED, attempt, number)
            await asyncio.gather(*(self._settle(receiver, message) for message in messages))

    async def _settle(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        number, attempt = _key(message)
        if self._chance.random() < ABANDONED_SHARE:
            try:
                await receiver.abandon_message(message)
            except Exception:  # noqa: BLE001 - it comes again in either case
                self._log.write(Step.ABANDON_FAILED, attempt, number)
            else:
                self._log.write(Step.ABANDONED, attempt, number)
            return
        try:
            await receiver.complete_message(message)
        except MessageLockLostError:
            self._log.write(Step.COMPLETE_REFUSED, attempt, number)
        except Exception:  # noqa: BLE001 - a lost connection surfaces in the SDK as almost anything
            self._log.write(Step.COMPLETE_UNKNOWN, attempt, number)
        else:
            self._log.write(Step.COMPLETED, attempt, number)
            self._job.completed[self._job.index] += 1


async def _with_client(
    job: Job, get_handler: Callable[[ServiceBusClient], _Handler], work: Callable[[_Handler], Awaitable[None]]
) -> None:
    """Works until it is done or the connection is gone, which the SDK tells in any way."""
    client = ServiceBusClient.from_connection_string(job.connection_string, retry_total=1, retry_backoff_factor=0.1)
    handler = get_handler(client)
    try:
        async with client, handler:
            await work(handler)
    except Exception as error:  # noqa: BLE001 - see above; the ledger tells whether something went wrong for good
        log.warning("worker %d: %s: %s", job.index, type(error).__name__, error)
        await asyncio.sleep(_AGAIN_S)
