"""How a message's samples are kept in a table row: by column, times as steps, packed and deflated.

Only what trips are made of is kept. A message of 30 samples takes well under 1 kB; the largest, 600 samples of noise,
stays below the 64 KiB of a table property.
"""

import zlib
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from functions.trips.telemetry import Sample

_COLUMNS = ("lat", "lon", "speed_kmh", "odo_km", "soc_pct", "fuel_l_h", "ignition")


def pack(samples: tuple[Sample, ...], dropped: dict[str, int]) -> bytes:
    """The samples, at least one, and the counts of dropped ones. Values come back exactly."""
    times = [samples[0].t, *(b.t - a.t for a, b in pairwise(samples))]
    columns = [_column([getattr(sample, name) for sample in samples]) for name in _COLUMNS]
    return zlib.compress(msgspec.msgpack.encode((times, columns, dropped)))


def _column(values: list[Any]) -> list[Any] | None:
    return None if all(value is None for value in values) else values


def unpack(packed: bytes) -> tuple[tuple[Sample, ...], dict[str, int]]:
    """What was packed."""
    steps, columns, dropped = msgspec.msgpack.decode(zlib.decompress(packed))
    absent = [None] * len(steps)
    rows = zip(accumulate(steps), *(column or absent for column in columns), strict=True)
    return tuple(Sample(*row) for row in rows), dropped
