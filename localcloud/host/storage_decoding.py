"""Payload and metadata of the storage triggers, shaped as the real extensions shape them.

Source: QueueTriggerBinding of the WebJobs extension.
"""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from localcloud.host.datums import iso_offset, json_datum, present, string_datum
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
