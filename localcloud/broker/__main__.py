"""`python -m localcloud.broker`: Service Bus and Event Hubs on one port, until SIGTERM or SIGINT."""

import argparse
import asyncio
import errno
import json
import logging
import sys
from pathlib import Path

from localcloud.broker.declarations.config import BrokerConfig, load
from localcloud.broker.server import serve
from localcloud.errors import Misconfigured, Unavailable
from localcloud.lifetime import EXIT_DATA_LOST, EXIT_MISCONFIGURED, EXIT_PORT_TAKEN, stop_signal

DEFAULT_CONFIG = Path("localcloud/cloud.toml")


def main() -> int:
    """The exit code: 0 after a stop, 2 for a bad configuration, 3 if the port is taken, 4 if data cannot be kept."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.broker", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="where to listen (default %(default)s)")
    parser.add_argument("--port", type=int, default=5672, help="0 takes a free one (default %(default)s)")
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        help="entities: TOML or an emulator's Config.json; several files together declare one namespace "
        f"(default {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="keep messages and events there through a restart or a crash"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="broker: %(levelname)s %(message)s")
    try:
        config = load(*(arguments.config or [DEFAULT_CONFIG]))
        asyncio.run(_run(config, arguments.address, arguments.port, arguments.data))
    except Misconfigured as error:
        print(f"broker: {error}", file=sys.stderr)
        return EXIT_MISCONFIGURED
    except Unavailable as error:
        print(f"broker: {error}", file=sys.stderr)
        return EXIT_DATA_LOST
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(
            f"broker: port {arguments.port} on {arguments.address} is taken; choose another with --port.",
            file=sys.stderr,
        )
        return EXIT_PORT_TAKEN
    return 0


async def _run(config: BrokerConfig, address: str, port: int, data: Path | None) -> None:
    await serve(config, address, port, data, stop_signal(), _announce)


def _announce(port: int) -> None:
    print(f"ready {json.dumps({'port': port})}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
