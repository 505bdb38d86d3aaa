"""`python -m localcloud.host`: runs a function app against the local cloud until it is told to stop."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from localcloud.errors import Misconfigured, Unavailable
from localcloud.host.logs import configure_logging
from localcloud.host.runtime import Host
from localcloud.host.settings import AppSettings

EXIT_UNAVAILABLE, EXIT_MISCONFIGURED, EXIT_PORT_TAKEN = 1, 2, 3


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localcloud.host", description=__doc__)
    parser.add_argument("--app-root", type=Path, default=Path(), help="the folder of function_app.py and host.json")
    parser.add_argument("--address", default="127.0.0.1", help="the loopback address on which HTTP is served")
    parser.add_argument("--port", type=int, default=7071, help="the port on which HTTP is served; 0 takes a free one")
    parser.add_argument("--settings", type=Path, help="a local.settings.json; the environment wins over its Values")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> int:
    host = Host(arguments.app_root.resolve(), AppSettings.load(arguments.settings))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        port = await host.serve(arguments.address, arguments.port)
    except OSError as error:
        place = f"port {arguments.port} on {arguments.address}"
        print(f"{place} cannot be used ({error.strerror}); choose another with --port", file=sys.stderr)
        return EXIT_PORT_TAKEN
    starting = asyncio.create_task(host.start())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        await starting
        ready = {"port": port, "functions": [function.name for function in host.functions], "key": host.function_key}
        print("ready", json.dumps(ready), flush=True)
        await stopped
    starting.cancel()
    await host.stop()
    return 0


def main() -> int:
    """The exit code: 0 after a stop, 1 without storage, 2 if the app would not load, 3 if the port is taken."""
    configure_logging()
    try:
        return asyncio.run(_run(_arguments()))
    except Misconfigured as error:
        print(f"the function app cannot be loaded: {error}", file=sys.stderr)
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
