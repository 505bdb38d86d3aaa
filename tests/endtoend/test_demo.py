"""The demo: a fleet through all four jobs, held against what it really did."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from localcloud.demo.outcome import Outcome

ROOT = Path(__file__).parents[2]


async def run_demo(folder: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", "demo", *options),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), json.loads((folder / ".localcloud" / "demo.json").read_text())


async def test_everything_holds(tmp_path: Path) -> None:
    code, output, figures = await run_demo(tmp_path, "--vehicles", "4", "--seed", "2")
    assert code == 0, output
    assert figures.pop("elapsed_s") > 0
    telemetry, trips = figures.pop("telemetry"), figures.pop("trips")
    assert set(telemetry) == {"messages", "samples", "duplicated", "reordered"}
    assert min(telemetry.values()) > 0
    assert trips.pop("distance_error_pct_max") < 0.1
    assert trips == {"driven": 6, "summarised": 6}
    assert figures == {
        "vehicles": 4,
        "ota": {"targeted": 4, "succeeded": 4, "failed": 0},
        "certificates": {"due": 2, "rotated": 2, "locked_out": 0},
        # Mails of four trips (one owner of two does not want them), four updates and an alarm; four in the car.
        "notifications": {"due": 13, "delivered": 13, "duplicates": 0},
        "parked": 0,
        "lost": 0,
        "ok": True,
    }
    assert "everything held" in output


def test_one_complaint_is_enough_to_fail() -> None:
    assert Outcome(1).ok
    assert not Outcome(1, complaints=["the campaign is not complete"]).ok
    assert Outcome(1, complaints=["x"]).as_json()["ok"] is False
