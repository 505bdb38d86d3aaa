"""`python -m localcloud up` for an app that is not ours, and what it keeps."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.storage.blob.aio import BlobServiceClient

from localcloud.fleet.hub_service import HubService
from localcloud.layout import Layout

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 90.0

APP = """
import os
import time
from pathlib import Path

import azure.functions as func

from shared import greeting

print("ready as an app can be")
app = func.FunctionApp()


@app.route("greet/{name}", auth_level=func.AuthLevel.ANONYMOUS)
def greet(req: func.HttpRequest) -> str:
    print("somebody is greeted")
    return greeting(req.route_params["name"], os.environ["GREETING"], os.environ["FROM_FILE"])


@app.service_bus_queue_trigger("message", queue_name="%QUEUE%", connection="Bus")
def note(message: func.ServiceBusMessage) -> None:
    with Path(os.environ["NOTES"]).open("ab") as notes:
        notes.write(message.get_body() + b"\\n")
    if message.get_body() == b"slow":
        time.sleep(2)
"""
SHARED = """
def greeting(name: str, *words: str) -> str:
    if name == "nobody":
        try:
            {}[name]
        except KeyError as error:
            raise ValueError("there is nobody to greet") from error
    return " ".join((*words, name))
"""
CONFIG = """
[servicebus.queues.notes]
[servicebus.queues.kept]

[storage]
containers = ["papers"]

