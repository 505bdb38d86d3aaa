"""Samples and the messages that carry them (docs/vehicle-protocol.md, telemetry)."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

SAMPLES_PER_MESSAGE: Final = 30  # at 1 Hz, two messages a minute


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured at one moment, under the names and in the units of the wire. What was not is None."""

    t: int  # epoch milliseconds
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    speed_kmh: float | None = None
    odo_km: float | None = None
    soc_pct: float | None = None
    fuel_l_h: float | None = None
    gear: str | None = None
    ignition: bool | None = None


class TelemetryMessage(msgspec.Struct, frozen=True):
    boot: str
    seq: int
    samples: tuple[Sample, ...]
    v: int = 1

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def pack(samples: Iterable[Sample], boot: str, per_message: int = SAMPLES_PER_MESSAGE) -> Iterator[TelemetryMessage]:
    """The messages of one power cycle, numbered from 0."""
    remaining = iter(samples)
    sequence = 0
    while part := tuple(islice(remaining, per_message)):
        yield TelemetryMessage(boot, sequence, part)
        sequence += 1
