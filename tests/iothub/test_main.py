"""How the hub starts and stops as a process."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from tests.iothub.services import CONFIG, ROOT, event_hubs, own_address, running_hub


async def run(directory: Path, *options: str) -> tuple[int | None, str, str]:
    """Exit code, output and errors of a hub that is expected to stop by itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud.iothub", "--pki", str(directory / "pki")),
        *("--event-hubs", event_hubs(9), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(("taken", "other"), [("--mqtt-port", "--rest-port"), ("--rest-port", "--mqtt-port")])
async def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path, taken: str, other: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = str(occupant.getsockname()[1])
        code, output, errors = await run(tmp_path, taken, port, other, "0", "--config", str(CONFIG))
    assert (code, output) == (3, "")
    assert errors.count("\n") == 1
    assert port in errors
    assert taken in errors


async def test_a_route_to_an_event_hub_that_is_not_declared_stops_the_start(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text('[[iothub.routes]]\nname="r"\nsource="DeviceMessages"\ncondition="true"\nendpoint="nowhere"\n')
    code, _, errors = await run(tmp_path, "--config", str(config))
    assert code == 2
    assert "'nowhere'" in errors


async def test_it_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    async with running_hub(tmp_path, event_hubs(9), CONFIG) as hub:
        assert await hub.service.stop() == 0
    assert "Traceback" not in hub.log.read_text()


async def test_it_listens_on_the_given_address_only(tmp_path: Path) -> None:
    async with running_hub(tmp_path, event_hubs(9), CONFIG) as hub:
        for port in hub.service.ports.values():
            with pytest.raises(OSError, match=r"refused|failed"):
                await asyncio.open_connection(own_address(), port)
