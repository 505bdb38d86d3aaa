"""With `--data` everything that a client was told survives the broker, even one that is killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError

from localcloud.processes import Child
from tests.broker.durable import DurableBroker
from tests.broker.wire import ask, wire_client

_ENTITIES = """
[servicebus.queues.plain]
MaxDeliveryCount = 3
[servicebus.queues.expiring]
DefaultMessageTimeToLive = "PT2S"
DeadLetteringOnMessageExpiration = true
[servicebus.queues.unique]
RequiresDuplicateDetection = true
[servicebus.queues.sessions]
RequiresSession = true
[servicebus.topics.news]
Subscriptions = ["first", "second"]
[eventhubs.kept]
PartitionCount = 1
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[DurableBroker]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    broker = DurableBroker(tmp_path, port)
    broker.start(_ENTITIES)
    yield broker
    if broker.running.process.poll() is None:
        assert broker.end(signal.SIGTERM) == 0
    assert "Traceback" not in broker.log


async def bodies(receiver: ServiceBusReceiver, *, wait_s: float = 1.0) -> list[str]:
    """Everything that is there, completed."""
    found: list[str] = []
    while received := await receiver.receive_messages(max_message_count=100, max_wait_time=wait_s):
        for message in received:
            await receiver.complete_message(message)
        found += [str(message) for message in received]
    return found


async def change_rules(broker: DurableBroker, operation: str, body: dict[str, Any]) -> int:
    """The status; unmodified Python SDKs change rules over HTTP only."""
    async with wire_client(broker.port) as client:
        await client.begin()
        answer = await ask(
            client, "news/Subscriptions/second/$management", {"operation": f"com.microsoft:{operation}"}, body
        )
    return int(answer["statusCode"])


async def test_what_a_queue_held_goes_on_when_it_is_declared_to_forward(broker: DurableBroker) -> None:
    """Nobody may receive from it any more: what stayed there would be lost to all. It arrives behind what was there."""
    await broker.send("unique", ServiceBusMessage("first there"))
    await broker.send("plain", ServiceBusMessage("held"), ServiceBusMessage("held too"))
    forwarding = _ENTITIES.replace("[servicebus.queues.plain]", '[servicebus.queues.plain]\nForwardTo = "unique"')
    for _ in range(2):
        broker.kill_and_restart(forwarding)
    async with broker.client() as client, client.get_queue_receiver("unique") as receiver:
        assert await bodies(receiver) == ["first there", "held", "held too"]


async def test_what_a_queue_holds_survives_a_kill(broker: DurableBroker) -> None:
    """Waiting, locked, deferred and scheduled messages are there again, and what was settled is not.

    They have the sequence numbers and counts of deliveries that they had, and new numbers go on behind the old ones.
    """
    async with (
        broker.client() as client,
        client.get_queue_sender("plain") as sender,
        client.get_queue_receiver("plain") as receiver,
    ):
        await sender.send_messages([ServiceBusMessage(name) for name in ("done", "tried", "later", "dead", "held")])
        due = datetime.now(UTC) + timedelta(seconds=4)
        (scheduled,) = await sender.schedule_messages(ServiceBusMessage("scheduled"), due)
        done, tried, later, dead, held = await receiver.receive_messages(5, max_wait_time=5)
        await receiver.complete_message(done)
        await receiver.abandon_message(tried)
        await receiver.defer_message(later)
        await receiver.receive_deferred_messages(later.sequence_number or 0)  # a lock that ends with the broker
        await receiver.dead_letter_message(dead, reason="spoilt", error_description="by the test")
        await sender.send_messages(ServiceBusMessage("waiting", application_properties={"n": 1}))
    broker.kill_and_restart(_ENTITIES)
    async with (
        broker.client() as client,
        client.get_queue_receiver("plain") as receiver,
        client.get_queue_receiver("plain", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters,
    ):
        found = {str(message): message for message in await receiver.receive_messages(10, max_wait_time=2)}
        assert set(found) - {"scheduled"} == {"tried", "held", "waiting"}
        assert (found["tried"].sequence_number, found["tried"].delivery_count) == (tried.sequence_number, 1)
        assert (found["held"].sequence_number, found["held"].delivery_count) == (held.sequence_number, 0)
        assert found["waiting"].application_properties == {b"n": 1}
        assert found["waiting"].enqueued_time_utc is not None
        assert found["waiting"].sequence_number is not None
        assert scheduled < found["waiting"].sequence_number
        (again,) = await receiver.receive_deferred_messages(later.sequence_number or 0)
        assert str(again) == "later"
        (buried,) = await dead_letters.receive_messages(max_wait_time=5)
        assert (buried.dead_letter_reason, buried.dead_letter_error_description) == ("spoilt", "by the test")
        if "scheduled" not in found:
            (on_time,) = await receiver.receive_messages(max_wait_time=10)
            assert str(on_time) == "scheduled"
    await broker.send("plain", ServiceBusMessage("new"))
    async with broker.client() as client, client.get_queue_receiver("plain") as receiver:
        newest = max(message.sequence_number or 0 for message in await receiver.peek_messages(10))
        assert newest > (found["waiting"].sequence_number or 0)


async def test_a_lock_does_not_survive(broker: DurableBroker) -> None:
    """Who held a message is told so, and the message comes again: nothing is settled twice."""
    await broker.send("plain", ServiceBusMessage("once"))
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string) as client,
        client.get_queue_receiver("plain") as receiver,
    ):
        (held,) = await receiver.receive_messages(max_wait_time=5)
        broker.kill_and_restart(_ENTITIES)
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(held)
        assert await bodies(receiver) == ["once"]


