"""What a fold over samples knows between two of them: the record under way, and what was seen last."""

from typing import Literal, NamedTuple

import msgspec

from functions.trips.carriage import Rest
from functions.trips.driving import Harshness
from functions.trips.measures import Measures
from functions.trips.parameters import Parameters
from functions.trips.samples import Place
from functions.trips.silence import Seen

Kind = Literal["driven", "carried", "charging"]


class Rules(NamedTuple):
    """What the fold goes by, in milliseconds and metres; see `Parameters`."""

    silence_ms: int = 120_000
    flicker_ms: int = 30_000
    park_ms: int = 300_000
    standstill_ms: int = 4 * 3_600_000
    tunnel_ms: int = 30 * 60_000
    moved_m: float = 200.0
    harshness: Harshness = Harshness()

    @classmethod
    def of(cls, parameters: Parameters) -> "Rules":
        return cls(
            silence_ms=parameters.silence_s * 1000,
            flicker_ms=parameters.flicker_s * 1000,
            park_ms=parameters.park_s * 1000,
            standstill_ms=parameters.standstill_s * 1000,
            tunnel_ms=parameters.tunnel_s * 1000,
            moved_m=parameters.moved_m,
            harshness=parameters.harshness,
        )


class Trip(msgspec.Struct, array_like=True):
    """One record: a drive, being carried, or a charging session. Times are epoch milliseconds, both inclusive."""

    kind: Kind
    start_ms: int
    end_ms: int  # the last sample so far
    still_since_ms: int
    off_ms: int | None = None
    parked_ms: int | None = None
    measures: Measures = msgspec.field(default_factory=Measures)
    pending: Measures | None = None  # since it came to a stand: part of the trip if it goes on
    inferred: bool = False  # from what was seen before and after a silence
    moved_m: float = 0.0  # how far it was carried

    @property
    def whole(self) -> Measures:
        """With what is pending; only for a record that has ended."""
        if self.pending is not None:
            self.measures.join(self.pending)
            self.pending = None
        return self.measures


class Fold(msgspec.Struct, array_like=True):
    """The state between two samples. Small, because it is stored with every batch."""

    last: Place | None = None
    trip: Trip | None = None
    waits: bool = False  # a trip ended by standing still: the next one needs movement
    seen: Seen = msgspec.field(default_factory=Seen)
    rest: Rest | None = None
