"""A broker as a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


def connection_string(port: int) -> str:
    return (
        f"Endpoint=sb://localhost:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=bG9jYWw=;UseDevelopmentEmulator=true;"
    )


@dataclass(frozen=True)
class RunningBroker:
    process: "subprocess.Popen[str]"
    port: int
    log: Path

    @property
    def connection_string(self) -> str:
        return connection_string(self.port)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def start_broker(config: Path, log: Path, port: int = 0, *more: str) -> RunningBroker:
    """With more options than these; port 0 is a free one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "localcloud.broker", "--port", str(port), "--config", str(config), *more],
        stdout=subprocess.PIPE,
        stderr=log.open("a"),
        text=True,
    )
    assert process.stdout is not None
    word, _, details = process.stdout.readline().partition(" ")
    assert word == "ready", log.read_text(encoding="utf-8")
    return RunningBroker(process, json.loads(details)["port"], log)
