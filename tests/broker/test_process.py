"""The broker as a process."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.broker.wire.performatives import CLOSE
from tests.broker.conftest import StartBroker
from tests.broker.running import RunningBroker
from tests.broker.wire import wire_client


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "localcloud.broker", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_when_told_and_says_so(start_broker: StartBroker, stop: signal.Signals) -> None:
    broker = start_broker()
    async with wire_client(broker.port) as client:
        await client.begin()
        broker.process.send_signal(stop)
        assert (await client.expect(CLOSE)).condition == "amqp:connection:forced"
        assert await client.receive() is None
    assert await asyncio.to_thread(broker.process.wait, 10) == 0


def test_a_port_that_is_taken_is_named(broker: RunningBroker, config_path: Path) -> None:
    """In one line, with the way out."""
    result = run("--port", str(broker.port), "--config", str(config_path))
    assert result.returncode == 3
    assert len(result.stderr.splitlines()) == 1
    assert str(broker.port) in result.stderr
    assert "--port" in result.stderr


def test_a_mistake_in_the_declaration_is_named(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text("[servicebus.queues.q]\nLockDuratoin = 'PT1M'\n", encoding="utf-8")
    result = run("--port", "0", "--config", str(config))
    assert result.returncode == 2
    assert "servicebus.queues.q: unknown property LockDuratoin" in result.stderr
    assert "Traceback" not in result.stderr
