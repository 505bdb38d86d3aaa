"""Payload and metadata of the storage triggers, shaped as the real extensions shape them.

Sources: QueueTriggerBinding and BlobTriggerBinding of the WebJobs extensions.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localcloud.host.datums import iso_offset, json_datum, plain, present, string_datum
from localcloud.host.decoding import TriggerInput, single_payload

# .NET reads base64 with blanks in between.
_BLANK = re.compile(r"\s+")
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One received message of a Storage Queue, its body decoded."""

    body: bytes
    message_id: str
    dequeue_count: int
    inserted_at: datetime
    next_visible_at: datetime
    pop_receipt: str
    expires_at: datetime = _FOR_EVER


def message_body(text: str, *, is_base64: bool) -> bytes:
    """What a message's text stands for. Raises `ValueError` if it is not the base64 that it should be."""
    return base64.b64decode(_BLANK.sub("", text), validate=True) if is_base64 else text.encode()


def stored_message(message: StoredMessage, *, binary: bool) -> TriggerInput:
    """A Storage Queue trigger's input. Raises `UnicodeDecodeError` for a body that should be text and is not UTF-8."""
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        if not binary:
            raise
        text = None
    metadata = {
        "QueueTrigger": None if text is None else string_datum(text),
        "DequeueCount": json_datum(message.dequeue_count),
        "ExpirationTime": json_datum(iso_offset(message.expires_at)),
        "Id": string_datum(message.message_id),
        "InsertionTime": json_datum(iso_offset(message.inserted_at)),
        "NextVisibleTime": json_datum(iso_offset(message.next_visible_at)),
        "PopReceipt": string_datum(message.pop_receipt),
    }
    return single_payload(message.body, present(metadata), None, binary=binary)


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """One blob: `properties` are .NET's BlobProperties, `values` what the trigger's path takes from its name."""

    content: bytes
    container: str
    name: str
    url: str
    properties: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


def stored_blob(blob: StoredBlob, *, binary: bool) -> TriggerInput:
    """A blob trigger's input. Raises `UnicodeDecodeError` for content that should be text and is not UTF-8."""
    if not binary:
        blob.content.decode()
    built_in = {
        "BlobTrigger": string_datum(f"{blob.container}/{blob.name}"),
        "Uri": json_datum(blob.url),
        "Properties": json_datum(plain(blob.properties)),
        "Metadata": json_datum(dict(blob.metadata)),
    }
    # A name in the path's braces beats a built-in one, whatever its case.
    taken = {name.lower() for name in blob.values}
    metadata = {name: datum for name, datum in built_in.items() if name.lower() not in taken}
    metadata |= {name: string_datum(value) for name, value in blob.values.items()}
    return single_payload(blob.content, metadata, None, binary=binary)
