"""Paths of blob triggers: a container, and a pattern for names in it that gives values to the names in braces."""

import re

from localcloud.errors import Misconfigured

_PARAMETER = re.compile(r"\{([^{}]*)\}")
# Doubled braces stand for themselves; no blob's name has these characters.
_OPEN, _CLOSE = "\0", "\1"


class BlobPath:
    """`container/{name}.csv` and the like (BlobPathSource); a container alone stands for all blobs in it."""

    def __init__(self, path: str) -> None:
        """Raises `Misconfigured` for a path that the real extension refuses."""
        self.container, slash, pattern = path.partition("/")
        if not self.container or (slash and not pattern) or "\\" in self.container or "{" in self.container:
            raise Misconfigured(f"{path!r} is no path of the form container/blob, or has braces in its container")
        self._pattern = _compiled(path, pattern) if pattern else None

    def match(self, blob: str) -> dict[str, str] | None:
        """The values of the names in braces; None for a blob that the path does not mean."""
        if self._pattern is None:
            return {}
        found = self._pattern.fullmatch(blob)
        return found.groupdict() if found else None


def _compiled(path: str, pattern: str) -> re.Pattern[str]:
    # Literals and names take turns; a name takes as much as it can, slashes too.
    parts = _PARAMETER.split(pattern.replace("{{", _OPEN).replace("}}", _CLOSE))
    names = parts[1::2]
    if any("{" in literal or "}" in literal for literal in parts[::2]):
        raise Misconfigured(f"the braces in {path!r} do not match")
    for name in names:
        if not name.isidentifier() or names.count(name) > 1:
            raise Misconfigured(f"{name!r} in {path!r} must be an identifier that occurs once")
    regex = "".join(re.escape(part) if index % 2 == 0 else f"(?P<{part}>.*)" for index, part in enumerate(parts))
    return re.compile(regex.replace(re.escape(_OPEN), r"\{").replace(re.escape(_CLOSE), r"\}"), re.DOTALL)
