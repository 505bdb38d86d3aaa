"""Files in which users declare what a local cloud offers: TOML, or the Config.json of Microsoft's emulators."""

import tomllib
from pathlib import Path
from typing import Any

from localcloud import relaxed_json
from localcloud.errors import Misconfigured


def is_emulator_config(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def read_declaration(path: Path) -> Any:
    """What the file says: of TOML a table, of an emulator's file whatever it is. Raises `Misconfigured`."""
    is_json = is_emulator_config(path)
    try:
        content = path.read_text(encoding="utf-8-sig")
        return relaxed_json.loads(content) if is_json else tomllib.loads(content)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"{path} is not valid {'JSON' if is_json else 'TOML'}: {error}") from error
