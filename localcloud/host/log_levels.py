"""Which log records are shown: `logging.logLevel` of host.json ("How to configure monitoring for Azure Functions")."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.errors import Misconfigured

_LEVELS = {
    "trace": logging.NOTSET,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class LogLevels:
    """The least level of each category, by the beginning of its name; the longest beginning wins."""

    by_category: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "LogLevels":
        """Raises `Misconfigured` for a level that .NET does not have."""
        levels = {}
        for category, name in settings.items():
            if str(name).lower() not in _LEVELS:
                raise Misconfigured(
                    f"host.json: logging.logLevel.{category} must be one of {', '.join(_LEVELS)}, not {name!r}"
                )
            levels[category.lower()] = _LEVELS[str(name).lower()]
        return cls(levels)

    def least(self, category: str) -> int:
        """The least level that is shown of a category; Information where nothing is said."""
        lowered = category.lower()
        fitting = [name for name in self.by_category if name != _DEFAULT and lowered.startswith(name)]
        return self.by_category.get(max(fitting, key=len, default=_DEFAULT), logging.INFO)
