"""Messages (OASIS AMQP 1.0, part 3, section 3.2), kept as the bytes in which they came.

Only what the service itself writes is ever rebuilt: header, annotations and what a settlement changes. Body and
properties pass through unread, but for the few fields that a queue acts on.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from localcloud.broker.wire.amqp_types import Malformed, Symbol, UInt
from localcloud.broker.wire.decoder import content, decode, items, skip
from localcloud.broker.wire.encoder import NULL, described, encode, encode_list, encode_map
from localcloud.broker.wire.performatives import text

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = range(0x70, 0x75)
DATA, SEQUENCE, VALUE, FOOTER = range(0x75, 0x79)

BATCH_FORMAT = 0x80013700  # each data section of the transfer is a whole message
SCHEDULED_ENQUEUE_TIME = "x-opt-scheduled-enqueue-time"
PARTITION_KEY = "x-opt-partition-key"
SEQUENCE_NUMBER = "x-opt-sequence-number"
ENQUEUE_SEQUENCE_NUMBER = "x-opt-enqueue-sequence-number"
ENQUEUED_TIME = "x-opt-enqueued-time"
LOCKED_UNTIL = "x-opt-locked-until"
MESSAGE_STATE = "x-opt-message-state"
DEAD_LETTER_SOURCE = "x-opt-deadletter-source"
# What the service writes: a message that was received and is sent again must not carry the old ones.
SERVICE_ANNOTATIONS = (
    SEQUENCE_NUMBER,
    ENQUEUE_SEQUENCE_NUMBER,
    ENQUEUED_TIME,
    LOCKED_UNTIL,
    MESSAGE_STATE,
    DEAD_LETTER_SOURCE,
)

_GROUP_ID = 10  # index of the session id among the properties


class RawMap(NamedTuple):
    """The encoded keys and values of a map: others can be added without decoding these."""

    items: bytes = b""
    length: int = 0  # of keys and values together

    def plus(self, items: bytes, pairs: int) -> "RawMap":
        return RawMap(self.items + items, self.length + 2 * pairs)

    def pairs(self) -> Iterator[tuple[Any, bytes]]:
        """Each decoded key with the bytes of key and value."""
        position = 0
        while position < len(self.items):
            key, value_start = decode(self.items, position)
            end = skip(self.items, value_start)
            yield key, self.items[position:end]
            position = end

    def get(self, key: str) -> Any:
        # Most maps do not have it, and looking for its bytes is far cheaper than decoding.
        if key.encode() not in self.items:
            return None
        for found, pair in self.pairs():
            if found == key:
                return decode(pair, skip(pair))[0]
        return None

    def without(self, *keys: str) -> "RawMap":
        """The map less some keys."""
        if not self.items or not any(key.encode() in self.items for key in keys):
            return self
        kept = [pair for key, pair in self.pairs() if key not in keys]
        return RawMap(b"".join(kept), 2 * len(kept))

    def section(self, code: int) -> bytes:
        return described(code, encode_map(self.items, self.length)) if self.length else b""


def annotation(key: str, value: object) -> bytes:
    """An entry for a map of annotations."""
    return _annotation_key(key) + encode(value)


@cache
def _annotation_key(key: str) -> bytes:
    return encode(Symbol(key))


class Section(NamedTuple):
    code: int
    start: int
    value: int
    end: int
    content: Any  # decoded; None for data, which nobody here looks into


def sections(payload: bytes) -> list[Section]:
    """The sections of a message and where they lie. Raises Malformed.

    Everything is looked at here, at the door, also what is only passed on: what is no message must neither fail later,
    where nobody can be told, nor reach a consumer, which would fail for its producer's fault.
    """
    found: list[Section] = []
    position = previous = 0
    while position < len(payload):
        if payload[position] != 0:
            raise Malformed("a message is made of described sections")
        code, value = decode(payload, position + 1)
        if not isinstance(code, int):
            code = _SECTION_NAMES.get(str(code), 0)
        if not HEADER <= code <= FOOTER:
            raise Malformed(f"unknown message section {code}")
        if code < previous or (code == previous and code not in _REPEATED):
            raise Malformed(f"message section {code} is out of order")
        if code == DATA:
            if payload[value : value + 1] not in _BINARY:
                raise Malformed("a data section holds binary")
            content, end = None, skip(payload, value)
        else:
            content, end = decode(payload, value)
            if not isinstance(content, _CONTENTS[code]):
                raise Malformed(f"message section {code} holds {type(content).__name__}")
        found.append(Section(code, position, value, end, content))
        position, previous = end, code
    return found


_REPEATED = (DATA, SEQUENCE)
_BINARY = (b"\xa0", b"\xb0")
_CONTENTS: dict[int, type] = {
    HEADER: list,
    DELIVERY_ANNOTATIONS: dict,
    MESSAGE_ANNOTATIONS: dict,
    PROPERTIES: list,
    APPLICATION_PROPERTIES: dict,
    SEQUENCE: list,
    VALUE: object,
    FOOTER: dict,
}

_SECTION_NAMES = {
    f"amqp:{name}": code
    for name, code in (
        ("header:list", HEADER),
        ("delivery-annotations:map", DELIVERY_ANNOTATIONS),
        ("message-annotations:map", MESSAGE_ANNOTATIONS),
        ("properties:list", PROPERTIES),
        ("application-properties:map", APPLICATION_PROPERTIES),
        ("data:binary", DATA),
        ("amqp-sequence:list", SEQUENCE),
        ("amqp-value:*", VALUE),
        ("footer:map", FOOTER),
    )
}


def raw_map(payload: bytes, position: int) -> RawMap:
    """The map at `position`. Raises Malformed."""
    count, start, end = content(payload, position)
    if count % 2:
        raise Malformed("a map with a key that has no value")
    return RawMap(payload[start:end], count)


def batched(payload: bytes) -> list[bytes]:
    """The messages in a transfer of the batch format. Raises Malformed."""
    return [decode(payload, section.value)[0] for section in sections(payload) if section.code == DATA]


@dataclass(frozen=True, slots=True)
class Message:
    """What a producer sent; entities share it and add their own numbers when they deliver it."""

    header: bytes  # durable, priority and time to live, encoded
    annotations: RawMap
    properties: bytes  # the whole section
    application_properties: bytes  # the whole section or nothing
    body: bytes  # all sections from the first of the body on
    message_id: Any
    session_id: str | None
    time_to_live_ms: int | None
    scheduled_ms: int | None  # since 1970
    hops: int = 0  # from entity to entity, by forwarding

    @property
    def size_bytes(self) -> int:
        return len(self.annotations.items) + len(self.properties) + len(self.application_properties) + len(self.body)

    def dead_lettered(self, reasons: Mapping[str, Any]) -> "Message":
        """The same message as it enters a dead-letter queue: it neither expires nor waits any more."""
        return replace(
            self.modified(reasons),
            annotations=self.annotations.without(DEAD_LETTER_SOURCE),
            time_to_live_ms=None,
            scheduled_ms=None,
        )

    def modified(self, changes: Mapping[str, Any]) -> "Message":
        """The same message with some application properties added or replaced."""
        properties = RawMap()
        if self.application_properties:
            properties = raw_map(self.application_properties, skip(self.application_properties, 1))
        for key, value in changes.items():
            properties = properties.without(key).plus(encode(key) + encode(value), 1)
        return replace(self, application_properties=properties.section(APPLICATION_PROPERTIES))

    def annotated(self, key: str, value: object) -> "Message":
        """The same message with one more annotation of the service."""
        return replace(self, annotations=self.annotations.without(key).plus(annotation(key, value), 1))

    def kept(self) -> bytes:
        """The message for `parse_kept`."""
        return self.encoded(RawMap(), 0)

    def encoded(self, added: RawMap, delivery_count: int, delivery_annotations: bytes = b"") -> bytes:
        """The message with the service's annotations and count of earlier deliveries."""
        fields = self.header + NULL + encode(UInt(delivery_count))
        annotations = self.annotations.plus(added.items, added.length // 2)
        return b"".join(
            (
                described(HEADER, bytes((0xC0, len(fields) + 1, 5)) + fields),
                delivery_annotations,
                annotations.section(MESSAGE_ANNOTATIONS),
                self.properties,
                self.application_properties,
                self.body,
            )
        )


def parse_message(payload: bytes) -> Message:
    """A message that was sent to a queue or topic. Raises Malformed."""
    message = _parse(payload)
    annotations = message.annotations.without(*SERVICE_ANNOTATIONS)
    return message if annotations is message.annotations else replace(message, annotations=annotations)


def parse_kept(payload: bytes, hops: int) -> Message:
    """A message as an entity had it, with what the service has written on it."""
    return replace(_parse(payload), hops=hops)


def _parse(payload: bytes) -> Message:
    header, time_to_live_ms = NULL * 3, None
    annotations = RawMap()
    properties = application_properties = body = b""
    message_id = session_id = None
    for section in sections(payload):
        if section.code == HEADER:
            header, time_to_live_ms = _header(payload, section)
        elif section.code == MESSAGE_ANNOTATIONS:
            annotations = raw_map(payload, section.value)
        elif section.code == PROPERTIES:
            properties, message_id, session_id = _properties(payload, section)
        elif section.code == APPLICATION_PROPERTIES:
            application_properties = payload[section.start : section.end]
        elif section.code != DELIVERY_ANNOTATIONS:
            body = payload[section.start :]
            break
    scheduled = annotations.get(SCHEDULED_ENQUEUE_TIME)
    return Message(
        header=header,
        annotations=annotations,
        properties=properties or _with_message_id([NULL]),
        application_properties=application_properties,
        body=body,
        message_id=message_id,
        session_id=session_id,
        time_to_live_ms=time_to_live_ms,
        scheduled_ms=scheduled if isinstance(scheduled, int) else None,
    )


def _header(payload: bytes, section: Section) -> tuple[bytes, int | None]:
    fields = (items(payload, section.value) + [NULL] * 3)[:3]
    time_to_live_ms = decode(fields[2])[0]
    if time_to_live_ms is not None and not (isinstance(time_to_live_ms, int) and 0 <= time_to_live_ms < 1 << 32):
        raise Malformed("the time to live is a number of 32 bits")
    encoded = b"".join(fields)
    if len(encoded) > 64:
        raise Malformed("a header of unknown fields")
    return encoded, time_to_live_ms


def _properties(payload: bytes, section: Section) -> tuple[bytes, Any, str | None]:
    fields = section.content
    session_id = text(fields[_GROUP_ID]) if len(fields) > _GROUP_ID else None
    if fields and fields[0] is not None:
        if not isinstance(fields[0], str | int | bytes | uuid.UUID):
            raise Malformed("a message id is text, a number, binary or a UUID")
        return payload[section.start : section.end], fields[0], session_id
    return _with_message_id(items(payload, section.value)), None, session_id


def _with_message_id(fields: list[bytes]) -> bytes:
    """Properties with a new message id: the service gives one to a message that has none, and an SDK relies on it."""
    return described(PROPERTIES, encode_list((encode(uuid.uuid4().hex), *fields[1:])))
