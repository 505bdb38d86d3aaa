"""What is known of one vehicle's trips: small, because it is stored with every batch.

The samples themselves stay as rows. While messages come in order, the fold over samples advances with them. What
comes out of order leaves a mark, `refold_from_ms`, from where the fold has to be repeated over the rows; what could
not be folded yet, because a message is missing or there was too much at once, leaves the fold `behind` the rows.
"""

from copy import deepcopy

import msgspec

from functions.trips.reception import Reception
from functions.trips.records import Fold, Kind
from functions.trips.route import Route
from functions.trips.samples import Place
from functions.trips.silence import LOOK_AHEAD_MS

RETENTION_MS = 72 * 3_600_000  # of messages, from their arrival, and of the possibility to revise a trip
MAX_KNOWN = 400  # records remembered for revision; more in that time is not one vehicle's driving
MAX_BOOTS = 24
SAMPLE_MS = 500  # a vehicle may measure twice a second in the long run, and what it kept so for 72 h come at once


class Known(msgspec.Struct, array_like=True):
    """A record that was announced, perhaps while it was under way as if it had ended."""

    kind: Kind
    start_ms: int
    end_ms: int
    settled_ms: int  # when it was announced last
    revision: int = 0  # of the last announcement
    digest: bytes = b""  # of the summary that was announced last; empty if it was withdrawn
    is_stale: bool = False  # the fold is being repeated and has not found it again yet
    first: Place | None = None  # of a drive: its first sample
    unsure_ms: int = LOOK_AHEAD_MS  # as in `Trip`
    since_ms: int | None = None

    @property
    def horizon_ms(self) -> int:
        """Behind this moment it can be found again."""
        return (self.start_ms if self.since_ms is None else self.since_ms) - 1

    def is_found_behind(self, base: Place) -> bool:
        """Whether a fold that is repeated behind this sample finds it, if it is still true."""
        return self.start_ms >= base[0] or self.end_ms > base[0]

    def is_recent(self, oldest_ms: int) -> bool:
        """Whether data that comes late by less than the retention may still change it."""
        return max(self.settled_ms, self.end_ms) > oldest_ms


