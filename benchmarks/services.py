"""The services that are measured, as processes of their own on free ports of loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.layout import LOOPBACK, Layout
from localcloud.processes import Child, child_environment, python_module

CONFIG = Path(__file__).with_name("cloud.toml")


@dataclass(frozen=True, slots=True)
class Broker:
    pid: int
    connection_string: str


@asynccontextmanager
async def service(name: str, folder: Path, module: str, *arguments: str) -> AsyncIterator[Child]:
    """Raises `StartFailed`. Its log is in the folder."""
    command = python_module(module, *arguments)
    child = await Child.start(name, command, log=folder / f"{name}.log", environment=child_environment())
    try:
        await child.until_ready()
        yield child
    finally:
        await child.stop()


@asynccontextmanager
async def broker(folder: Path, *, durable: bool = False) -> AsyncIterator[Broker]:
    """Raises `StartFailed`."""
    name = "durable-broker" if durable else "broker"
    arguments = ["--port", "0", "--config", str(CONFIG), *(("--data", str(folder / name)) if durable else ())]
    async with service(name, folder, "localcloud.broker", *arguments) as child:
        layout = Layout(folder, hostname=LOOPBACK, amqp_port=child.ready["port"])
        yield Broker(child.pid, layout.amqp_connection)
