"""A broker that keeps its data, as a process that can be killed and started again."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.broker.running import RunningBroker, connection_string, start_broker


@dataclass
class DurableBroker:
    """A broker on a port and a folder of its own, which can be killed and started again."""

    folder: Path
    port: int
    running: RunningBroker = field(init=False)

    @property
    def connection_string(self) -> str:
        return connection_string(self.port)

    def start(self, entities: str) -> None:
        config = self.folder / "entities.toml"
        config.write_text(entities, encoding="utf-8")
        data = str(self.folder / "data")
        self.running = start_broker(config, self.folder / "broker.log", self.port, "--data", data)

    def end(self, number: signal.Signals) -> int:
        process = self.running.process
        process.send_signal(number)
        assert process.stdout is not None
        process.stdout.close()
        return process.wait(20)

    def kill_and_restart(self, entities: str) -> None:
        self.end(signal.SIGKILL)
        self.start(entities)

    @property
    def log(self) -> str:
        return (self.folder / "broker.log").read_text(encoding="utf-8")

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ServiceBusClient]:
        async with ServiceBusClient.from_connection_string(self.connection_string, retry_total=0) as client:
            yield client

    async def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        async with self.client() as client, client.get_queue_sender(queue) as sender:
            await sender.send_messages(list(messages))
