"""How messages are kept as table rows: samples by column, times as steps, packed and deflated.

Only what trips are made of is kept. A message of 30 samples takes a few hundred bytes; the largest, 600 samples of
noise, stays below the 64 KiB of a table property.
"""

import zlib
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from functions.trips.telemetry import Sample, Telemetry

_COLUMNS = ("lat", "lon", "speed_kmh", "odo_km", "soc_pct", "fuel_l_h", "ignition")


def row_key(vehicle_id: str, message: Telemetry) -> str:
    """Vehicle ids and boots have no "|" in them."""
    return f"{vehicle_id}|{message.boot}|{message.seq:010d}"


def row_values(message: Telemetry) -> dict[str, int | bytes]:
    """The properties of the row of a message that has samples."""
    times = [sample.t for sample in message.samples]
    steps = [times[0], *(b - a for a, b in pairwise(times))]
    columns = [_column([getattr(sample, name) for sample in message.samples]) for name in _COLUMNS]
    packed = zlib.compress(msgspec.msgpack.encode((steps, columns, message.dropped)))
    return {"last_ms": message.last_ms, "arrived_ms": message.arrived_ms, "samples": packed}


def _column(values: Sequence[Any]) -> Sequence[Any] | None:
    return None if all(value is None for value in values) else values


def from_row(key: str, values: Mapping[str, Any]) -> Telemetry:
    """The message of a row; the values are exactly those that were kept."""
    _, boot, seq = key.split("|")
    steps, columns, dropped = msgspec.msgpack.decode(zlib.decompress(values["samples"]))
    absent = [None] * len(steps)
    rows = zip(accumulate(steps), *(column or absent for column in columns), strict=True)
    return Telemetry(boot, int(seq), values["arrived_ms"], tuple(Sample(*row) for row in rows), dropped)
