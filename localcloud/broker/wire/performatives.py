"""AMQP 1.0 performatives (OASIS AMQP 1.0, part 2, section 2.7): what frames say.

Outgoing ones are always full length: the SDKs read fields by their index and hang on a short list.
"""

from functools import cache
from types import UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

from localcloud.broker.errors import AmqpError
from localcloud.broker.wire.amqp_types import Described, Encoded, Malformed, Symbol, UInt, ULong
from localcloud.broker.wire.decoder import decode, items
from localcloud.broker.wire.encoder import NULL, described, encode, encode_list

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
ERROR = 0x1D
RECEIVED, ACCEPTED, REJECTED, RELEASED, MODIFIED = range(0x23, 0x28)
SOURCE, TARGET = 0x28, 0x29
COORDINATOR = (0x30, "amqp:coordinator:list")  # in place of a target: of transactions
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44

SENDER_SETTLES = 1  # snd-settle-mode: a delivery is settled as it is sent
RECEIVER_SETTLES_SECOND = 1  # rcv-settle-mode: the receiver waits for the sender to settle

_DELIVERY_STATES = {
    f"amqp:{name}:list": code
    for name, code in (
        ("received", RECEIVED),
        ("accepted", ACCEPTED),
        ("rejected", REJECTED),
        ("released", RELEASED),
        ("modified", MODIFIED),
        ("error", ERROR),
    )
}


class Open(NamedTuple):
    container_id: str | None = None
    hostname: str | None = None
    max_frame_size: int | None = None
    channel_max: int | None = None
    idle_timeout_ms: int | None = None


class Begin(NamedTuple):
    remote_channel: int | None = None
    next_outgoing_id: int | None = None
    incoming_window: int | None = None


class Attach(NamedTuple):
    name: str
    handle: int
    role_is_receiver: bool
    send_settle_mode: int | None = None
    receive_settle_mode: int | None = None
    source: Described | None = None
    target: Described | None = None
    unsettled: dict[Any, Any] | None = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: list[Any] | str | None = None
    desired_capabilities: list[Any] | str | None = None
    properties: dict[Any, Any] | None = None


class Flow(NamedTuple):
    next_incoming_id: int | None = None
    incoming_window: int | None = None
    next_outgoing_id: int | None = None
    outgoing_window: int | None = None
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool | None = None
    echo: bool | None = None


class Transfer(NamedTuple):
    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool | None = None
    receive_settle_mode: int | None = None
    state: Described | None = None
    resume: bool | None = None
    aborted: bool | None = None


class Disposition(NamedTuple):
    role_is_receiver: bool
    first: int
    last: int | None = None
    settled: bool | None = None
    state: Described | None = None


class Detach(NamedTuple):
    handle: int


P = TypeVar("P", Open, Begin, Attach, Flow, Transfer, Disposition, Detach)


def _run_time_types(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, UnionType):
        return tuple(kind for part in get_args(hint) for kind in _run_time_types(part))
    return (get_origin(hint) or hint,)


# What the annotations say, for the check of what a peer has sent.
_FIELD_TYPES = {
    kind: tuple(map(_run_time_types, get_type_hints(kind).values()))
    for kind in (Open, Begin, Attach, Flow, Transfer, Disposition, Detach)
}


def parse_descriptor(body: bytes) -> tuple[int, int]:
    """The code of the performative in a frame's body and the position of its list. Raises Malformed."""
    if body[:2] == b"\x00\x53" and len(body) > 2:
        return body[2], 3
    if body[:1] != b"\x00":
        raise Malformed("a frame without a performative")
    code, position = decode(body, 1)
    if not isinstance(code, int):
        raise Malformed(f"unknown performative {code!r}")
    return code, position


def parse_performative(kind: type[P], body: bytes, position: int) -> tuple[P, int]:
    """The performative whose list is at `position`, and where it ends. Raises Malformed."""
    values, end = decode(body, position)
    field_types = _FIELD_TYPES[kind]
    if not isinstance(values, list):
        raise Malformed(f"{kind.__name__} is no list")
    missing = len(field_types) - len(values)
    values = values + [None] * missing if missing > 0 else values[: len(field_types)]
    for value, allowed in zip(values, field_types, strict=True):
        if not isinstance(value, allowed):
            raise Malformed(f"{kind.__name__} with a field of the wrong type: {type(value).__name__}")
    return kind(*values), end


def performative(code: int, *fields: Any) -> bytes:
    """The bytes of a performative; trailing nulls stay."""
    return described(code, encode_list(encode(field) for field in fields))


def error_value(error: AmqpError) -> Described:
    """The error of close, end, detach and rejected. Its info is a map, for the SDKs index it."""
    return Described(ULong(ERROR), [Symbol(error.condition), error.description, {}])


@cache
def outcome(code: int) -> Encoded:
    """A terminal delivery state without fields."""
    return Encoded(encode(Described(ULong(code), [])))


def rejection(error: AmqpError) -> Encoded:
    """The delivery state rejected, and why."""
    return Encoded(encode(Described(ULong(REJECTED), [error_value(error)])))


def settled(delivery_id: int, state: Encoded, *, role_is_receiver: bool) -> bytes:
    """The disposition that ends a delivery. Almost every message has one."""
    number = encode(UInt(delivery_id))
    return described(DISPOSITION, encode_list((encode(role_is_receiver), number, number, encode(True), state, NULL)))


def delivery_state_code(state: Described) -> int:
    """The code of a delivery state or error, however its descriptor is spelled; 0 for an unknown one."""
    if isinstance(state.descriptor, int):
        return state.descriptor
    return _DELIVERY_STATES.get(str(state.descriptor), 0)


def terminus_fields(terminus: Described | None, length: int) -> list[Any]:
    """The fields of a source or target, with nulls up to `length`. Raises Malformed."""
    fields = terminus.value if terminus is not None else []
    if not isinstance(fields, list):
        raise Malformed("a terminus is a list")
    return fields + [None] * (length - len(fields))


def encoded_fields(body: bytes, position: int, length: int) -> list[bytes]:
    """The encoded fields of a performative, with nulls up to `length`: to send some back as they came."""
    found = items(body, position)
    return found + [b"\x40"] * (length - len(found))


def text(value: Any) -> str | None:
    """A string, symbol or UTF-8 binary as text: SDKs send addresses and filters as any of these. Raises Malformed."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise Malformed("text that is not UTF-8") from error
    if value is None:
        return None
    if isinstance(value, str | UUID | int):
        return str(value)
    raise Malformed(f"text was expected, not {type(value).__name__}")
