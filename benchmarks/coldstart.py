"""What our code adds to a cold start: importing the app against importing the bare Functions library."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.row import Row

ROOT = Path(__file__).resolve().parents[1]
RUNS = 15


def rows() -> list[Row]:
    """Medians of whole processes, taken in turn so that a noisy machine is noisy for both."""
    times_ms: dict[str, list[float]] = {"pass": [], "import azure.functions": [], "import function_app": []}
    for _ in range(RUNS):
        for code, taken in times_ms.items():
            taken.append(_run_ms(code))
    start, bare, app = (statistics.median(taken) for taken in times_ms.values())
    return [Row("cold start: import function_app", app - start, "ms", bare - start, 1.25, at_most=True)]


def _run_ms(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return (time.perf_counter() - begin) * 1000
