"""What a local cloud offers and which app it serves, as one or several files declare it.

Entities of the broker and routes of the IoT Hub are read by those services themselves; this is the rest: storage, the
app's settings and its console.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

from localcloud.declaration import is_emulator_config, read_declaration
from localcloud.errors import Misconfigured
from localcloud.layout import Layout

ROOT: Final = Path(__file__).resolve().parents[1]
CONFIG: Final = Path(__file__).with_name("cloud.toml")
_STORAGE, _APP = frozenset({"tables", "containers", "queues"}), frozenset({"console", "settings"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """Several files together declare one cloud."""

    paths: Sequence[Path]
    tables: Sequence[str]
    containers: Sequence[str]
    queues: Sequence[str]
    app_settings: Mapping[str, str]
    console: str | None  # path of a page of the app, which is shown with its key

    def settings_for(self, layout: Layout) -> dict[str, str]:
        """The app's settings, with what stands for parts of the local cloud replaced. Raises `Misconfigured`."""
        places = layout.places()
        try:
            return {name: Template(value).substitute(places) for name, value in self.app_settings.items()}
        except (KeyError, ValueError) as error:
            known = ", ".join(f"${{{name}}}" for name in places)
            raise Misconfigured(f"app.settings: {error} is none of {known} (a $ itself is written $$)") from error


def load(paths: Iterable[Path] = (CONFIG,)) -> Configuration:
    """Reads TOML files; JSON is an emulator's declaration of entities and holds nothing else.

    Raises `Misconfigured` for a file that cannot be read, and for what is of the wrong kind.
    """
    paths = tuple(paths)
    documents = [read_declaration(path) for path in paths if not is_emulator_config(path)]
    storage = [_table(document, "storage", _STORAGE) for document in documents]
    apps = [_table(document, "app", _APP) for document in documents]
    settings: dict[str, str] = {}
    for app in apps:
        settings |= _texts(app.get("settings", {}))
    consoles = [str(app["console"]) for app in apps if "console" in app]
    return Configuration(
        paths,
        tables=_names(storage, "tables"),
        containers=_names(storage, "containers"),
        queues=_names(storage, "queues"),
        app_settings=settings,
        console=consoles[0] if consoles else None,
    )


def _table(document: dict[str, Any], name: str, known: frozenset[str]) -> dict[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise Misconfigured(f"{name} must be a table")
    if unknown := sorted(table.keys() - known):
        raise Misconfigured(f"{name}: unknown property {unknown[0]}; known are {', '.join(sorted(known))}")
    return table


def _names(tables: Iterable[dict[str, Any]], key: str) -> Sequence[str]:
    names: list[str] = []
    for table in tables:
        declared = table.get(key, [])
        if not isinstance(declared, list) or not all(isinstance(name, str) for name in declared):
            raise Misconfigured(f"storage.{key} must be a list of names")
        names += declared
    return names


def _texts(settings: Any) -> dict[str, str]:
    if not isinstance(settings, dict) or not all(isinstance(value, str) for value in settings.values()):
        raise Misconfigured("app.settings must be a table of texts")
    return settings
