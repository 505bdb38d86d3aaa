"""local.settings.json, as Azure Functions Core Tools read it ("Code and test Azure Functions locally")."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.errors import Misconfigured
from localcloud.relaxed_json import loads

FILE_NAME = "local.settings.json"
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Cors:
    """Which web pages of other origins may read answers."""

    origins: tuple[str, ...] = ()
    allows_credentials: bool = False

    def allowed(self, origin: str) -> str | None:
        """What to answer as the allowed origin; None for a page that may not."""
        if _ANY in self.origins:
            return _ANY
        return origin if origin.lower() in self.origins else None


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What the file says, its values merged into those that functions find in their environment."""

    values: Mapping[str, str] = field(default_factory=dict)
    http_port: int | None = None
    cors: Cors = field(default_factory=Cors)


def read_local_settings(path: Path) -> LocalSettings:
    """The settings in the file at `path`.

    Raises `Misconfigured` if it is absent, is not JSON, was encrypted by Core Tools or names what makes no sense.
    """
    try:
        document = loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise Misconfigured(f"cannot read the settings file {path}: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"the settings file {path} is not JSON: {error}") from error
    try:
        return _parsed(document)
    except Misconfigured as error:
        raise Misconfigured(f"the settings file {path} {error}") from error


def _parsed(document: Any) -> LocalSettings:
    if not isinstance(document, dict):
        raise Misconfigured("is not a JSON object")
    if document.get("IsEncrypted"):
        raise Misconfigured("is encrypted: run `func settings decrypt` first")
    host = _object(document, "Host")
    port = host.get("LocalHttpPort")
    if port is not None and (not isinstance(port, int) or not 0 <= port <= 65535):
        raise Misconfigured(f"has the Host.LocalHttpPort {port!r}, which is no port")
    values = {name: _value(name, value) for name, value in _object(document, "Values").items() if value is not None}
    return LocalSettings(values | _connection_strings(_object(document, "ConnectionStrings")), port, _cors(host))


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    if not isinstance(found, dict | None):
        raise Misconfigured(f'holds no object named "{name}"')
    return found or {}


def _value(name: str, value: Any) -> str:
    if not name or "=" in name:
        raise Misconfigured(f"has a value with the name {name!r}, which no setting can have")
    if isinstance(value, dict | list):
        raise Misconfigured(f"has the value {name}, which must be a string and not an object or an array")
    if isinstance(value, bool):
        return str(value)  # "True", as .NET writes it
    return str(value)


def _connection_strings(found: Mapping[str, Any]) -> dict[str, str]:
    """Each is a string, or an object with a provider beside it."""
    return {
        f"ConnectionStrings:{name}": str(value.get("ConnectionString", "") if isinstance(value, dict) else value)
        for name, value in found.items()
    }


def _cors(host: Mapping[str, Any]) -> Cors:
    origins = tuple(origin.strip().rstrip("/").lower() for origin in str(host.get("CORS") or "").split(","))
    origins = tuple(filter(None, origins))
    allows_credentials = bool(host.get("CORSCredentials", False))
    if _ANY in origins and allows_credentials:
        raise Misconfigured(
            "allows any origin (Host.CORS is *) together with Host.CORSCredentials, which browsers refuse: "
            "list the origins"
        )
    return Cors(origins, allows_credentials)
