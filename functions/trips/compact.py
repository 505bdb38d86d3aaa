"""How messages are kept as table rows: as they were sent, deflated; those of a batch that follow each other in one row.

Every entity of a transaction costs the service more than all that the job does with its messages, so they share.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from functions.trips.samples import Message
from functions.trips.telemetry import decode
from shared.errors import Rejected
from shared.identity.caller import Caller

MAX_BYTES = 60_000  # a table property takes 64 KiB

_Kept = list[tuple[int, bytes]]  # arrival (epoch milliseconds) and body of each message of a row
_kept = msgspec.msgpack.Decoder(_Kept)


def check_size(body: bytes) -> None:
    """Raises `Rejected` for a message that cannot be kept. Cars send a few kilobytes."""
    if len(body) > MAX_BYTES and len(_deflated(body)) > MAX_BYTES:
        raise Rejected("too-large", f"a message of {len(body)} bytes cannot be kept: deflated it exceeds {MAX_BYTES}")


def _deflated(content: bytes) -> bytes:
    return zlib.compress(content, 1)


def to_rows(vehicle_id: str, messages: Sequence[Message]) -> Iterator[tuple[str, dict[str, int | bytes]]]:
    """Keys and properties of the rows for messages that were taken in together.

    The key says which messages the row has, so that it never takes the place of other ones: `{vehicle}|{boot}|{first}|
    {last}`. Vehicle ids and boots have no "|" in them.
    """
    for part in _parts(messages):
        first, last = part[0], part[-1]
        kept: _Kept = [(message.arrived_ms, message.body) for message in part]
        yield (
            f"{vehicle_id}|{first.boot}|{first.seq:010d}|{last.seq:010d}",
            {
                "last_ms": max(message.run.t[-1] for message in part),
                "arrived_ms": max(message.arrived_ms for message in part),
                "messages": len(part),
                "bodies": _deflated(msgspec.msgpack.encode(kept)),
            },
        )


def _parts(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Parts without a gap in their numbers, small enough for a row."""
    first, size = 0, 0
    for index, message in enumerate(messages):
        if index > first:
            before = messages[index - 1]
            follows = message.boot == before.boot and message.seq == before.seq + 1
            if not follows or size + len(message.body) > MAX_BYTES:
                yield messages[first:index]
                first, size = index, 0
        size += len(message.body)
    if messages:
        yield messages[first:]


def from_rows(vehicle_id: str, rows: Iterable[Mapping[str, Any]]) -> list[Message]:
    """The messages of the vehicle's rows, each once: what was understood of them is understood again."""
    sender, messages = Caller(vehicle_id, ""), dict[tuple[str, int], Message]()
    for values in rows:
        for arrived_ms, body in _kept.decode(zlib.decompress(values["bodies"])):
            message = decode(body, sender, arrived_ms)
            messages.setdefault((message.boot, message.seq), message)
    return list(messages.values())
