"""How messages are kept: as they were sent, deflated. The latest ones beside the vehicle's state, others in rows.

Every entity of a transaction costs the service more than all that the job does with a message, so a message has none of
its own: it is written with the state, again with the next ones, and moves into a row with those that it followed.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from functions.trips.samples import Message
from functions.trips.telemetry import MAX_AGE_MS, NoUsableSample, decode
from shared.errors import Rejected
from shared.identity.caller import Caller

MAX_BYTES = 60_000  # a table property takes 64 KiB
RECENT_BYTES = 4_000  # that may stay beside a state: five messages of thirty samples
RECENT_MESSAGES = 8  # of which each may need a row of its own, in one transaction with all that a batch brings


class Kept(NamedTuple):
    """A message as it is kept, and what has to be known of it without looking into it."""

    boot: str
    seq: int
    last_ms: int  # its last sample
    arrived_ms: int
    body: bytes  # deflated


_decoder = msgspec.msgpack.Decoder(list[Kept])


def check_size(body: bytes) -> None:
    """Raises `Rejected` for a message that cannot be kept. Cars send a few kilobytes."""
    if len(body) > MAX_BYTES and len(_deflated(body)) > MAX_BYTES:
        raise Rejected("too-large", f"a message of {len(body)} bytes cannot be kept: deflated it exceeds {MAX_BYTES}")


def _deflated(content: bytes) -> bytes:
    return zlib.compress(content, 1)


def keep(message: Message) -> Kept:
    return Kept(message.boot, message.seq, message.run.t[-1], message.arrived_ms, _deflated(message.body))


def encode(kept: Sequence[Kept]) -> bytes:
    """As they are stored."""
    return msgspec.msgpack.encode(kept)


def decoded(stored: bytes) -> list[Kept]:
    """What was stored."""
    return _decoder.decode(stored)


def each_once(kept: Iterable[Kept], since_ms: int = 0) -> list[Kept]:
    """Those with a sample since then, each once, in the order in which they were sent."""
    return sorted({(one.boot, one.seq): one for one in kept if one.last_ms >= since_ms}.values())


def are_few(kept: Sequence[Kept]) -> bool:
    """Whether they may stay beside a state."""
    return len(kept) <= RECENT_MESSAGES and sum(len(one.body) for one in kept) <= RECENT_BYTES


def messages(vehicle_id: str, kept: Iterable[Kept], max_age_ms: int = MAX_AGE_MS) -> list[Message]:
    """The vehicle's messages: what was understood of them is understood again.

    By their arrival, so it does not matter when they are read. What an older version believed may be left out.
    """
    sender, understood = Caller(vehicle_id, ""), list[Message]()
    for one in kept:
        with suppress(NoUsableSample):
            understood.append(decode(zlib.decompress(one.body), sender, one.arrived_ms, max_age_ms))
    return understood


def to_rows(vehicle_id: str, kept: Sequence[Kept]) -> Iterator[tuple[str, dict[str, int | bytes]]]:
    """Keys and properties of the rows for these messages, of which there is each once, in order.

    The key says which messages the row has, so that it never takes the place of others: `{vehicle}|{boot}|{first}|
    {last}` by their sequence numbers. Vehicle ids and boots have no "|" in them.
    """
    for part in _parts(kept):
        first, last = part[0], part[-1]
        yield (
            f"{vehicle_id}|{first.boot}|{first.seq:010d}|{last.seq:010d}",
            {
                "last_ms": max(one.last_ms for one in part),
                "arrived_ms": max(one.arrived_ms for one in part),
                "messages": len(part),
                "kept": encode(part),
            },
        )


def _parts(kept: Sequence[Kept]) -> Iterator[Sequence[Kept]]:
    """Parts without a gap in their numbers, small enough for a row."""
    first, size = 0, 0
    for index, one in enumerate(kept):
        if index > first:
            before = kept[index - 1]
            follows = one.boot == before.boot and one.seq == before.seq + 1
            if not follows or size + len(one.body) > MAX_BYTES:
                yield kept[first:index]
                first, size = index, 0
        size += len(one.body)
    if kept:
        yield kept[first:]
