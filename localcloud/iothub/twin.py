"""A device's twin: tags, desired and reported properties, and the rules that Azure puts on them.

Source: "Understand and use device twins in IoT Hub" (format, limits, concurrency).
"""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from localcloud.errors import Rejected

NEVER: Final = "0001-01-01T00:00:00Z"
MAX_PROPERTIES_BYTES: Final = 32 * 1024
MAX_TAGS_BYTES: Final = 8 * 1024
_MAX_DEPTH: Final = 10
_MAX_NAME_BYTES: Final = 1024
_MAX_TEXT_BYTES: Final = 4096
_INTEGERS: Final = range(-4_503_599_627_370_496, 4_503_599_627_370_496)
_NUMBER_BYTES: Final = 8
_TRUTH_BYTES: Final = 4

_WITHOUT_CONTROLS: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])

Document = dict[str, Any]


def timestamp() -> str:
    """The present moment as the service writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Section:
    """The desired or the reported properties with what Azure keeps about them."""

    properties: Document = field(default_factory=dict)
    metadata: Document = field(default_factory=lambda: {"$lastUpdated": NEVER})
    version: int = 1

    def change(self, patch: Document, *, replace: bool = False) -> None:
        """Merges a patch, in which null deletes. Raises `Rejected` and changes nothing if a rule is broken."""
        stamp = {"$lastUpdated": timestamp(), "$lastUpdatedVersion": self.version + 1}
        merged = merge({} if replace else self.properties, patch)
        check_document(merged, MAX_PROPERTIES_BYTES)
        self.metadata = _merge_metadata({} if replace else self.metadata, patch, stamp)
        self.properties = merged
        self.version += 1

    def for_device(self) -> Document:
        return self.properties | {"$version": self.version}

    def for_service(self) -> Document:
        return self.properties | {"$metadata": self.metadata, "$version": self.version}

    def changed(self, patch: Document) -> Document:
        """What a patch that was just merged has changed, for those who listen to changes; null is what it deleted."""
        return without_read_only(patch) | {"$metadata": _metadata_of(patch, self.metadata), "$version": self.version}


@dataclass(slots=True)
class Twin:
    """Everything in a twin that is not the identity's."""

    tags: Document = field(default_factory=dict)
    desired: Section = field(default_factory=Section)
    reported: Section = field(default_factory=Section)
    version: int = 1
    service_changes: int = 1

    @property
    def etag(self) -> str:
        """Changes with what a service writes. What a device reports changes only `version`."""
        return base64.b64encode(self.service_changes.to_bytes(8, "big")).decode()

    def report(self, patch: Document) -> None:
        """Takes a device's patch of the reported properties. Raises `Rejected` for what Azure would not take."""
        check_patch(patch)
        self.reported.change(patch)
        self.version += 1

    def change_by_service(self, tags: Document | None, desired: Document | None, *, replace: bool) -> None:
        """A service's patch or replacement; None leaves a part alone. All of it or, with `Rejected`, nothing."""
        check_patch(tags or {})
        check_patch(desired or {})
        new_tags = self.tags if tags is None else merge({} if replace else self.tags, tags)
        check_document(new_tags, MAX_TAGS_BYTES)
        if desired is not None:
            self.desired.change(desired, replace=replace)
        self.tags = new_tags
        self.version += 1
        self.service_changes += 1


def without_read_only(document: Document) -> Document:
    """Without what Azure itself puts there: a client may send back what it read."""
    return {name: value for name, value in document.items() if not name.startswith("$")}


def merge(document: Document, patch: Document) -> Document:
    """A new document with the patch applied: null deletes, objects merge, everything else replaces."""
    merged = dict(document)
    for name, value in without_read_only(patch).items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            below = merged.get(name)
            merged[name] = merge(below if isinstance(below, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _merge_metadata(metadata: Document, patch: Document, stamp: Document) -> Document:
    merged = metadata | stamp
    for name, value in without_read_only(patch).items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = _merge_metadata(merged.get(name, {}), value, stamp)
        else:
            merged[name] = dict(stamp)
    return merged


def _metadata_of(patch: Document, metadata: Document) -> Document:
    found = {name: value for name, value in metadata.items() if name.startswith("$")}
    for name, value in without_read_only(patch).items():
        if name in metadata:
            found[name] = _metadata_of(value if isinstance(value, dict) else {}, metadata[name])
    return found


def check_patch(patch: Document, depth: int = 1) -> None:
    """Raises `Rejected` for a name, a value or a nesting that a twin cannot hold."""
    if depth > _MAX_DEPTH:
        raise Rejected("too-deep", f"a twin has at most {_MAX_DEPTH} levels")
    for name, value in patch.items():
        if depth == 1 and name.startswith("$"):
            continue  # `$version`, `$metadata`: ignored, not stored
        _check_name(name)
        _check_value(value, depth)


def _check_name(name: str) -> None:
    if not name or len(name.encode()) > _MAX_NAME_BYTES:
        raise Rejected("bad-name", f"a property's name has 1 to {_MAX_NAME_BYTES} bytes")
    if any(character in ".$ " or ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in name):
        raise Rejected("bad-name", "a property's name has no '.', '$', space or control character")


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, dict):
        check_patch(value, depth + 1)
    elif isinstance(value, list):
        if depth >= _MAX_DEPTH:
            raise Rejected("too-deep", f"a twin has at most {_MAX_DEPTH} levels")
        for item in value:
            _check_value(item, depth + 1)
    elif isinstance(value, str) and len(value.encode()) > _MAX_TEXT_BYTES:
        raise Rejected("too-long", f"a property's text has at most {_MAX_TEXT_BYTES} bytes")
    elif isinstance(value, int) and value not in _INTEGERS:
        raise Rejected("too-large", f"an integer in a twin is from {_INTEGERS.start} to {_INTEGERS.stop - 1}")


def check_document(document: Document, limit_bytes: int) -> None:
    """Raises `Rejected` when the whole would be larger than Azure keeps."""
    size = _size(document)
    if size > limit_bytes:
        raise Rejected("too-large", f"the document would have {size} bytes of {limit_bytes}")


def _size(value: Any) -> int:
    """By the service's own count: names and texts by their characters but the control characters, in UTF-8."""
    match value:
        case dict():
            return sum(_size(name) + _size(inner) for name, inner in value.items())
        case list():
            return sum(map(_size, value))
        case str():
            return len(value.translate(_WITHOUT_CONTROLS).encode())
        case bool():
            return _TRUTH_BYTES
        case None:
            return 0
        case _:
            return _NUMBER_BYTES


def parse_document(data: bytes) -> Document:
    """A JSON object. Raises `Rejected` for anything else; NaN, broken text and bottomless nesting are no JSON here."""
    try:
        document = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise Rejected("bad-json", f"this is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise Rejected("bad-json", "this is JSON but no object")
    return document
