"""`python -m tests.soak`, the long form of the fault tests: exits with 1 if anything did not hold."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.iothub.services import ROOT
from tests.soak import amqp_frames, amqp_splits, connections, messages, mqtt_frames, mqtt_splits
from tests.soak.figures import Report

RESULT: Final = ROOT / ".localcloud" / "soak.json"
Part = Callable[[Path], Coroutine[Any, Any, Report]]


def main() -> int:
    """The exit code."""
    options = _parse_options()
    parts: dict[str, Part] = {
        "amqp-splits": amqp_splits.run,
        "mqtt-splits": mqtt_splits.run,
        "amqp-frames": lambda folder: amqp_frames.run(folder, options.frames, options.seed),
        "mqtt-frames": lambda folder: mqtt_frames.run(folder, options.frames, options.seed),
        "amqp-connections": lambda folder: connections.run_amqp(folder, options.connections),
        "mqtt-connections": lambda folder: connections.run_mqtt(folder, options.connections),
        "messages": lambda folder: messages.run(folder, options.messages, options.kills, options.seed),
    }
    chosen = options.part or list(parts)
    if unknown := set(chosen) - set(parts):
        print(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"logs and data are in {folder}", flush=True)
    results: list[dict[str, Any]] = []
    for name in chosen:
        started_s = time.monotonic()
        (folder / name).mkdir()
        report = asyncio.run(parts[name](folder / name))
        seconds = round(time.monotonic() - started_s)
        print("\n".join(report.lines()), f"({seconds} s)", flush=True)
        results.append(
            {
                "name": report.name,
                "held": not report.failures,
                "seconds": seconds,
                "figures": report.figures,
                "failures": report.failures,
            }
        )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode({"seed": options.seed, "parts": results})))
    return 0 if all(result["held"] for result in results) else 1


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("part", nargs="*", help="which parts to run (default: all)")
    parser.add_argument("--messages", type=int, default=1_000_000, help="through the queue (default %(default)s)")
    parser.add_argument("--kills", type=int, default=2, help="of the broker meanwhile (default %(default)s)")
    parser.add_argument("--connections", type=int, default=5_000, help="of each protocol (default %(default)s)")
    parser.add_argument("--frames", type=int, default=10_000, help="damaged, of each protocol (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed does the same damage (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
