"""What docs/localcloud.md shows works: its files are taken out of the page and run as they stand there."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.configuration import load
from localcloud.layout import Layout

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "localcloud.md").read_text("utf-8")
# A fenced block that has a file's name behind its language.
_FILE = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"python -m (localcloud\S*)((?: up| services)?)(.*)")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_TEST_FILE = re.compile(r"\b(?:[a-z]+/)+test_\w+\.py\b")
TIMEOUT_S = 90.0


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of the page's example."""
    for name, content in _FILE.findall(PAGE):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_tests_of_the_example_pass(shop: Path) -> None:
    """Through broker, IoT Hub, host and storage as processes, with the SDKs."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        command, cwd=shop, env=_environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"^3 passed", ended.stdout, re.MULTILINE), ended.stdout


async def test_the_example_starts_by_the_command_line(shop: Path) -> None:
    """With the options of the page, on free ports, until it is told to stop."""
    (arguments,) = re.findall(r"^\$ python -m localcloud up (.*)$", PAGE, re.MULTILINE)
    ports = [f"--{name.replace('_', '-')}={port}" for name, port in Layout(shop).on_free_ports().ports()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", "up", *arguments.split(), *ports),
        cwd=shop,
        env=_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while line := await process.stdout.readline():
                said += line.decode()
                if "Ctrl-C" in said:
                    process.send_signal(signal.SIGTERM)
                    break
            said += (await process.stdout.read()).decode()
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    assert "Key for functions" in said, said
    assert code == 0, said
    assert (shop / ".localcloud" / "data" / "broker.sqlite3").exists()


def _commands() -> dict[tuple[str, ...], set[str]]:
    """The modules and subcommands that the page calls, with the options that it gives them."""
    commands: dict[tuple[str, ...], set[str]] = {}
    for block in _CONSOLE.findall(PAGE):
        for module, subcommand, rest in _COMMAND.findall(block):
            used = commands.setdefault((module, *subcommand.split()), set())
            used.update(_OPTION.findall(rest))
    return commands


@pytest.mark.parametrize("command", sorted(_commands()), ids=" ".join)
def test_the_options_of_a_command_exist(command: tuple[str, ...]) -> None:
    """Every option that the page gives to a command."""
    told = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert _commands()[command] <= set(_OPTION.findall(told.stdout))


def test_the_settings_are_those_of_the_local_cloud(shop: Path) -> None:
    """For `func start`: what local.settings.json says is where the services listen; a default port is left out."""
    values = json.loads((shop / "local.settings.json").read_text("utf-8"))["Values"]
    told = load([shop / "shop.toml"]).settings_for(Layout(shop))
    expected = {name: value.replace("localhost:5672", "localhost") for name, value in told.items()}
    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize("connection", ["amqp_connection", "iothub_service_connection"])
def test_the_connection_strings_are_those_of_the_local_cloud(connection: str) -> None:
    """In the table of services, whole."""
    assert f"`{getattr(Layout(Path()), connection)}`" in PAGE


def test_the_tests_that_the_page_names_exist() -> None:
    """The tables name a test for what they promise."""
    named = {name.removeprefix("tests/") for name in _TEST_FILE.findall(PAGE)}
    assert len(named) > 20
    assert sorted(name for name in named if not (ROOT / "tests" / name).exists()) == []
