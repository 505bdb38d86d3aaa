"""Command line of the local cloud: `python -m localcloud COMMAND`."""

import argparse
import asyncio
import logging
import sys
from dataclasses import replace
from pathlib import Path

from localcloud.layout import Layout, StartFailed

DIRECTORY = Path(".localcloud")


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.ERROR)
    try:
        return asyncio.run(_run(arguments))
    except StartFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


async def _run(arguments: argparse.Namespace) -> int:
    # Each command imports what it needs: `--help` shall not wait for SDKs.
    match arguments.command:
        case "demo":
            from localcloud.demo import demo

            return await demo(vehicles=arguments.vehicles, seed=arguments.seed, directory=DIRECTORY)
        case "replay":
            from localcloud.replay import replay

            return await replay(
                arguments.drive,
                vehicle_id=arguments.vehicle_id,
                disorder=arguments.disorder,
                as_json=arguments.json,
                directory=DIRECTORY,
            )
        case "parked":
            from localcloud.parked import show

            await show(_layout(arguments), source=arguments.source, as_json=arguments.json)
            return 0
        case _:
            from localcloud.up import up

            return await up(_layout(arguments), host=arguments.command == "up")


def _layout(arguments: argparse.Namespace) -> Layout:
    layout = Layout(DIRECTORY / "up")
    chosen = {name: getattr(arguments, name) for name, _ in layout.ports() if getattr(arguments, name, None)}
    return replace(layout, **chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="drive a small fleet through all four jobs and check the outcome")
    demo.add_argument("--vehicles", type=_fleet_size, default=8, help="how many vehicles (default 8)")
    demo.add_argument("--seed", type=int, default=1, help="what chance follows from (default 1)")

    replay = commands.add_parser("replay", help="replay recorded drives of one car and print its trips")
    replay.add_argument("drive", type=Path, nargs="+", help="CSV files, all of the same car")
    replay.add_argument("--vehicle-id", default="replayed-car", help="the id that the car gets")
    replay.add_argument(
        "--disorder", type=int, metavar="SEED", help="send a fifth of the messages twice and shuffle them"
    )
    replay.add_argument("--json", action="store_true", help="print JSON instead of a table")

    up = commands.add_parser("up", help="keep the local cloud up, with the Functions host")
    services = commands.add_parser("services", help="the same without the host, for `func start`")
    parked = commands.add_parser("parked", help="list what a running local cloud has set aside, and why")
    parked.add_argument("--source", help="only this Event Hub or queue")
    parked.add_argument("--json", action="store_true", help="print JSON instead of a table")
    for command in (up, services, parked):
        for name, port in Layout(DIRECTORY).ports():
            command.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="PORT", help=f"default {port}")
    return parser


def _fleet_size(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 500:
        raise argparse.ArgumentTypeError("between 1 and 500 vehicles")
    return number


if __name__ == "__main__":
    sys.exit(main())
