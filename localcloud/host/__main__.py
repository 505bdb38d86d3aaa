"""`python -m localcloud.host`: runs a function app against the local cloud until it is told to stop."""

import argparse
import asyncio
import json
import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from localcloud.errors import Misconfigured, Unavailable
from localcloud.host.app_errors import place_in_app
from localcloud.host.local_settings import FILE_NAME, LocalSettings, read_local_settings
from localcloud.host.logs import configure_logging
from localcloud.host.runtime import Host
from localcloud.host.settings import AppSettings
from localcloud.lifetime import EXIT_MISCONFIGURED, EXIT_PORT_TAKEN

DEFAULT_PORT = 7071
EXIT_UNAVAILABLE = 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localcloud.host", description=__doc__)
    parser.add_argument("--app-root", type=Path, default=Path(), help="the folder of function_app.py and host.json")
    parser.add_argument("--address", default="127.0.0.1", help="the loopback address on which HTTP is served")
    parser.add_argument(
        "--port",
        type=int,
        help=f"the port on which HTTP is served; 0 takes a free one "
        f"(default: Host.LocalHttpPort of the settings file, or {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        help=f"the settings file, whose values the environment overrides (default: {FILE_NAME} of the app, if any)",
    )
    parser.add_argument("--no-local-settings", action="store_true", help="take settings from the environment only")
    return parser.parse_args()


def _local_settings(arguments: argparse.Namespace) -> LocalSettings:
    """Raises `Misconfigured` for a file that was chosen and is not there, and for one that makes no sense."""
    path: Path = arguments.settings or arguments.app_root / FILE_NAME
    if arguments.no_local_settings or not (arguments.settings or path.exists()):
        return LocalSettings()
    return read_local_settings(path)


def _stop_on_signals(stopping: asyncio.Event) -> None:
    """The first one stops gracefully, the second of its kind at once.

    Of its kind, because Ctrl-C in a terminal reaches also those whose parent sends them a SIGTERM then.
    """

    def on_signal(number: int) -> None:
        if number in seen:
            os._exit(128 + number)
        seen.add(number)
        stopping.set()

    seen: set[int] = set()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)


def _take_standard_output() -> TextIO:
    """For what we announce ourselves. What the app prints goes to standard error from now on, to the log."""
    announcements = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return announcements


async def _run(arguments: argparse.Namespace, announcements: TextIO) -> int:
    app_root = arguments.app_root.resolve()
    local = _local_settings(arguments)
    host = Host(app_root, AppSettings.over(local.values), local.cors)
    configure_logging(host.options.log_levels)
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    wanted = arguments.port if arguments.port is not None else local.http_port or DEFAULT_PORT
    try:
        port = await host.serve(arguments.address, wanted)
    except OSError as error:
        place = f"port {wanted} on {arguments.address}"
        print(f"{place} cannot be used ({error.strerror}); choose another with --port", file=sys.stderr)
        return EXIT_PORT_TAKEN
    starting = asyncio.create_task(host.start())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        await starting
        print("ready", json.dumps(_readiness(host, port)), file=announcements, flush=True)
        await stopped
    starting.cancel()
    await host.stop()
    return 0


def _readiness(host: Host, port: int) -> dict[str, Any]:
    return {
        "port": port,
        "functions": [function.name for function in host.functions],
        "key": host.keys.function_key,
        "masterKey": host.keys.master,
    }


def main() -> int:
    """The exit code: 0 after a stop, 1 without storage, 2 if the app would not load, 3 if the port is taken."""
    configure_logging()
    try:
        return asyncio.run(_run(_arguments(), _take_standard_output()))
    except Misconfigured as error:
        print(f"the function app cannot be loaded: {error}{place_in_app(error)}", file=sys.stderr)
        return EXIT_MISCONFIGURED
    except Unavailable as error:
        print(error, file=sys.stderr)
        return EXIT_UNAVAILABLE


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: the interpreter would wait for threads of functions that outlasted their host.
    os._exit(code)
