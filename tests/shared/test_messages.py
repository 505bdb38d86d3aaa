"""Batches from vehicles and messages between services: what is handled, parked, tried again and sent."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from localcloud.layout import Layout
from localcloud.services import LocalCloud
from shared import connections
from shared.errors import Rejected, Unavailable
from shared.messaging import inbox, outbox, parking, publisher, service_messages
from shared.messaging.contracts import CloseTrip, to_envelope
from shared.messaging.device_messages import DeviceMessage, handle_each, receive
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.settings import NOTIFICATIONS_TABLE, TRIP_COMMANDS, settings
from shared.storage import blobs
from shared.storage.tables import Row, Table, insert

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAIVE_NOW = NOW.replace(tzinfo=None)


@dataclass
class Event:
    """An Event Hub event as the worker decodes it: naive time, the prefix of hub properties cut off."""

    body: bytes
    device: str | None
    sequence_number: int = 7
    metadata: dict[str, Any] = field(default_factory=lambda: {"PartitionContext": {"PartitionId": "3"}})
    enqueued_time: datetime = NAIVE_NOW

    @property
    def iothub_metadata(self) -> dict[str, Any]:
        return {} if self.device is None else {"connection-device-id": self.device}

    def get_body(self) -> bytes:
        return self.body


@dataclass
class QueueMessage:
    """A Service Bus message as the worker decodes it."""

    body: bytes
    application_properties: dict[str, Any]
    message_id: str | None = field(default_factory=lambda: uuid4().hex)
    enqueued_time_utc: datetime = NAIVE_NOW

    def get_body(self) -> bytes:
        return self.body


def _command(vehicle_id: str = "car-1") -> Envelope:
    message = CloseTrip(vehicle_id=vehicle_id)
    return to_envelope(message, message_id=uuid4().hex, source="/test", subject=vehicle_id, time_ms=1000)


async def _parked(source: str) -> list[parking.Parked]:
    return [item async for item in parking.parked(source)]


@pytest.fixture
async def queue(local_services: LocalCloud) -> AsyncIterator[Any]:
    """Receives what was sent to the queue of trip commands, and leaves it empty."""
    connection = local_services.layout.amqp_connection
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_queue_receiver(TRIP_COMMANDS, receive_mode="receiveanddelete") as receiver,
    ):

        async def received(count: int) -> list[ServiceBusReceivedMessage]:
            messages: list[ServiceBusReceivedMessage] = []
            while len(messages) < count and (more := await receiver.receive_messages(count, max_wait_time=5)):
                messages += more
            return messages

        yield received


async def test_a_bad_message_is_parked_and_the_rest_of_its_batch_handled(local_services: LocalCloud) -> None:
    assert local_services
    hub, handled = uuid4().hex, []

    async def handle(message: DeviceMessage) -> None:
        if message.body == b"bad":
            raise Rejected("bad-thing", "this thing is bad")
        handled.append(message.body)

    events = [Event(b"one", "car-1", 1), Event(b"bad", "car-1", 2), Event(b"two", "car-2", 3)]
    for _ in range(2):  # a batch may be delivered again
        await handle_each(await receive(events, hub), handle)
    assert handled == [b"one", b"two"] * 2
    (parked,) = await _parked(hub)
    assert (parked.code, parked.detail) == ("bad-thing", "this thing is bad")
    assert (parked.origin.position, parked.origin.vehicle_id, parked.origin.arrived_at) == ("3/2", "car-1", NOW)
    assert await blobs.get("parked", parked.blob) == b"bad"


async def test_a_message_without_a_sender_is_parked(local_services: LocalCloud) -> None:
    assert local_services
    hub = uuid4().hex
    messages = await receive([Event(b"x", None), Event(b"y", "car-1", 8), Event(b"z", "no/car", 9)], hub)
    assert [(message.body, message.caller.vehicle_id, message.partition) for message in messages] == [
        (b"y", "car-1", "3")
    ]
    assert sorted(item.code for item in await _parked(hub)) == ["bad-vehicle-id", "no-caller"]


async def test_trouble_with_infrastructure_raises_so_that_the_batch_is_retried() -> None:
    async def handle(_: DeviceMessage) -> None:
        raise Unavailable("storage is away")

    with pytest.raises(Unavailable):
        await handle_each(await receive([Event(b"x", "car-1")], "hub"), handle)


async def test_a_retried_batch_goes_on_where_a_throttling_service_stopped_it(local_services: LocalCloud) -> None:
    """If it began anew, a service that grants fewer calls than a batch needs would never let it end."""
    assert local_services
    handled, granted, headway = list[bytes](), 0, set[parking.Origin]()

    async def handle(message: DeviceMessage) -> None:
        nonlocal granted
        if granted == 0:
            raise Unavailable("throttled")
        granted -= 1
        handled.append(message.body)

    batch = await receive([Event(b"%d" % number, "car-1", number) for number in range(8)], uuid4().hex)
    for _ in range(2):
        granted = 3
        with pytest.raises(Unavailable):
            await handle_each(batch, handle, headway=headway)
    granted = 3
    await handle_each(batch, handle, headway=headway)
    assert handled == [b"%d" % number for number in range(8)]
    assert not headway, "what is replayed later is handled again"


async def test_the_same_message_parked_twice_is_listed_once_newest_first(local_services: LocalCloud) -> None:
    assert local_services
    source = uuid4().hex
    for second in (1, 2, 1):
        origin = parking.Origin(source, f"0/{second}", NOW.replace(second=second))
        await parking.park(origin, Rejected("bad", "x" * 5000), b"x")
    assert [item.origin.position for item in await _parked(source)] == ["0/2", "0/1"]


async def test_a_command_reaches_its_use_case(local_services: LocalCloud) -> None:
    assert local_services
    seen: list[Envelope] = []

    async def use_case(envelope: Envelope) -> None:
        seen.append(envelope)

    command = _command()
    await service_messages.handle(
        QueueMessage(command.data, dict(command.properties())), use_case, source="s", retry_to=TRIP_COMMANDS
    )
    assert seen == [command]


@pytest.mark.parametrize("properties", [{}, {"cloudEvents:id": "x"}])
async def test_a_message_that_is_no_cloudevent_is_parked(
    local_services: LocalCloud, properties: dict[str, Any]
) -> None:
    assert local_services
    source = uuid4().hex

    async def use_case(envelope: Envelope) -> None:
        raise AssertionError(envelope)

    await service_messages.handle(QueueMessage(b"?", properties), use_case, source=source, retry_to=TRIP_COMMANDS)
    (parked,) = await _parked(source)
    assert parked.code == "not-a-cloudevent"


async def test_a_message_without_an_id_is_parked_and_listed(local_services: LocalCloud) -> None:
    """Only the SDKs give every message one; AMQP does not ask for it."""
    assert local_services
    source = uuid4().hex

    async def use_case(envelope: Envelope) -> None:
        raise AssertionError(envelope)

    await service_messages.handle(
        QueueMessage(b"?", {}, message_id=None), use_case, source=source, retry_to=TRIP_COMMANDS
    )
    assert [item.code for item in await _parked(source)] == ["not-a-cloudevent"]


@pytest.mark.parametrize("attempt", [10, 99])
def test_the_pause_between_attempts_has_a_longest(environment: Layout, attempt: int) -> None:
    """Doubled for ever it would pass what a schedule can hold."""
    assert environment
    pauses = [service_messages._pause_s(attempt, Unavailable("away")) for _ in range(20)]
    assert max(pauses) <= 1.25 * service_messages.LONGEST_PAUSE_S
    assert service_messages._pause_s(attempt, Unavailable("away", 5000.0)) == 5000.0


async def test_trouble_sends_the_command_again_later_and_parks_it_in_the_end(queue: Any) -> None:
    source, attempts = uuid4().hex, 0

    async def use_case(envelope: Envelope) -> None:
        nonlocal attempts
        assert replace(envelope, traceparent=None) == command
        attempts += 1
        raise Unavailable("still away")

    command = _command()
    message = QueueMessage(command.data, dict(command.properties()))
    limit = settings().command_attempts
    for attempt in range(1, 4):
        await service_messages.handle(message, use_case, source=source, retry_to=TRIP_COMMANDS)
        (again,) = await queue(1)
        properties = {key.decode(): value for key, value in again.application_properties.items()}
        properties = {key: value.decode() if isinstance(value, bytes) else value for key, value in properties.items()}
        assert again.message_id == command.id
        assert properties["attempt"] == attempt + 1
        message = QueueMessage(b"".join(again.body), properties)
    message.application_properties["attempt"] = limit
    await service_messages.handle(message, use_case, source=source, retry_to=TRIP_COMMANDS)
    assert attempts == 4
    (parked,) = await _parked(source)
    assert parked.code == "gave-up"
    assert "still away" in parked.detail


async def test_the_outbox_sends_what_was_committed_and_only_once(queue: Any) -> None:
    partition, table = uuid4().hex, Table(NOTIFICATIONS_TABLE)
    commands = [_command(f"car-{number}") for number in range(3)]
    await table.commit(outbox.rows(partition, [Outgoing(TRIP_COMMANDS, command) for command in commands]))
    assert await outbox.flush(table, partition) == 3
    assert await outbox.flush(table, partition) == 0
    assert sorted(message.message_id for message in await queue(3)) == sorted(command.id for command in commands)


async def test_a_crash_between_sending_and_removing_sends_the_same_messages_again(
    queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition, table, command = uuid4().hex, Table(NOTIFICATIONS_TABLE), _command()
    await table.commit(outbox.rows(partition, [Outgoing(TRIP_COMMANDS, command)]))
    with monkeypatch.context() as patch:

        async def crash(*_: object) -> None:
            raise Unavailable("crash")

        patch.setattr(Table, "commit", crash)
        with pytest.raises(Unavailable):
            await outbox.flush(table, partition)
    assert await outbox.flush(table, partition) == 1
    assert [message.message_id for message in await queue(2)] == [command.id] * 2


async def test_two_senders_of_one_outbox_leave_nothing_behind(queue: Any) -> None:
    partition, table, command = uuid4().hex, Table(NOTIFICATIONS_TABLE), _command()
    await table.commit(outbox.rows(partition, [Outgoing(TRIP_COMMANDS, command)]))
    rows = [row async for row in table.query(partition)]
    await outbox.send(table, rows)
    await outbox.send(table, rows)
    assert [row async for row in table.query(partition)] == []
    assert {message.message_id for message in await queue(2)} == {command.id}


async def test_a_message_that_must_not_go_out_yet_waits(queue: Any) -> None:
    from datetime import timedelta

    start = datetime.now(UTC)
    await publisher.send([Outgoing(TRIP_COMMANDS, _command(), start + timedelta(seconds=1))])
    assert await queue(1)
    assert datetime.now(UTC) - start >= timedelta(seconds=1)


async def test_more_messages_than_fit_into_one_batch_are_sent(queue: Any) -> None:
    big = [Outgoing(TRIP_COMMANDS, Envelope(uuid4().hex, "T", "/s", NOW, bytes(200_000))) for _ in range(8)]
    await publisher.send(big)
    assert len(await queue(8)) == 8


async def test_an_inbox_mark_can_be_made_only_once(local_services: LocalCloud) -> None:
    from shared.errors import Conflict

    assert local_services
    partition, table = uuid4().hex, Table(NOTIFICATIONS_TABLE)
    assert not await inbox.handled(table, partition, "m-1")
    await table.commit([insert(Row(partition, "effect")), inbox.mark(partition, "m-1", NOW)])
    assert await inbox.handled(table, partition, "m-1")
    with pytest.raises(Conflict):
        await table.commit([insert(Row(partition, "effect-2")), inbox.mark(partition, "m-1", NOW)])
    assert await table.get(partition, "effect-2") is None


async def test_many_invocations_send_at_once(queue: Any) -> None:
    """A host runs them side by side on one event loop, and the SDK's senders are not made for that."""
    commands = [_command(f"car-{number}") for number in range(40)]
    await asyncio.gather(*(publisher.send([Outgoing(TRIP_COMMANDS, command)]) for command in commands))
    assert sorted(message.message_id for message in await queue(40)) == sorted(command.id for command in commands)


async def test_connections_are_made_anew_after_they_were_closed(queue: Any) -> None:
    for _ in range(2):
        await publisher.send([Outgoing(TRIP_COMMANDS, _command())])
        assert len(await queue(1)) == 1
        await connections.close()


async def test_a_trace_goes_through_the_outbox(queue: Any) -> None:
    """From the command that is handled to the message that its effect sends."""
    incoming, partition, table = f"00-{'a' * 32}-{'b' * 16}-01", uuid4().hex, Table(NOTIFICATIONS_TABLE)

    async def use_case(_: Envelope) -> None:
        await table.commit(outbox.rows(partition, [Outgoing(TRIP_COMMANDS, _command())]))
        await outbox.flush(table, partition)

    command = replace(_command(), traceparent=incoming)
    await service_messages.handle(
        QueueMessage(command.data, dict(command.properties())), use_case, source="s", retry_to=TRIP_COMMANDS
    )
    (sent,) = await queue(1)
    assert sent.application_properties[b"cloudEvents:traceparent"].split(b"-")[1] == b"a" * 32
