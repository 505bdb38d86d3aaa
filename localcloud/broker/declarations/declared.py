"""Properties of a declaration, checked one by one. Every error is a Misconfigured that names the place."""

import re
from collections.abc import Mapping
from typing import Any

from localcloud.errors import Misconfigured

_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
MAX_NAME_SEGMENTS = 8
_RESERVED = frozenset({"subscriptions", "partitions", "consumergroups", "publishers"})  # what stands behind names
_ENTITY_NAME = re.compile(r"[A-Za-z0-9](?:[\w.\-]{0,258}[A-Za-z0-9_])?")


def parse_duration(text: str) -> float:
    """Seconds of an ISO 8601 duration of days, hours, minutes and seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError(f"{text!r} is no ISO 8601 duration such as PT30S or P14D")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def entities(value: Any, where: str, *, paths: bool = False) -> list[tuple[str, Any, str]]:
    """Names, declarations and places; `paths`: names may have slashes."""
    checked = path_name if paths else entity_name
    return [(checked(name, where), entity, f"{where}.{name}") for name, entity in as_table(value, where).items()]


def entity_name(value: Any, where: str) -> str:
    if not isinstance(value, str) or (value != "$Default" and not _ENTITY_NAME.fullmatch(value)):
        raise Misconfigured(f"{where}: {value!r} cannot be a name")
    return value


def path_name(value: Any, where: str) -> str:
    """Of a queue or topic: names with slashes between them, which sort entities into folders."""
    segments = value.split("/") if isinstance(value, str) else [value]
    if len(segments) > MAX_NAME_SEGMENTS or any(str(segment).lower() in _RESERVED for segment in segments):
        raise Misconfigured(f"{where}: {value!r} cannot be a name")
    for segment in segments:
        entity_name(segment, where)
    return str(value)


def as_table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Misconfigured(f"{where} must be a table")
    return value


def refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise Misconfigured(f"{where}: unknown property {unknown[0]}; known are {', '.join(sorted(known))}")


def refuse_same_names(names: Any) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise Misconfigured(f"two entities are called {name}: they share one port and must differ")
        seen.add(name.lower())


def duration(table: Mapping[str, Any], key: str, where: str, default: Any) -> Any:
    if key not in table:
        return default
    try:
        seconds = parse_duration(table[key])
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"{where}.{key}: {error}") from error
    if seconds <= 0:
        raise Misconfigured(f"{where}.{key} must be longer than nothing")
    return seconds


def count(table: Mapping[str, Any], key: str, where: str, default: int, maximum: int) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
        raise Misconfigured(f"{where}.{key} must be a whole number from 1 to {maximum}")
    return value


def flag(table: Mapping[str, Any], key: str, where: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise Misconfigured(f"{where}.{key} must be true or false")
    return value
