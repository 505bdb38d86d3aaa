"""Samples, and the messages that carry them in columns (docs/vehicle-protocol.md, telemetry)."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, Final

import msgspec

SAMPLES_PER_MESSAGE: Final = 30  # at 1 Hz, two messages a minute


class Sample(msgspec.Struct, frozen=True):
    """What was measured at one moment, under the names and in the units of the wire. What was not is None."""

    t: int  # epoch milliseconds
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    speed_kmh: float | None = None
    odo_km: float | None = None
    soc_pct: float | None = None
    power_kw: float | None = None  # out of the traction battery; negative into it
    fuel_l_h: float | None = None
    fuel_pct: float | None = None
    temp_c: float | None = None  # outside
    lateral_ms2: float | None = None  # positive to the left
    gear: str | None = None
    ignition: bool | None = None
    charging: bool | None = None


_SIGNALS: Final = Sample.__struct_fields__[1:]


class TelemetryMessage(msgspec.Struct, frozen=True):
    boot: str
    seq: int
    samples: tuple[Sample, ...]

    def encode(self) -> bytes:
        """The body, without the columns of which nothing was measured."""
        columns = {name: _column(getattr(sample, name) for sample in self.samples) for name in _SIGNALS}
        measured = {name: column for name, column in columns.items() if column != [None]}
        return msgspec.json.encode({"v": 1, "boot": self.boot, "seq": self.seq, "t": _steps(self.samples), **measured})


def pack(samples: Iterable[Sample], boot: str, per_message: int = SAMPLES_PER_MESSAGE) -> Iterator[TelemetryMessage]:
    """The messages of one power cycle, numbered from 0."""
    remaining = iter(samples)
    sequence = 0
    while part := tuple(islice(remaining, per_message)):
        yield TelemetryMessage(boot, sequence, part)
        sequence += 1


def _steps(samples: Sequence[Sample]) -> list[int]:
    """The first time, then the way from each to the next."""
    return [samples[0].t, *(after.t - before.t for before, after in pairwise(samples))]


def _column(values: Iterable[Any]) -> list[Any]:
    """One value if it holds for all samples."""
    column = list(values)
    return column[:1] if all(value == column[0] for value in column) else column