async def test_time_to_live_goes_on(broker: DurableBroker) -> None:
    """A message that expired while the broker was away ends as it would have."""
    await broker.send("expiring", ServiceBusMessage("short-lived"))
    broker.end(signal.SIGKILL)
    await asyncio.sleep(2)
    broker.start(_ENTITIES)
    async with (
        broker.client() as client,
        client.get_queue_receiver("expiring", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters,
    ):
        (expired,) = await dead_letters.receive_messages(max_wait_time=5)
        assert expired.dead_letter_reason == "TTLExpiredException"


async def test_duplicates_are_known_after_a_restart(broker: DurableBroker) -> None:
    """Within the window; a new id is taken."""
    await broker.send("unique", ServiceBusMessage("first", message_id="a"))
    broker.kill_and_restart(_ENTITIES)
    await broker.send("unique", ServiceBusMessage("again", message_id="a"), ServiceBusMessage("other", message_id="b"))
    async with broker.client() as client, client.get_queue_receiver("unique") as receiver:
        assert await bodies(receiver) == ["first", "other"]


async def test_sessions_keep_their_order_and_state(broker: DurableBroker) -> None:
    """The state is that which was set last."""
    await broker.send("sessions", *(ServiceBusMessage(str(number), session_id="s") for number in range(3)))
    async with broker.client() as client, client.get_queue_receiver("sessions", session_id="s") as receiver:
        for state in ("one", "two"):
            await receiver.session.set_state(state)
    broker.kill_and_restart(_ENTITIES)
    async with broker.client() as client, client.get_queue_receiver("sessions", session_id="s") as receiver:
        assert await receiver.session.get_state() == b"two"
        assert await bodies(receiver) == ["0", "1", "2"]


async def test_topics_keep_rules_and_what_is_scheduled(broker: DurableBroker) -> None:
    """Rules are as clients left them; a scheduled message still reaches the subscriptions that want it."""
    rule = {"rule-name": "Large", "rule-description": {"sql-filter": {"expression": "amount > 10"}}}
    assert await change_rules(broker, "remove-rule", {"rule-name": "$default"}) == 200
    assert await change_rules(broker, "add-rule", rule) == 200
    async with broker.client() as client, client.get_topic_sender("news") as sender:
        due = datetime.now(UTC) + timedelta(seconds=3)
        messages = [ServiceBusMessage(str(n), application_properties={"amount": n}) for n in (5, 20)]
        await sender.schedule_messages(messages, due)
    broker.kill_and_restart(_ENTITIES)
    assert await change_rules(broker, "add-rule", rule) == 409
    async with (
        broker.client() as client,
        client.get_subscription_receiver("news", "first") as first,
        client.get_subscription_receiver("news", "second") as second,
    ):
        assert await bodies(first, wait_s=5) == ["5", "20"]
        assert await bodies(second) == ["20"]


async def send_events(broker: DurableBroker, *events: str) -> dict[str, Any]:
    """Sends them in one batch; returns the properties of the partition then."""
    async with EventHubProducerClient.from_connection_string(
        broker.connection_string, eventhub_name="kept"
    ) as producer:
        await producer.send_batch([EventData(event) for event in events], partition_id="0")
        return await producer.get_partition_properties("0")


async def test_events_keep_their_places(broker: DurableBroker) -> None:
    """A reader goes on at the offset that it had reached, over a kill, and new events come behind the old ones."""
    before = await send_events(broker, "one", "two")
    broker.kill_and_restart(_ENTITIES)
    after = await send_events(broker, "three")
    assert after["beginning_sequence_number"] == before["beginning_sequence_number"]
    assert after["last_enqueued_sequence_number"] == before["last_enqueued_sequence_number"] + 1
    received: list[EventData] = []
    enough = asyncio.Event()

    async def take(context: PartitionContext, events: list[EventData]) -> None:
        del context
        received.extend(events)
        if len(received) == 2:
            enough.set()

    first = before["last_enqueued_sequence_number"] - 1
    async with EventHubConsumerClient.from_connection_string(
        broker.connection_string, "$Default", eventhub_name="kept"
    ) as consumer:
        reading = asyncio.create_task(consumer.receive_batch(take, partition_id="0", starting_position=first))
        async with asyncio.timeout(30):
            await enough.wait()
        reading.cancel()  # by itself it ends when it looks for partitions again, half a minute later
    assert [event.body_as_str() for event in received] == ["two", "three"]
    assert received[0].offset == before["last_enqueued_offset"]


async def test_a_graceful_stop_keeps_everything_too(broker: DurableBroker) -> None:
    """Entities that are no longer declared keep what they had until they are declared again."""
    await broker.send("plain", ServiceBusMessage("kept"))
    assert broker.end(signal.SIGTERM) == 0
    broker.start("[servicebus.queues.unique]")
    assert "plain" in broker.log
    assert broker.end(signal.SIGTERM) == 0
    broker.start(_ENTITIES)
    async with broker.client() as client, client.get_queue_receiver("plain") as receiver:
        assert await bodies(receiver) == ["kept"]


def test_a_folder_in_use_is_refused(broker: DurableBroker) -> None:
    """Two brokers on one folder would each forget what the other does."""
    config, data = broker.folder / "entities.toml", broker.folder / "data"
    command = [sys.executable, "-m", "localcloud.broker", "--port", "0", "--config", str(config), "--data", str(data)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 2
    assert "broker.sqlite3 is in use by another process; stop that or use another folder" in second.stderr


async def fill(broker: DurableBroker, sent: list[int]) -> None:
    """Sends large messages until one is not taken, and notes those that are."""
    for number in range(1, 20):
        await broker.send("plain", ServiceBusMessage(os.urandom(100_000)))
        sent.append(number)


async def test_a_disk_that_is_full_ends_the_broker(tmp_path: Path) -> None:
    """It says so and ends, and nothing is confirmed that is not kept."""
    config = tmp_path / "entities.toml"
    config.write_text(_ENTITIES, encoding="utf-8")
    limit_bytes = 400 << 10
    script = (
        "import resource, runpy, signal;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}));"
        "runpy.run_module('localcloud.broker', run_name='__main__')"
    )
    arguments = ["--port", "0", "--config", str(config), "--data", str(tmp_path / "data")]
    log = tmp_path / "broker.log"
    process = await Child.start("broker", [sys.executable, "-c", script, *arguments], log=log)
    await process.until_ready()
    broker = DurableBroker(tmp_path, process.ready["port"])
    sent: list[int] = []
    with pytest.raises(ServiceBusError):
        await fill(broker, sent)
    assert sent in ([1], [1, 2], [1, 2, 3])
    assert await process.until_ended() == 4
    assert "cannot be written: disk I/O error" in log.read_text()
