"""Storage Queue triggers against Azurite: what arrives, what a failure does, and how long a message stays hidden."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from localcloud.host.host_json import QueueOptions
from localcloud.host.message_pump import MessagePump, create_queue, poison_queue_name
from localcloud.host.polling import PollingDelay
from localcloud.layout import Layout
from localcloud.processes import Child
from tests.conformance.documented import documented
from tests.host.conftest import Bench

SOON = QueueOptions(max_polling_interval=timedelta(milliseconds=100))


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


async def sent(queue: QueueClient, body: bytes) -> str:
    """The id of the message; the queue is made if it is not there."""
    await create_queue(queue)
    return str((await queue.send_message(encoded(body))).id)


async def until_empty(queue: QueueClient) -> None:
    async with asyncio.timeout(20):
        # Asked again and again, because a queue tells nobody that a message was deleted.
        while (await queue.get_queue_properties()).approximate_message_count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def until_arrived(queue: QueueClient) -> QueueMessage:
    async with asyncio.timeout(20):
        while True:
            try:
                if (message := await queue.receive_message()) is not None:
                    await queue.delete_message(message)
                    return message
            except ResourceNotFoundError:
                pass
            await asyncio.sleep(0.05)


async def test_a_message_arrives_decoded_with_its_metadata_and_is_deleted(bench: Bench, host: Child) -> None:
    queue = bench.storage_queue("errands")
    message_id = await sent(queue, "größe".encode())
    (each,) = await bench.observer.wait("stored_message", where=lambda each: each["seen"]["id"] == message_id)
    seen = each["seen"]
    assert seen["body"].encode("latin-1").decode() == "größe"
    assert seen["dequeue_count"] == 1
    inserted, expires, visible = (
        datetime.fromisoformat(seen[name]) for name in ("insertion_time", "expiration_time", "time_next_visible")
    )
    assert abs(datetime.now(UTC) - inserted) < timedelta(minutes=1)
    assert expires - inserted == timedelta(days=7)
    assert timedelta(minutes=9) < visible - inserted < timedelta(minutes=11)
    assert seen["pop_receipt"]
    await until_empty(queue)


async def test_a_binary_message_arrives_as_it_is_in_a_queue_that_was_made_after_the_host(
    bench: Bench, host: Child
) -> None:
    message_id = await sent(bench.storage_queue("parcels"), b"\xff\x00")
    (each,) = await bench.observer.wait("stored_parcel", where=lambda each: each["seen"]["id"] == message_id)
    assert each["seen"]["body"] == "\xff\x00"


@documented("azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages")
async def test_a_failing_message_comes_five_times_and_then_lies_in_the_poison_queue(bench: Bench, host: Child) -> None:
    queue = bench.storage_queue("errands")
    message_id = await sent(queue, b"fail")
    poison = await until_arrived(bench.storage_queue("errands-poison"))
    assert poison.content == encoded(b"fail")
    seen = await bench.observer.wait("stored_message", where=lambda each: each["seen"]["id"] == message_id)
    assert [each["seen"]["dequeue_count"] for each in seen] == [1, 2, 3, 4, 5]
    await until_empty(queue)


@documented("azure/azure-functions/functions-bindings-storage-queue#hostjson-settings")
async def test_a_message_that_is_not_base64_is_set_aside_at_once(bench: Bench, host: Child) -> None:
    queue = bench.storage_queue("errands")
    await create_queue(queue)
    await queue.send_message("no base64!")
    assert (await until_arrived(bench.storage_queue("errands-poison"))).content == "no base64!"
    await until_empty(queue)


async def test_a_body_that_should_be_text_and_is_not_fails_as_the_function_would(bench: Bench, host: Child) -> None:
    queue = bench.storage_queue("errands")
    message_id = await sent(queue, b"\xff")
    assert (await until_arrived(bench.storage_queue("errands-poison"))).content == encoded(b"\xff")
    seen = [each["seen"]["id"] for each in bench.observer.observations if each["function"] == "stored_message"]
    assert message_id not in seen
    await until_empty(queue)


async def test_a_message_can_be_put_in_by_hand(
    bench: Bench, host: Child, browser: aiohttp.ClientSession, url: str
) -> None:
    async with browser.post(f"{url}/admin/functions/stored_message", json={"input": "by hand"}) as answer:
        assert answer.status == 202
    (each,) = await bench.observer.wait("stored_message", where=lambda each: each["seen"]["body"] == "by hand")
    assert each["seen"]["dequeue_count"] == 0  # it never lay in a queue


async def test_a_stop_lets_a_message_be_finished_and_deleted(bench: Bench, host: Child) -> None:
    queue = bench.storage_queue("errands")
    message_id = await sent(queue, b"slow")
    await bench.observer.wait("stored_message", where=lambda each: each["seen"]["id"] == message_id)
    await host.stop()
    assert host.exit_code == 0
    await bench.observer.wait("stored_message_slow_done")
    assert (await queue.get_queue_properties()).approximate_message_count == 0


@pytest.fixture
async def queue(services: Layout) -> AsyncIterator[QueueClient]:
    client = QueueClient.from_connection_string(services.storage_connection, "pumped")
    async with client:
        await create_queue(client)
        await client.clear_messages()
        yield client


async def test_a_message_stays_hidden_while_its_function_runs_longer_than_the_lease(queue: QueueClient) -> None:
    handled: list[int | None] = []
    finished = asyncio.Event()

    async def handle(message: QueueMessage) -> bool:
        handled.append(message.dequeue_count)
        await asyncio.sleep(2.5)
        finished.set()
        return True

    await sent(queue, b"long")
    pump = MessagePump(queue, None, handle, SOON, lease=timedelta(seconds=1))
    await pump.start()
    await finished.wait()
    await pump.stop(5)
    assert handled == [1]
    assert (await queue.get_queue_properties()).approximate_message_count == 0


@documented("azure/azure-functions/functions-bindings-storage-queue#hostjson-settings")
async def test_a_failure_hides_the_message_for_the_visibility_timeout(queue: QueueClient) -> None:
    moments: list[float] = []
    again = asyncio.Event()

    async def handle(_: QueueMessage) -> bool:
        moments.append(asyncio.get_running_loop().time())
        if len(moments) == 2:
            again.set()
        return len(moments) == 2

    await sent(queue, b"twice")
    pump = MessagePump(queue, queue, handle, replace(SOON, visibility_timeout=timedelta(seconds=2)))
    await pump.start()
    await again.wait()
    await pump.stop(5)
    assert moments[1] - moments[0] > 1


@documented("azure/azure-functions/functions-bindings-storage-queue-trigger#concurrency")
async def test_no_more_messages_run_at_once_than_batch_and_threshold_allow(queue: QueueClient) -> None:
    running = 0
    most = 0
    done = 0
    finished = asyncio.Event()

    async def handle(_: QueueMessage) -> bool:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        done += 1
        if done == 12:
            finished.set()
        return True

    for number in range(12):
        await sent(queue, b"%d" % number)
    pump = MessagePump(queue, None, handle, QueueOptions(batch_size=3, new_batch_threshold=1))
    await pump.start()
    await finished.wait()
    await pump.stop(5)
    assert 3 <= most <= 4


@documented("azure/azure-functions/functions-bindings-storage-queue-trigger#polling-algorithm")
def test_an_empty_queue_is_polled_ever_more_rarely() -> None:
    delay = PollingDelay(timedelta(seconds=2), chance=lambda: 0.5)
    assert [round(delay.next_s(), 3) for _ in range(8)] == [0.1, 0.2, 0.3, 0.5, 0.9, 1.7, 2.0, 2.0]
    delay.reset()
    assert delay.next_s() == 0.1


def test_a_poison_queue_has_none_itself() -> None:
    assert poison_queue_name("errands") == "errands-poison"
    assert poison_queue_name("errands-poison") is None
    assert poison_queue_name("e" * 57) is None
