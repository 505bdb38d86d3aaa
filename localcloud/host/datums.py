"""Typed values as the host hands them to the Python worker (GrpcMessageConversionExtensions of the real host)."""

import base64
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from azure.functions.meta import Datum

Metadata = dict[str, Datum]


def plain(value: Any) -> Any:
    """An AMQP value as the host's JSON shows it: text for symbols, base64 for binary, ISO 8601 for times."""
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, timedelta):
        return time_span(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()  # the Python SDKs give AMQP strings and symbols as bytes
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(plain(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def iso_naive(moment: datetime) -> str:
    """A .NET `DateTime` of unspecified kind, which is what the extensions give for enqueued times: UTC, unsaid."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".")


def iso_utc(moment: datetime) -> str:
    """A .NET `DateTime` of kind UTC."""
    return f"{iso_naive(moment)}Z"


def iso_offset(moment: datetime) -> str:
    """A .NET `DateTimeOffset`."""
    return f"{iso_naive(moment)}+00:00"


def time_span(span: timedelta) -> str:
    """A .NET TimeSpan, `hh:mm:ss`."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def json_datum(value: Any) -> Datum:
    """What is neither text, bytes nor an array of them reaches the worker as JSON, numbers and dates included."""
    return Datum(json.dumps(value, separators=(",", ":")), "json")


def string_datum(value: str) -> Datum:
    return Datum(value, "string")


def bytes_datum(value: bytes) -> Datum:
    return Datum(value, "bytes")


def bytes_collection(values: Sequence[bytes]) -> Datum:
    return Datum(SimpleNamespace(bytes=list(values)), "collection_bytes")


def string_collection(values: Iterable[str | None]) -> Datum:
    """The host drops empty entries of string arrays, so that later ones move up."""
    return Datum(SimpleNamespace(string=[value for value in values if value]), "collection_string")


def integer_collection(values: Iterable[int]) -> Datum:
    return Datum(SimpleNamespace(sint64=list(values)), "collection_sint64")


def present(values: Mapping[str, Datum | None]) -> Metadata:
    """Trigger metadata without the names that have no value, as the host omits nulls."""
    return {name: datum for name, datum in values.items() if datum is not None}


def optional_string(value: str | None) -> Datum | None:
    return None if value is None else string_datum(value)


def spoofed_by_body(metadata: Metadata, body: str) -> Metadata:
    """`metadata` as it reaches a function whose single payload is text.

    The real host copies top-level properties of a JSON body over the trigger metadata (ScriptBindingUtil), so a body
    can pretend to be from someone else. Shown here too, because it must not first be met in the cloud.
    """
    try:
        document = json.loads(body)
    except ValueError:
        return metadata
    if not isinstance(document, dict):
        return metadata
    names = {name.lower(): name for name in metadata}
    return metadata | present(
        {names.get(name.lower()) or str(name): _copied(value) for name, value in document.items()}
    )


def _copied(value: Any) -> Datum | None:
    if value is None or isinstance(value, list):
        return None
    return json_datum(value) if isinstance(value, dict) else string_datum(str(value))
