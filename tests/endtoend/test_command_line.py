"""The command line when something is wrong: it says what, in bounded time, and leaves no process behind."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from localcloud.layout import Layout
from localcloud.services import LocalCloud

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 90.0
POLL_S = 0.1
REPORTED_WITHIN_S = 30.0
HEADER = "time,lat,lon,altitude_m,speed_kmh,gps_speed_kmh,odometer_km,soc_pct,fuel_rate_l_h,gear\n"
DRIVE = "twizy-t1-06-30-2021-1.csv"
FAILED, INTERRUPTED, MISUSED = 3, 130, 2


async def command(*arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> Process:
    """The command, started in a folder that is not the repository's."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", *map(str, arguments)),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: Process) -> tuple[int | None, str, str]:
    """Exit code, output and errors, once it has ended."""
    async with asyncio.timeout(TIMEOUT_S):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if found():
                return
            await asyncio.sleep(POLL_S)


def services_of(process: Process) -> dict[str, int]:
    """Process ids of the services by the program that they run. Linux only, like what it reads."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children}
    return {
        "storage" if "azurite" in words[1] else words[2].removeprefix("localcloud."): pid
        for pid, words in commands.items()
        if len(words) > 2  # not yet what it will be
    }


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="finds the services in /proc")


@linux_only
@pytest.mark.parametrize("victim", ["storage", "broker", "iothub"])
async def test_a_replay_ends_with_a_message_when_a_service_dies(drives: Path, tmp_path: Path, victim: str) -> None:
    process = await command("replay", drives / DRIVE, "--disorder", "1", cwd=tmp_path)
    await until(lambda: any(tmp_path.glob(".localcloud/replay-*/vehicles/*")))
    services = services_of(process)
    os.kill(services[victim], signal.SIGKILL)
    code, output, errors = await ended(process)
    assert (code, output) == (FAILED, "")
    message, where = errors.splitlines()
    assert message.startswith(f"error: {victim} ended unexpectedly (exit code -9)")
    assert (Path(where.removeprefix("The logs are in ")) / f"{victim}.log").exists()
    assert not [pid for pid in services.values() if Path(f"/proc/{pid}").exists()]


@linux_only
@pytest.mark.parametrize("victim", ["storage", "broker", "iothub"])
async def test_a_service_that_dies_while_the_host_starts_is_reported_soon(tmp_path: Path, victim: str) -> None:
    """The host itself would wait for it: a broker may come up late. Long before its patience ends the cause is told."""
    options = [f"--{name.replace('_', '-')}={number}" for name, number in Layout(tmp_path).on_free_ports().ports()]
    process = await command("up", *options, cwd=tmp_path)
    await until(lambda: "host" in services_of(process))
    services = services_of(process)
    os.kill(services[victim], signal.SIGKILL)
    async with asyncio.timeout(REPORTED_WITHIN_S):
        code, _, errors = await ended(process)
    assert code == FAILED
    assert errors.startswith(f"error: {victim} ended during the start (exit code -9)")
    assert not [pid for pid in services.values() if Path(f"/proc/{pid}").exists()]


@linux_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_no_service_outlives_its_command(drives: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = await command("replay", drives / DRIVE, cwd=tmp_path)
    await until(lambda: any(tmp_path.glob(".localcloud/replay-*/vehicles/*")))
    services = services_of(process)
    assert services.keys() == {"storage", "broker", "iothub", "host"}
    process.send_signal(number)
    code, output, errors = await ended(process)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else INTERRUPTED)
    assert (output, errors) == ("", "")
    await until(lambda: not [pid for pid in services.values() if Path(f"/proc/{pid}").exists()])


@pytest.mark.parametrize(
    "port", ["amqp-port", "mqtt-port", "hub-rest-port", "functions-port", "smtp-port", "blob-port", "table-port"]
)
async def test_a_taken_port_is_named_with_the_option_that_moves_it(tmp_path: Path, port: str) -> None:
    layout = Layout(tmp_path).on_free_ports()
    options = [f"--{name.replace('_', '-')}={number}" for name, number in layout.ports()]
    number = getattr(layout, port.replace("-", "_"))
    with socket.create_server((layout.address, number)):
        code, _, errors = await ended(await command("up", *options, cwd=tmp_path))
    assert code == FAILED
    assert errors.startswith(f"error: port {number} on 127.0.0.1 is taken (")
    assert errors.endswith(f"choose another with `python -m localcloud up --{port} PORT`\n")


async def test_parked_without_a_local_cloud_says_so(tmp_path: Path) -> None:
    table_port = Layout(tmp_path).on_free_ports().table_port
    code, output, errors = await ended(await command("parked", "--json", f"--table-port={table_port}", cwd=tmp_path))
    assert (code, output) == (FAILED, "")
    assert errors.startswith("error: table storage")
    assert f"127.0.0.1:{table_port}" in errors
    assert len(errors.splitlines()) == 1


async def test_parked_asks_the_local_cloud_that_it_is_told_to(local_services: LocalCloud, tmp_path: Path) -> None:
    """Settings of another cloud, as `func start` or a shell may leave them, do not lead there."""
    elsewhere = Layout(tmp_path).on_free_ports().storage_connection
    options = [f"--{name.replace('_', '-')}={number}" for name, number in local_services.layout.ports()]
    process = await command("parked", "--json", *options, cwd=tmp_path, environment={"StateStorage": elsewhere})
    code, output, _ = await ended(process)
    assert code == 0
    assert json.loads(output).keys() == {"parked"}


async def test_a_replay_says_why_messages_were_set_aside(tmp_path: Path) -> None:
    drive = tmp_path / "drive.csv"
    drive.write_text(HEADER + "".join(f"1921-05-31T15:22:{second}Z,48,11,,50,,,,,\n" for second in range(10, 60)))
    code, output, errors = await ended(await command("replay", drive, cwd=tmp_path, environment={"COLUMNS": "200"}))
    assert (code, errors) == (0, "")
    total, reason = output.splitlines()
    assert total == "trips: 0, messages: 2, parked: 2"
    assert reason.startswith("2 parked as no-usable-sample, for one: ")
    assert reason.endswith("is before 2015")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["demo", "--vehicles", "0"], "'0' is not a number from 1 to 500"),
        (["demo", "--vehicles", "many"], "'many' is not a number from 1 to 500"),
        (["up", "--amqp-port", "0"], "'0' is not a number from 1 to 65535"),
        (["replay", "drive.csv", "drive.csv"], "the file is named 2 times"),
        (["replay", "drive.csv", "--vehicle-id", "a car"], "'a car' is not a vehicle id"),
        (["replay", "drive.csv"], "line 2, column time: '9999-12-31T23:59:59-14:00' is not an ISO 8601 time"),
    ],
)
async def test_a_misuse_is_explained(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    (tmp_path / "drive.csv").write_text(HEADER + "9999-12-31T23:59:59-14:00,,,,,,,,,\n")
    code, output, errors = await ended(await command(*arguments, cwd=tmp_path))
    assert (code, output) == (MISUSED, "")
    assert errors.splitlines()[-1].endswith(complaint)
    assert "Traceback" not in errors


async def test_a_missing_node_is_named(tmp_path: Path) -> None:
    code, output, errors = await ended(await command("demo", cwd=tmp_path, environment={"PATH": str(tmp_path)}))
    assert (code, output) == (FAILED, "")
    assert "Node 20 or newer is needed" in errors.splitlines()[0]


@pytest.mark.parametrize("arguments", [["demo"], ["up"]])
async def test_a_place_where_nothing_can_be_kept_is_named(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / ".localcloud").write_text("a file where the folder should be")
    layout = Layout(tmp_path).on_free_ports()
    ports = [f"--{name.replace('_', '-')}={number}" for name, number in layout.ports()] if arguments == ["up"] else []
    code, output, errors = await ended(await command(*arguments, *ports, cwd=tmp_path))
    assert (code, output) == (FAILED, "")
    assert errors.startswith(f"error: nothing can be kept in {tmp_path / '.localcloud'}")
