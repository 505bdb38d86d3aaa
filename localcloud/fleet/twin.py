"""The desired half of a vehicle's twin, as the vehicle knows it."""

from collections.abc import Mapping
from typing import Any

VERSION = "$version"


class DesiredProperties:
    """Follows the cloud's wishes through patches, and notices when one was missed."""

    def __init__(self) -> None:
        self.version: int | None = None  # None until the whole is known
        self._properties: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The property, or None if there is none."""
        return self._properties.get(name)

    def replace(self, desired: Mapping[str, Any]) -> None:
        """Takes the whole, unless something newer is known already."""
        version = desired[VERSION]
        if self.version is None or version >= self.version:
            self._properties = _merge({}, desired)
            self.version = version

    def apply(self, patch: Mapping[str, Any]) -> bool:
        """False if patches are missing before this one: then the whole must be fetched. An old patch is ignored."""
        version = patch[VERSION]
        if self.version is None or version > self.version + 1:
            return False
        if version == self.version + 1:
            self._properties = _merge(self._properties, patch)
            self.version = version
        return True


def _merge(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7396) without the hub's own `$` fields: null removes."""
    merged = dict(target)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            before = merged.get(name)
            merged[name] = _merge(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged
