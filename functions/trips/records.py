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

    silence_ms: int
    flicker_ms: int
    park_ms: int
    standstill_ms: int
    tunnel_ms: int
    moved_m: float
    harshness: Harshness

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
    has_moved: bool = False
    first: Place | None = None  # of a drive: its first sample

    def total(self) -> Measures:
        """What was measured, what is pending included: that was part of it after all."""
        if self.pending is not None:
            self.measures.join(self.pending)
            self.pending = None
        return self.measures

    def go_on(self, moment_ms: int) -> None:
        """The vehicle moves at this moment, or moved until then."""
        self.total()
        self.has_moved = True
        self.end_ms = self.still_since_ms = moment_ms
        self.parked_ms = None


class Fold(msgspec.Struct, array_like=True):
    """The state between two samples. Small, because it is stored with every batch."""

    last: Place | None = None
    trip: Trip | None = None
    waits: bool = False  # a trip ended by standing still: the next one needs movement
    seen: Seen = msgspec.field(default_factory=Seen)
    rest: Rest | None = None
