"""What the host does when functions fail and when it is stopped or killed itself: nothing is lost."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.servicebus import ServiceBusMessage
from azure.storage.blob.aio import BlobServiceClient

from localcloud.processes import Child, child_environment, python_module
from tests.conformance.documented import documented
from tests.host.conftest import APP, Bench
from tests.host.observer import Observation


async def read_checkpoint(bench: Bench, event_hub: str, partition: str, group: str) -> int | None:
    """The sequence number up to which a host has finished, in the layout of the real extension."""
    namespace = f"{bench.layout.hostname}:{bench.layout.amqp_port}"
    path = f"{namespace}/{event_hub}/{group}/checkpoint/{partition}".lower()
    async with BlobServiceClient.from_connection_string(bench.layout.storage_connection) as storage:
        try:
            properties = await storage.get_blob_client("azure-webjobs-eventhub", path).get_blob_properties()
        except ResourceNotFoundError:
            return None
    return int(properties.metadata["sequencenumber"])


async def until_checkpointed(
    bench: Bench, event_hub: str, partition: str, sequence_number: int, group: str = "$Default"
) -> None:
    async with asyncio.timeout(20):
        # Asked again and again, because a blob tells nobody that it was written.
        while await read_checkpoint(bench, event_hub, partition, group) != sequence_number:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def contains(body: str) -> Callable[[Observation], bool]:
    return lambda each: any(item["body"] == body for item in each["seen"])


@documented("azure/azure-functions/functions-bindings-error-pages#retries")
async def test_a_failing_batch_is_retried_blocks_only_its_partition_and_is_given_up_at_last(
    bench: Bench, host: Child
) -> None:
    await bench.send_events("retried", b"fail", partition="0")
    await bench.observer.wait("event_retried", where=contains("fail"))
    await bench.send_events("retried", b"behind it", partition="0")
    await bench.send_events("retried", b"beside it", partition="1")
    await bench.observer.wait("event_retried", where=contains("beside it"))
    (behind,) = await bench.observer.wait("event_retried", where=contains("behind it"))

    failing = await bench.observer.wait("event_retried", 3, where=contains("fail"))
    attempts = [(each["context"]["retry_count"], each["context"]["max_retry_count"]) for each in failing]
    assert attempts == [(0, 0), (1, 2), (2, 2)]
    bodies = bench.observer.bodies("event_retried")
    assert bodies.index("beside it") < len(bodies) - 1 - bodies[::-1].index("fail") < bodies.index("behind it")
    await until_checkpointed(bench, "retried", "0", behind["seen"][0]["sequence_number"], "retries")


@documented("azure/azure-functions/functions-bindings-service-bus-trigger#poison-messages")
async def test_a_failing_message_is_abandoned_and_dead_lettered_by_the_broker(bench: Bench, host: Child) -> None:
    await bench.send_messages(ServiceBusMessage(b"fail", message_id="bad"), queue="commands")
    seen = await bench.observer.wait("queue_message", 3, where=lambda each: each["seen"]["message_id"] == "bad")
    assert [each["seen"]["delivery_count"] for each in seen] == [1, 2, 3]  # MaxDeliveryCount of cloud.toml
    async with bench.receiver("commands", dead_letters=True) as receiver:
        (dead,) = await receiver.receive_messages(1, 10)
        await receiver.complete_message(dead)
    assert (dead.message_id, dead.dead_letter_reason) == ("bad", "MaxDeliveryCountExceeded")


@documented("azure/azure-functions/functions-reliable-event-processing#retry-mechanisms-and-guidelines")
async def test_a_lost_partition_ends_its_retries_and_starts_anew_when_it_is_back(bench: Bench, host: Child) -> None:
    """Never two loops over the same events: the counts of two would be shuffled."""
    await bench.send_events("stubborn", b"never")
    await bench.observer.wait("event_stubborn")
    thief = EventHubConsumerClient.from_connection_string(
        bench.layout.amqp_connection,
        consumer_group="$Default",
        eventhub_name="stubborn",
        load_balancing_interval=1,  # the SDK sleeps it out before it closes
    )
    stolen = asyncio.Event()

    async def on_event_batch(_: PartitionContext, events: list[EventData]) -> None:
        if events:
            stolen.set()

    receiving = asyncio.create_task(
        thief.receive_batch(on_event_batch, partition_id="0", owner_level=1, starting_position="-1")
    )
    await stolen.wait()
    closing = asyncio.create_task(thief.close())

    def counts(observations: list[Observation]) -> list[int]:
        return [each["context"]["retry_count"] for each in observations]

    await bench.observer.wait("event_stubborn", 2, where=lambda each: each["context"]["retry_count"] == 0)
    anew = counts(await bench.observer.wait("event_stubborn")).index(0, 1)
    seen = await bench.observer.wait("event_stubborn", anew + 2)
    assert counts(seen) == [*range(anew), *range(len(seen) - anew)]
    assert seen[-1]["context"]["max_retry_count"] == -1
    await asyncio.gather(closing, receiving)


async def test_a_stop_lets_functions_finish_and_leaves_unfinished_retries_to_the_next_host(
    bench: Bench, host: Child
) -> None:
    await bench.send_events("stubborn", b"never")
    await bench.observer.wait("event_stubborn")
    await bench.send_messages(ServiceBusMessage(b"slow", message_id="slow"), queue="commands")
    await bench.observer.wait("queue_message", where=lambda each: each["seen"]["message_id"] == "slow")
    await host.stop()
    assert host.exit_code == 0
    await bench.observer.wait("queue_message_slow_done")
    async with bench.receiver("commands") as receiver:
        assert await receiver.peek_messages() == []

    attempts = await bench.observer.wait("event_stubborn")
    await bench.start_host()
    *_, again = await bench.observer.wait("event_stubborn", len(attempts) + 1)
    assert again["seen"][0]["sequence_number"] == attempts[-1]["seen"][0]["sequence_number"]
    assert again["context"]["retry_count"] == 0


@documented("azure/azure-functions/functions-reliable-event-processing#how-azure-functions-consumes-event-hubs-events")
async def test_a_killed_host_resumes_behind_its_last_checkpoint_and_repeats_what_it_had_not_finished(
    bench: Bench, host: Child
) -> None:
    await bench.send_events("one", b"done")
    (done,) = await bench.observer.wait("event_one", where=lambda each: each["seen"]["body"] == "done")
    await until_checkpointed(bench, "one", "0", done["seen"]["sequence_number"])
    await bench.send_events("one", b"hang")
    await bench.observer.wait("event_one", where=lambda each: each["seen"]["body"] == "hang")
    await host.kill()
    await bench.send_events("one", b"while it was down")

    await bench.start_host()
    async with asyncio.timeout(5):
        await bench.observer.wait("event_one", 2, where=lambda each: each["seen"]["body"] == "hang")
    assert bench.observer.bodies("event_one").count("done") == 1
    # The function timeout fails the hanging event, without a retry policy the next one follows.
    await bench.observer.wait("event_one", where=lambda each: each["seen"]["body"] == "while it was down")


async def test_a_taken_port_is_named_with_the_option_to_change_it(bench: Bench, host: Child, tmp_path: Path) -> None:
    port = str(host.ready["port"])
    environment = child_environment(
        AzureWebJobsStorage=bench.layout.storage_connection,
        Events=bench.layout.amqp_connection,
        Bus=bench.layout.amqp_connection,
        ManyHub="many",
        Errands="errands",
        Every="0 0 3 1 1 *",
    )
    process = await asyncio.create_subprocess_exec(
        *python_module("localcloud.host", "--app-root", str(APP), "--port", port),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 3
    line = errors.decode().splitlines()[-1]
    assert f"port {port} on 127.0.0.1" in line
    assert "--port" in line
