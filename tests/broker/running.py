"""A broker as a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunningBroker:
    process: "subprocess.Popen[str]"
    port: int
    log: Path

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://localhost:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=bG9jYWw=;UseDevelopmentEmulator=true;"
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def start_broker(config: Path, log: Path) -> RunningBroker:
    """On a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "localcloud.broker", "--port", "0", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=log.open("w"),
        text=True,
    )
    assert process.stdout is not None
    word, _, details = process.stdout.readline().partition(" ")
    assert word == "ready", log.read_text(encoding="utf-8")
    return RunningBroker(process, json.loads(details)["port"], log)
