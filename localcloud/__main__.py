"""Command line of the local cloud: `python -m localcloud COMMAND`."""

import argparse
import asyncio
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.configuration import CONFIG, ROOT, load
from localcloud.errors import Misconfigured
from localcloud.layout import Layout, ServiceEnded, StartFailed

if TYPE_CHECKING:
    from localcloud.services import LocalCloud

DIRECTORY = Path(".localcloud")


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.ERROR)
    try:
        return asyncio.run(_run(arguments))
    except Misconfigured as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (StartFailed, ServiceEnded, TimeoutError) as failure:
        print(f"error: {failure}", *getattr(failure, "__notes__", ()), sep="\n", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


async def _run(arguments: argparse.Namespace) -> int:
    # What started services stops them also when it is terminated, as it does on Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
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

            return await show(_layout(arguments), source=arguments.source, as_json=arguments.json)
        case _:
            from localcloud.up import up

            await up(_cloud(arguments), host=arguments.command == "up")
            return 0


def _layout(arguments: argparse.Namespace) -> Layout:
    layout = Layout(DIRECTORY / "up")
    chosen = {name: getattr(arguments, name) for name, _ in layout.ports() if getattr(arguments, name, None)}
    return replace(layout, **chosen)


def _cloud(arguments: argparse.Namespace) -> "LocalCloud":
    from localcloud.services import LocalCloud

    configuration, layout = load(arguments.config or [CONFIG]), _layout(arguments)
    if arguments.command == "services":
        return LocalCloud(layout, configuration=configuration, data=arguments.data)
    settings_file = arguments.app / "local.settings.json"
    return LocalCloud(
        layout,
        configuration=configuration,
        data=arguments.data,
        app=arguments.app,
        settings_file=settings_file if settings_file.exists() else None,
    )


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
    up.add_argument("--app", type=Path, default=ROOT, metavar="DIR", help="the app to run (default: our own)")
    services = commands.add_parser("services", help="the same without the host, for `func start`")
    for command in (up, services):
        command.add_argument(
            "--config",
            type=Path,
            action="append",
            metavar="FILE",
            help="what there is: TOML as localcloud/cloud.toml, or the Config.json of Microsoft's emulators; "
            "several together declare one cloud (default: what our own app needs)",
        )
        command.add_argument(
            "--data", type=Path, metavar="DIR", help="keep the state of all services there (default: nothing is kept)"
        )
    parked = commands.add_parser("parked", help="list what a running local cloud has set aside, and why")
    parked.add_argument("--source", help="only this Event Hub or queue")
    parked.add_argument("--json", action="store_true", help="print JSON instead of a table")
    for command in (up, services, parked):
        for name, port in Layout(DIRECTORY).ports():
            command.add_argument(f"--{name.replace('_', '-')}", type=_port, metavar="PORT", help=f"default {port}")
    return parser


def _fleet_size(text: str) -> int:
    return _number(text, 1, 500)


def _port(text: str) -> int:
    return _number(text, 1, 65535)


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
