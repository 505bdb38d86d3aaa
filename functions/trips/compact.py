"""How messages are kept as table rows: as they were sent, deflated. A message of 30 samples takes 1 kB or less."""

import zlib
from collections.abc import Mapping
from typing import Any

from functions.trips.samples import Message
from functions.trips.telemetry import decode
from shared.errors import Rejected
from shared.identity.caller import Caller

MAX_BYTES = 60_000  # a table property takes 64 KiB


def check_size(body: bytes) -> None:
    """Raises `Rejected` for a message that cannot be kept. Cars send a few kilobytes."""
    if len(body) > MAX_BYTES and len(_deflated(body)) > MAX_BYTES:
        raise Rejected("too-large", f"a message of {len(body)} bytes cannot be kept: deflated it exceeds {MAX_BYTES}")


def _deflated(body: bytes) -> bytes:
    return zlib.compress(body, 1)


def row_key(vehicle_id: str, message: Message) -> str:
    """Vehicle ids and boots have no "|" in them."""
    return f"{vehicle_id}|{message.boot}|{message.seq:010d}"


def row_values(message: Message) -> dict[str, int | bytes]:
    """The properties of a message's row."""
    return {"last_ms": message.run.t[-1], "arrived_ms": message.arrived_ms, "body": _deflated(message.body)}


def from_row(key: str, values: Mapping[str, Any]) -> Message:
    """The message of a row: what was understood of it when it arrived is understood again."""
    vehicle_id = key.partition("|")[0]
    return decode(zlib.decompress(values["body"]), Caller(vehicle_id, ""), values["arrived_ms"])
