"""The work of an unmodified SDK as a process of its own, so that its CPU time is the SDK's and nobody else's.

`python -m benchmarks.sdk_load LOAD CONNECTION_STRING MESSAGES BROKER_PID` prints a `Run` as JSON. What the SDK needs to
connect is not measured.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, PartitionContext
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiveMode

from benchmarks.cpu_clock import cpu_s

QUEUE, EVENT_HUB, PARTITION = "benchmark", "benchmark-events", "0"
BATCH = 100
BODY = bytes(200)
_PATIENCE_S = 30


@dataclass(frozen=True, slots=True)
class Run:
    """What it took, on both sides, to move so many messages."""

    messages: int
    elapsed_s: float
    sdk_cpu_s: float
    broker_cpu_s: float


class Meter:
    """Reads both processes' clocks at the same moments."""

    def __init__(self, broker_pid: int) -> None:
        self._broker_pid = broker_pid

    def start(self) -> None:
        self._begin = self._clocks()

    def stop(self, messages: int) -> None:
        elapsed_s, sdk_s, broker_s = (end - begin for end, begin in zip(self._clocks(), self._begin, strict=True))
        self.run = Run(messages, elapsed_s, sdk_s, broker_s)

    def _clocks(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), cpu_s(self._broker_pid)


def send_messages(connection_string: str, messages: int, meter: Meter) -> None:
    """In batches of 100, each awaited, as a service does that must not lose any."""
    with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_queue_sender(QUEUE) as sender,
    ):
        for sent in range(0, messages, BATCH):
            if sent == BATCH:
                meter.start()  # the first batch connects
            batch = sender.create_message_batch()
            for _ in range(BATCH):
                batch.add_message(ServiceBusMessage(BODY))
            sender.send_messages(batch)
        meter.stop(messages - BATCH)


def complete_messages(connection_string: str, messages: int, meter: Meter) -> None:
    """Receives under locks and completes each message on its own."""
    _receive(connection_string, messages, meter, ServiceBusReceiveMode.PEEK_LOCK)


def delete_messages(connection_string: str, messages: int, meter: Meter) -> None:
    """Receives and deletes."""
    _receive(connection_string, messages, meter, ServiceBusReceiveMode.RECEIVE_AND_DELETE)


def _receive(connection_string: str, messages: int, meter: Meter, mode: ServiceBusReceiveMode) -> None:
    with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_queue_receiver(QUEUE, receive_mode=mode) as receiver,
    ):
        left = messages
        while left:
            # The first is received alone: that connects.
            received = receiver.receive_messages(1 if left == messages else min(BATCH, left), max_wait_time=_PATIENCE_S)
            assert received, "messages are missing"
            if mode is ServiceBusReceiveMode.PEEK_LOCK:
                for message in received:
                    receiver.complete_message(message)
            if left == messages:
                meter.start()
            left -= len(received)
        meter.stop(messages - 1)


def send_events(connection_string: str, messages: int, meter: Meter) -> None:
    """In batches of 100, each awaited, to one partition."""
    _send_events(connection_string, messages, meter, lambda: EventData(BODY))


def send_telemetry(connection_string: str, messages: int, meter: Meter) -> None:
    """The same with the properties and annotations that a hub puts on each event."""
    _send_events(connection_string, messages, meter, _telemetry)


def _telemetry() -> AmqpAnnotatedMessage:
    return AmqpAnnotatedMessage(
        data_body=BODY,
        application_properties={"type": "telemetry"},
        annotations={
            "iothub-connection-device-id": "vehicle-0",
            "iothub-connection-auth-method": '{"scope":"device","type":"x509Certificate","issuer":"external"}',
            "iothub-connection-auth-generation-id": "638000000000000000",
            "iothub-enqueuedtime": datetime.now(UTC),
            "iothub-message-source": "Telemetry",
        },
        properties=AmqpMessageProperties(content_type="application/json", content_encoding="utf-8"),  # type: ignore[no-untyped-call] # not annotated
    )


def _send_events(
    connection_string: str, messages: int, meter: Meter, make: Callable[[], EventData | AmqpAnnotatedMessage]
) -> None:
    with EventHubProducerClient.from_connection_string(connection_string, eventhub_name=EVENT_HUB) as producer:
        for sent in range(0, messages, BATCH):
            if sent == BATCH:
                meter.start()  # the first batch connects
            batch = producer.create_batch(partition_id=PARTITION)
            for _ in range(BATCH):
                batch.add(make())
            producer.send_batch(batch)
        meter.stop(messages - BATCH)


def receive_events(connection_string: str, messages: int, meter: Meter) -> None:
    """The first events of one partition, in batches as they come."""
    first = received = 0
    done = threading.Event()

    def on_events(_: PartitionContext, events: list[EventData]) -> None:
        nonlocal first, received
        received += len(events)
        if not first:
            first = received  # they come with the connecting
            meter.start()
        elif received >= messages and not done.is_set():
            meter.stop(received - first)
            done.set()

    with EventHubConsumerClient.from_connection_string(
        connection_string, "$Default", eventhub_name=EVENT_HUB
    ) as consumer:
        receiving = threading.Thread(
            target=consumer.receive_batch,
            args=(on_events,),
            kwargs={"partition_id": PARTITION, "starting_position": "-1"},
        )
        receiving.start()
        assert done.wait(_PATIENCE_S), "events are missing"
    receiving.join()


LOADS: dict[str, Callable[[str, int, Meter], None]] = {
    load.__name__: load
    for load in (send_messages, complete_messages, delete_messages, send_events, receive_events, send_telemetry)
}


def main() -> None:
    name, connection_string, messages, broker_pid = sys.argv[1:]
    meter = Meter(int(broker_pid))
    LOADS[name](connection_string, int(messages), meter)
    print(json.dumps(asdict(meter.run)))


if __name__ == "__main__":
    main()
