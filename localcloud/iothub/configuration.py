"""The hub's part of the configuration file: routes, and the tier whose limits it keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.broker.declarations.config import load
from localcloud.declaration import is_emulator_config, read_declaration
from localcloud.errors import Misconfigured
from localcloud.iothub.routing import Routing, parse_routing
from localcloud.iothub.throttling import Throttling, parse_throttling


@dataclass(frozen=True, slots=True)
class Configuration:
    routing: Routing
    throttling: Throttling | None  # None: as fast as it can


def load_configuration(*paths: Path) -> Configuration:
    """Reads `[iothub]` of one of the files, which together declare one cloud; routes lead to the Event Hubs of all.

    Raises `Misconfigured` for a file that is none, and for what makes no sense in it.
    """
    event_hubs = load(*paths).event_hubs
    sections = [_section(path) for path in paths if not is_emulator_config(path)]
    declared = [section for section in sections if section]
    if len(declared) > 1:
        raise Misconfigured("two files declare an [iothub]")
    hub = declared[0] if declared else {}
    partition_counts = {name: settings.partition_count for name, settings in event_hubs.items()}
    return Configuration(parse_routing(hub, partition_counts), parse_throttling(hub))


def _section(path: Path) -> dict[str, Any]:
    section = read_declaration(path).get("iothub", {})
    if not isinstance(section, dict):
        raise Misconfigured(f"{path}: iothub must be a table")
    return section
