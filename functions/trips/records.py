"""What a fold over samples knows between two of them: the record under way, and what was seen last."""

from typing import Literal, NamedTuple, Self

import msgspec

from functions.trips.carriage import Rest
from functions.trips.driving import Harshness
from functions.trips.measures import Measures
from functions.trips.parameters import Parameters
from functions.trips.samples import Place
from functions.trips.silence import LONGEST_CHARGE_MS, LOOK_AHEAD_MS, Seen, Silence

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
    still_since_ms: int  # of a charging session: since when it was not reported
    off_ms: int | None = None
    parked_ms: int | None = None
    measures: Measures = msgspec.field(default_factory=Measures)
    pending: Measures | None = None  # since it came to a stand: part of the trip if it goes on
    inferred: bool = False  # from what was seen before and after a silence
    moved_m: float = 0.0  # how far it was carried
    has_moved: bool = False
    first: Place | None = None  # of a drive: its first sample
    unsure_ms: int = LOOK_AHEAD_MS  # of a drive: for so long from its start on what was before it may still matter
    since_ms: int | None = None  # of what is inferred: from when on it can be found again
    reports: bool = False  # of a charging session: it was reported since the latest silence

    @classmethod
    def in_silence(cls, kind: Kind, silence: Silence) -> Self:
        """What is inferred from what was seen before and after a silence."""
        before, after = silence
        trip = cls(kind, silence.start_ms, silence.end_ms, silence.end_ms, inferred=True)
        trip.rests_on(before)
        trip.moved_m = silence.away_m or 0.0
        measures = trip.measures
        measures.soc_first_pct, measures.soc_last_pct = before.soc_pct, after.soc_pct
        measures.odo_first_km, measures.odo_last_km = before.odo_km, after.odo_km
        for seen, moment_ms in ((before, silence.start_ms), (after, silence.end_ms)):
            if seen.lat is not None and seen.lon is not None:
                measures.route.pass_by(moment_ms, seen.lat, seen.lon)
        return trip

    def rests_on(self, before: Seen) -> None:
        """Remembers that it cannot be found again without what was seen before; not what is older than can be kept."""
        if self.start_ms - before.since_ms <= LONGEST_CHARGE_MS:
            self.since_ms = before.since_ms

    @property
    def horizon_ms(self) -> int:
        """Behind this moment it can be found again."""
        return (self.start_ms if self.since_ms is None else self.since_ms) - 1

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
    trip: Trip | None = None  # a drive, or being carried
    waits: bool = False  # a trip ended by standing still: the next one needs movement
    seen: Seen = msgspec.field(default_factory=Seen)
    rest: Rest | None = None
    charge: Trip | None = None  # a charging session; beside it a drive may seem to begin that does not move
    unsure_until_ms: int = 0  # the latest moment that showed that a charging session had ended before

    @property
    def under_way(self) -> list[Trip]:
        """The records under way, by their start."""
        return [one for one in (self.charge, self.trip) if one is not None]

    @property
    def end_ms(self) -> int | None:
        """The latest end of what is under way, so far."""
        if self.trip is None or self.charge is None:
            return self.trip.end_ms if self.trip else self.charge.end_ms if self.charge else None
        return max(self.trip.end_ms, self.charge.end_ms)
