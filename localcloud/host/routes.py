"""Routes of HTTP functions: templates and constraints of ASP.NET, which the real host's router takes.

Source: "Route constraint reference" and "Route template reference" of ASP.NET Core.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from localcloud.errors import Misconfigured

_PARAMETER = re.compile(r"\{(?P<stars>\*{0,2})(?P<name>\w+)(?P<constraints>(?::[^{}:?]+)*)(?P<optional>\?)?\}")
_CONSTRAINT = re.compile(r":(?P<name>[A-Za-z]+)(?:\((?P<arguments>.*)\))?")
_GUID = re.compile(r"\{?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?|[0-9A-Fa-f]{32}")

Check = Callable[[str], Any]
"""False, or `ValueError`, for a text that a constraint does not take."""


def _whole(bits: int) -> Check:
    return lambda text: re.fullmatch(r"[+-]?\d+", text) and -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1)


def _read_by(read: Callable[[str], object]) -> Check:
    """Takes whatever `read` can read; its result may well be false."""

    def check(text: str) -> bool:
        read(text)
        return True

    return check


def _length(shortest: int, longest: int | None = None) -> Check:
    last = shortest if longest is None else longest
    return lambda text: shortest <= len(text) <= last


# By name; what takes arguments is made with them.
_SIMPLE: dict[str, Check] = {
    "alpha": lambda text: re.fullmatch("[A-Za-z]*", text),
    "bool": lambda text: text.lower() in ("true", "false"),
    "datetime": _read_by(datetime.fromisoformat),
    "decimal": _read_by(Decimal),
    "double": _read_by(float),
    "float": _read_by(float),
    "guid": _GUID.fullmatch,
    "int": _whole(32),
    "long": _whole(64),
    "required": lambda text: text.strip(),
}
_WITH_NUMBERS: dict[str, Callable[..., Check]] = {
    "length": _length,
    "max": lambda most: lambda text: int(text) <= most,
    "maxlength": lambda most: lambda text: len(text) <= most,
    "min": lambda least: lambda text: int(text) >= least,
    "minlength": lambda least: lambda text: len(text) >= least,
    "range": lambda least, most: lambda text: least <= int(text) <= most,
}


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed template."""

    template: str
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    checks: tuple[tuple[int, Check], ...]
    """Each with the position of the name that it is for."""
    precedence: tuple[int, ...]
    """Routes that compare as less are tried first."""

    @classmethod
    def parse(cls, template: str) -> "Route":
        """Raises `Misconfigured` for what this host does not know."""
        names: list[str] = []
        checks: list[tuple[int, Check]] = []
        segments = [segment for segment in template.strip("/").split("/") if segment]
        regex = "".join(_segment_regex(template, segment, names, checks) for segment in segments)
        precedence = tuple(_rank(segment) for segment in segments)
        return cls(template, re.compile(regex, re.IGNORECASE), tuple(names), tuple(checks), precedence)

    def match(self, path: str) -> dict[str, str] | None:
        """The values of a path without its prefix, optional ones only if they are there; None if it is another's."""
        path = path.strip("/")
        found = self.pattern.fullmatch(f"/{path}" if path else "")
        if found is None or not all(_holds(check, found[index + 1]) for index, check in self.checks):
            return None
        return {name: value for name, value in zip(self.names, found.groups(), strict=True) if value is not None}


def _segment_regex(template: str, segment: str, names: list[str], checks: list[tuple[int, Check]]) -> str:
    regex, end, optional = "", 0, False
    for parameter in _PARAMETER.finditer(segment):
        regex += _literal(template, segment[end : parameter.start()])
        checks += ((len(names), check) for check in _checks(parameter["constraints"]))
        names.append(parameter["name"])
        regex += "(.*)" if parameter["stars"] else "([^/]+)"
        optional = bool(parameter["optional"] or parameter["stars"])
        end = parameter.end()
    whole = "/" + regex + _literal(template, segment[end:])
    return f"(?:{whole})?" if optional else whole


def _literal(template: str, text: str) -> str:
    if "{" in text or "}" in text:
        raise Misconfigured(f"the local host does not know this form of route: {template}")
    return re.escape(text)


def _checks(constraints: str) -> list[Check]:
    return [_check(each["name"].lower(), each["arguments"]) for each in _CONSTRAINT.finditer(constraints)]


def _check(name: str, arguments: str | None) -> Check:
    if name == "regex" and arguments:
        # The real router does not anchor the expression either.
        return re.compile(arguments, re.IGNORECASE).search
    if name in _SIMPLE and arguments is None:
        return _SIMPLE[name]
    try:
        return _WITH_NUMBERS[name](*map(int, (arguments or "").split(",")))
    except (KeyError, TypeError, ValueError) as error:
        raise Misconfigured(f"the local host does not know the route constraint {name}") from error


def _holds(check: Check, text: str | None) -> bool:
    """An optional parameter that is absent is not checked."""
    if text is None:
        return True
    try:
        return bool(check(text))
    except (ValueError, ArithmeticError):
        return False


def _rank(segment: str) -> int:
    """ASP.NET prefers literal segments to constrained ones, those to free ones, and catch-alls come last."""
    parameter = _PARAMETER.search(segment)
    if parameter is None:
        return 0
    return 3 if parameter["stars"] else 1 if parameter["constraints"] else 2
