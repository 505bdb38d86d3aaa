"""A broker that keeps its data, as a process that can be killed and started again."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient


@dataclass
class DurableBroker:
    """A broker on a port and a folder of its own, which can be killed and started again."""

    folder: Path
    port: int
    process: "subprocess.Popen[str]" = field(init=False)

    @property
    def connection_string(self) -> str:
        return f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName=k;SharedAccessKey=a2V5;UseDevelopmentEmulator=true;"

    def start(self, entities: str) -> None:
        config = self.folder / "entities.toml"
        config.write_text(entities, encoding="utf-8")
        arguments = ["--port", str(self.port), "--config", str(config), "--data", str(self.folder / "data")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.broker", *arguments],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "broker.log").open("a"),
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready"), self.log

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(20)

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
