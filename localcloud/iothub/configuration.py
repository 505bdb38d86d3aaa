"""The hub's part of the configuration file: routes, and the tier whose limits it keeps."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from localcloud.errors import Misconfigured
from localcloud.iothub.routing import Routing, parse_routing
from localcloud.iothub.throttling import Throttling, parse_throttling


@dataclass(frozen=True, slots=True)
class Configuration:
    routing: Routing
    throttling: Throttling | None  # None: as fast as it can


def load_configuration(path: Path) -> Configuration:
    """Raises `Misconfigured` for a file that is none, and for what makes no sense in it."""
    try:
        configuration = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path}: {error}") from error
    return Configuration(parse_routing(configuration), parse_throttling(configuration.get("iothub", {})))