[app.settings]
AzureWebJobsStorage = "${storage}"
Bus = "${amqp}"
QUEUE = "notes"
GREETING = "Costs $$1,"
NOTES = "%s"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An app with a package that is called like one of ours."""
    app = tmp_path / "app"
    (app / "shared").mkdir(parents=True)
    (app / "shared" / "__init__.py").write_text(SHARED)
    (app / "function_app.py").write_text(APP)
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "local.settings.json").write_text('{"Values": {"FROM_FILE": "dear", "GREETING": "overruled"}}')
    (tmp_path / "cloud.toml").write_text(CONFIG % (tmp_path / "notes.txt"))
    return tmp_path


@asynccontextmanager
async def up(folder: Path, layout: Layout, *options: str) -> AsyncIterator[Process]:
    """The command, once it says that all is up; it must end well when it is interrupted."""
    ports = [f"--{name.replace('_', '-')}={number}" for name, number in layout.ports()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", "up", "--config", "cloud.toml", "--app", "app", *options, *ports),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=(folder / "errors.txt").open("w"),
        start_new_session=True,
    )
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        while line := await process.stdout.readline():
            if b"Ctrl-C stops everything" in line:
                break
    assert line, (folder / "errors.txt").read_text()
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        async with asyncio.timeout(TIMEOUT_S):
            await process.communicate()
    assert process.returncode == 0, (folder / "errors.txt").read_text()


async def test_another_app_runs(folder: Path) -> None:
    """With its own entities, modules and settings: those of the file lie below those that are declared."""
    layout = Layout(folder).on_free_ports()
    async with up(folder, layout), ServiceBusClient.from_connection_string(layout.amqp_connection) as client:
        async with aiohttp.ClientSession() as browser:
            answer = await browser.get(f"http://localhost:{layout.functions_port}/api/greet/Ada")
            assert await answer.text() == "Costs $1, dear Ada"
        async with client.get_queue_sender("notes") as sender:
            await sender.send_messages(ServiceBusMessage(b"remember this"))
        async with asyncio.timeout(TIMEOUT_S):
            while not (folder / "notes.txt").exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        assert (folder / "notes.txt").read_text() == "remember this\n"


async def test_what_an_app_prints_and_how_it_failed_is_in_the_log(folder: Path) -> None:
    """Prints at import, too, even if they look like ours; failures with their way through the app, and their cause."""
    layout = Layout(folder).on_free_ports()
    async with up(folder, layout), aiohttp.ClientSession() as browser:
        greet = f"http://localhost:{layout.functions_port}/api/greet"
        assert (await browser.get(f"{greet}/Ada")).status == 200
        assert (await browser.get(f"{greet}/nobody")).status == 500
        log = (folder / ".localcloud" / "up" / "logs" / "host.log").read_text().splitlines()
    assert {"ready as an app can be", "somebody is greeted"} <= set(log)
    (failure,) = (line for line in log if "ERROR greet: failed" in line)
    assert failure.endswith(
        "ValueError: there is nobody to greet (function_app.py:17 > __init__.py:7), "
        "caused by KeyError: 'nobody' (__init__.py:5)"
    )


async def test_ctrl_c_lets_functions_settle_what_they_have_begun(folder: Path) -> None:
    """A terminal sends the signal to all processes of its job: the broker must not end before the host."""
    layout, notes = Layout(folder).on_free_ports(), folder / "notes.txt"

    async def noted(*bodies: str) -> None:
        async with (
            ServiceBusClient.from_connection_string(layout.amqp_connection) as client,
            client.get_queue_sender("notes") as sender,
        ):
            await sender.send_messages(ServiceBusMessage(bodies[-1]))
        async with asyncio.timeout(TIMEOUT_S):
            while not (notes.exists() and bodies[-1] in notes.read_text()):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        assert notes.read_text().split() == list(bodies)

    async with up(folder, layout, "--data", "data"):
        await noted("slow")
    async with up(folder, layout, "--data", "data"):
        await noted("slow", "next")


async def test_state_is_kept_in_the_folder_that_is_named(folder: Path) -> None:
    """Of storage, broker and IoT Hub alike."""
    layout = Layout(folder).on_free_ports()
    authority = folder / ".localcloud" / "up" / "pki" / "ca-bundle.pem"
    for attempt in range(2):
        async with (
            up(folder, layout, "--data", "data"),
            ServiceBusClient.from_connection_string(layout.amqp_connection) as client,
            BlobServiceClient.from_connection_string(layout.storage_connection) as storage,
            HubService(layout.iothub_service_connection, authority) as hub,
        ):
            paper = storage.get_blob_client("papers", "first")
            if not attempt:
                await paper.upload_blob(b"content")
                device = await hub.register("car-1", "A" * 64)
                async with client.get_queue_sender("kept") as sender:
                    await sender.send_messages(ServiceBusMessage(b"still here"))
                continue
            async with client.get_queue_receiver("kept") as receiver:
                (message,) = await receiver.receive_messages(max_wait_time=10)
                assert str(message) == "still here"
            assert await hub.get_device("car-1") == device
            assert await (await paper.download_blob()).readall() == b"content"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[app.settings]\nA = '${nowhere}'", "app.settings: 'nowhere' is none of ${amqp}"),
        ("[app]\nsetings = {}", "app: unknown property setings"),
        ("[storage]\ntables = 'T'", "storage.tables must be a list of names"),
        ("[storage", "is not valid TOML"),
    ],
)
async def test_a_declaration_that_makes_no_sense_is_named(folder: Path, config: str, words: str) -> None:
    """Before anything is started."""
    (folder / "cloud.toml").write_text(config)
    layout = Layout(folder).on_free_ports()
    with pytest.raises(AssertionError) as failed:
        async with up(folder, layout):
            pytest.fail("it came up")
    assert words in str(failed.value)


async def test_an_interruption_during_the_start_ends_it(folder: Path) -> None:
    """A queue that is not declared lets the host wait for it: nobody else can end that wait."""
    layout = Layout(folder).on_free_ports()
    (folder / "cloud.toml").write_text((CONFIG % "notes.txt").replace("[servicebus.queues.notes]", ""))
    log = folder / ".localcloud" / "up" / "logs" / "host.log"

    ports = [f"--{name.replace('_', '-')}={number}" for name, number in layout.ports()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", "up", "--config", "cloud.toml", "--app", "app", *ports),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(TIMEOUT_S):
        while not (log.exists() and "'notes' could not be found" in log.read_text()):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    layout.check_free("amqp_port", "functions_port")