class VehicleTrips(msgspec.Struct, array_like=True, kw_only=True):
    """The state of one vehicle. Times are epoch milliseconds."""

    fold: Fold = msgspec.field(default_factory=Fold)
    boots: dict[str, Reception] = {}
    known: list[Known] = []  # by start
    refold_from_ms: int | None = None  # the earliest sample that should have been folded before others
    behind: bool = False  # rows hold samples that were not folded yet
    closed_ms: int | None = None  # the end of the record under way that was announced as if it had ended
    waiting_since_ms: int | None = None  # arrival of the message that showed that others are missing
    late_ms: int | None = None  # latest arrival of data that may change announced trips
    heard_ms: int = 0  # latest arrival of any message
    horizon_ms: int = 0  # samples up to it come too late: their neighbours are gone
    tidy_ms: int | None = None  # when rows may be old enough to be removed
    alarm_ms: int | None = None  # when the sweep will look at this vehicle
    spent_ms: int = -RETENTION_MS  # up to when its samples were due, at one each `SAMPLE_MS`
    model: tuple[str, str, str] | None = None  # brand, model and market, once they were looked up
    is_private: bool = False  # no position may be stored
    footing: Fold | None = None  # the fold at the horizon, if anything that was seen before it may matter behind it

    @property
    def is_open(self) -> bool:
        """Whether a record is under way and was not announced as it is."""
        end_ms = self.fold.end_ms
        return end_ms is not None and end_ms != self.closed_ms

    @property
    def is_due(self) -> bool:
        """Whether samples wait to be folded."""
        return self.refold_from_ms is not None or self.behind

    def base(self, moment_ms: int) -> Place:
        """Behind this sample the fold can be repeated if samples from this moment on are new.

        It is the one before the first of a drive that began before: no sample later than `unsure_ms` behind its
        beginning can have changed that beginning, what the silence before it meant, or that no charging went on.
        """
        (t, boot, seq), _ = self._sure_drive(moment_ms) or ((self.horizon_ms, "~", 1), 0)
        return t, boot, seq - 1

    def _sure_drive(self, moment_ms: int) -> tuple[Place, int] | None:
        """The first sample of the latest such drive, and until when it is unsure."""
        drives = [(one.first, one.unsure_ms) for one in self.known if one.digest and not one.is_stale]
        if self.fold.trip is not None and self.fold.charge is None:
            drives.append((self.fold.trip.first, self.fold.trip.unsure_ms))
        ends = [(first, first[0] + unsure_ms) for first, unsure_ms in drives if first is not None]
        return max((one for one in ends if one[1] < moment_ms), default=None)

    def begin_anew(self, moment_ms: int) -> None:
        """Repeats the fold for the sake of samples from this moment on."""
        base, drive = self.base(moment_ms), self._sure_drive(moment_ms)
        for known in self.known:
            known.is_stale = known.is_stale or known.is_found_behind(base)
        if drive is not None:
            self.fold = Fold(unsure_until_ms=drive[1])
        else:
            self.fold = Fold() if self.footing is None else deepcopy(self.footing)
        self.fold.last = base

    def move_horizon(self, horizon_ms: int) -> None:
        """Rows up to it can be removed."""
        if horizon_ms <= self.horizon_ms:
            return
        self.horizon_ms, last = horizon_ms, self.fold.last
        self.footing = deepcopy(self.fold) if last is not None and last[0] <= horizon_ms else None

    def find(self, kind: Kind, start_ms: int) -> Known | None:
        """What is known of the record."""
        return next((one for one in reversed(self.known) if one.start_ms == start_ms and one.kind == kind), None)

    def remember(self, known: Known) -> None:
        """Keeps the order of beginnings."""
        self.known.append(known)
        self.known.sort(key=lambda one: one.start_ms)

    def forget_positions(self) -> None:
        """Of what is under way, or was at the horizon."""
        for fold in (self.fold, self.footing):
            if fold is not None:
                fold.seen.lat = fold.seen.lon = fold.rest = None
                for measures in (one for trip in fold.under_way for one in (trip.measures, trip.pending)):
                    if measures is not None:
                        measures.route = Route()

    def spend(self, samples: int) -> bool:
        """Whether a vehicle heard at `heard_ms` may send so many samples: what is kept of it has to be bounded."""
        spent_ms = max(self.spent_ms, self.heard_ms - RETENTION_MS) + samples * SAMPLE_MS
        if spent_ms > self.heard_ms:
            return False
        self.spent_ms = spent_ms
        return True

    def note_missing(self) -> None:
        """Starts to wait when a message is missing, and stops when none is."""
        if not any(boot.is_waiting for boot in self.boots.values()):
            self.waiting_since_ms = None
        elif self.waiting_since_ms is None:
            self.waiting_since_ms = self.heard_ms

    def forget_boots(self) -> None:
        """Drops boots that were not heard of for long, and the oldest ones if they become too many."""
        if len(self.boots) == 1:
            return
        latest = sorted(self.boots, key=lambda boot: self.boots[boot].heard_ms, reverse=True)
        for index, boot in enumerate(latest):
            if index >= MAX_BOOTS or self.boots[boot].heard_ms < self.heard_ms - RETENTION_MS:
                del self.boots[boot]

    def forget_oldest(self) -> None:
        """Drops the oldest records if they become too many."""
        for known in self.known[:-MAX_KNOWN]:
            self.move_horizon(known.end_ms)
        del self.known[:-MAX_KNOWN]


_decoder = msgspec.msgpack.Decoder(VehicleTrips)


def encode(state: VehicleTrips) -> bytes:
    """The state as it is stored: 1 to 2.5 kB for a usual car, under 64 KiB for any."""
    return msgspec.msgpack.encode(state)


def decode(stored: bytes) -> VehicleTrips:
    """The state that was stored."""
    return _decoder.decode(stored)
