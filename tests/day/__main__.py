"""`python -m tests.day`: one day of 2,000 cars through the local cloud; exits with 1 if anything did not hold."""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from localcloud.configuration import ROOT
from tests.day.run import Options, run

RESULT: Final = ROOT / ".localcloud" / "day.json"


def main() -> int:
    """The exit code."""
    options = _parse_options()
    logging.basicConfig(level=logging.CRITICAL)  # who loses a connection to a killed server has much to say about it
    folder = Path(tempfile.mkdtemp(prefix="day-"))
    print(f"logs and data are in {folder}", flush=True)
    begin_s = time.monotonic()
    report = asyncio.run(
        run(folder, options, lambda line: print(f"{time.monotonic() - begin_s:5.0f} s  {line}", flush=True))
    )
    print("\n".join(report.lines()))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode({"seed": options.seed, **msgspec.to_builtins(report)})))
    if report.failures:
        return 1
    shutil.rmtree(folder)
    return 0


def _parse_options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.day", description=__doc__)
    parser.add_argument("--cars", type=int, default=2_000, help="how many (default %(default)s)")
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="these cars of the day and no others")
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same day (default %(default)s)")
    parser.add_argument("--no-kills", action="store_true", help="let host and broker live")
    given = parser.parse_args()
    cars = given.only or range(given.cars)
    return Options(cars, given.seed, kills=()) if given.no_kills else Options(cars, given.seed)


if __name__ == "__main__":
    sys.exit(main())
