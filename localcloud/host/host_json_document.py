"""host.json as .NET's configuration sees it: leaves by path, names in any case, values that may be text."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from localcloud.errors import Misconfigured
from localcloud.relaxed_json import loads

_TIME_SPAN = re.compile(r"(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?")
_MIGRATION = "See https://aka.ms/functions-hostjson for steps to migrate the configuration file."
_MORE = "See https://aka.ms/functions-hostjson for more information on this configuration file."
_BOOLEANS = {"true": True, "false": False}


def parse_time_span(text: str) -> timedelta:
    """A .NET TimeSpan `[-][d.]hh:mm[:ss[.fffffff]]`. Raises `ValueError`."""
    match = _TIME_SPAN.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a time span of the form hh:mm:ss")
    sign, days, hours, minutes, seconds, fraction = match.groups()
    span = timedelta(
        days=int(days or 0),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(7, "0")) // 10,
    )
    return -span if sign else span


class Document:
    """Remembers which settings were asked for, so that the rest can be named."""

    def __init__(self, document: Mapping[str, Any], overrides: Mapping[str, str] | None = None) -> None:
        """`overrides` are app settings of the form `AzureFunctionsJobHost__path__to__setting` without the prefix
        ("Override host.json values").
        """
        self._leaves = {path.lower(): (path, value) for path, value in _leaves(document)}
        for name, value in (overrides or {}).items():
            path = name.replace("__", ".").replace(":", ".")
            self._leaves[path.lower()] = (path, value)

    def take(self, path: str, kind: type, default: Any) -> Any:
        """The value of a setting. Raises `Misconfigured` for one that is not of this kind and cannot be read as it."""
        _, value = self._leaves.pop(path.lower(), (path, default))
        if isinstance(value, str):
            value = _from_text(value, kind)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Misconfigured(f"host.json: {path} must be of type {kind.__name__}, not {value!r}")
        return value

    def take_fixed(self, path: str, only: bool) -> None:
        """Takes a setting that has the only value that can be had; another one stays, to be named by `rest`."""
        if (found := self._leaves.get(path.lower())) and _from_text(str(found[1]), bool) is only:
            del self._leaves[path.lower()]

    def take_positive(self, path: str, default: int, minimum: int = 1) -> int:
        value: int = self.take(path, int, default)
        if value < minimum:
            raise Misconfigured(f"host.json: {path} must be at least {minimum}, not {value}")
        return value

    def take_time_span(self, path: str, default: timedelta) -> timedelta:
        text = self.take(path, str, "")
        try:
            return parse_time_span(text) if text else default
        except ValueError as error:
            raise Misconfigured(f"host.json: {path}: {error}") from error

    def take_moment(self, path: str) -> datetime | None:
        """An ISO 8601 time with its offset; None if it is absent or empty."""
        text = self.take(path, str, "")
        try:
            moment = datetime.fromisoformat(text) if text else None
        except ValueError as error:
            raise Misconfigured(f"host.json: {path}: {error}") from error
        if moment is not None and moment.tzinfo is None:
            raise Misconfigured(f"host.json: {path} must be a time with its offset, as in 2024-05-01T12:00:00Z")
        return moment

    def take_all(self, section: str) -> dict[str, Any]:
        """All settings below a section, by the rest of their paths."""
        start = f"{section}.".lower()
        found = [key for key in self._leaves if key.startswith(start)]
        taken = [self._leaves.pop(key) for key in found]
        return {path[len(start) :]: value for path, value in taken}

    def rest(self) -> tuple[str, ...]:
        """The paths that nobody asked for, as they stand in the file."""
        return tuple(path for path, _ in self._leaves.values())


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _from_text(text: str, kind: type) -> Any:
    """The text itself if it cannot be read as this kind."""
    if kind is int and re.fullmatch(r"-?\d+", text.strip()):
        return int(text)
    if kind is bool:
        return _BOOLEANS.get(text.strip().lower(), text)
    return text


def read_document(app_root: Path) -> dict[str, Any]:
    """The host.json of `app_root`. Raises `Misconfigured` if there is none or it is no JSON object."""
    path = app_root / "host.json"
    try:
        content = loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise Misconfigured(
            f'there is no host.json in {app_root}, which makes a folder a function app; {{"version": "2.0"}} will do'
        ) from error
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"Unable to parse host configuration file '{path}'. {error}") from error
    if not isinstance(content, dict):
        raise Misconfigured(f"Unable to parse host configuration file '{path}'. It is not a JSON object")
    return content


def check_version(version: str) -> None:
    """Raises `Misconfigured` with the real host's words for any but 2.0."""
    if not version:
        raise Misconfigured(f"The host.json file is missing the required 'version' property. {_MIGRATION}")
    if version != "2.0":
        confusion = (
            "This does not correspond to the function runtime version, only to the schema version of the host.json "
            "file. "
            if version.startswith("3")
            else ""
        )
        raise Misconfigured(
            f"'{version}' is an invalid value for host.json 'version' property. We recommend you set the 'version' "
            f"property to '2.0'. {confusion}{_MORE}"
        )
