"""What is known of one vehicle's trips: small, because it is stored with every batch.

The samples themselves stay as rows. While messages come in order, the fold over samples advances with them. What
comes out of order only leaves a mark, `refold_from_ms`, from where the fold has to be repeated over the rows.
"""

import msgspec

from functions.trips.reception import Reception
from functions.trips.segmentation import Fold, Span

RETENTION_MS = 72 * 3_600_000  # of messages, from their arrival, and of the possibility to revise a trip
MAX_KNOWN = 400  # trips remembered for revision; more in that time is not one vehicle's driving
MAX_BOOTS = 24
SAMPLE_MS = 500  # a vehicle may measure twice a second in the long run, and what it kept so for 72 h come at once


class Known(msgspec.Struct, array_like=True):
    """A trip that has ended, or one under way that was announced as if it had."""

    start_ms: int
    end_ms: int | None  # None: merged into another by late data
    settled_ms: int | None = None  # when its summary was compared with what was announced; None: has to be
    revision: int = 0  # of the last announcement
    digest: bytes = b""  # of the summary that was announced last; empty if there was none or it was withdrawn


class VehicleTrips(msgspec.Struct, array_like=True, kw_only=True):
    """The state of one vehicle. Times are epoch milliseconds."""

    fold: Fold = msgspec.field(default_factory=Fold)
    boots: dict[str, Reception] = {}
    known: list[Known] = []  # by start
    refold_from_ms: int | None = None  # the earliest sample that the fold does not contain
    waiting_since_ms: int | None = None  # arrival of the message that showed that others are missing
    late_ms: int | None = None  # latest arrival of data that may change announced trips
    heard_ms: int = 0  # latest arrival of any message
    horizon_ms: int = 0  # samples up to it come too late: their neighbours are gone
    tidy_ms: int | None = None  # when rows may be old enough to be removed
    alarm_ms: int | None = None  # when the sweep will look at this vehicle
    spent_ms: int = -RETENTION_MS  # up to when its samples were due, at one each `SAMPLE_MS`

    def copy(self) -> "VehicleTrips":
        return decode(encode(self))

    @property
    def under_way_ms(self) -> int | None:
        """The start of the trip under way."""
        return None if self.fold.trip is None else self.fold.trip.start_ms

    @property
    def is_open(self) -> bool:
        """Whether a trip is under way and was not announced as it is."""
        trip = self.fold.trip
        if trip is None:
            return False
        known = self._starting_at(trip.start_ms)
        return known is None or known.end_ms != trip.end_ms or known.settled_ms is None

    def unsettled(self) -> list[Known]:
        """Trips that have ended and whose announcement has to be brought up to date."""
        return [known for known in self.known if known.settled_ms is None and known.start_ms != self.under_way_ms]

    def start_before(self, moment_ms: int) -> int:
        """The start of the last trip that began before: no sample from then on can have changed that start."""
        starts = [known.start_ms for known in self.known if known.end_ms is not None]
        if self.under_way_ms is not None:
            starts.append(self.under_way_ms)
        return max((start_ms for start_ms in starts if start_ms < moment_ms), default=self.horizon_ms + 1)

    def found(self, span: Span) -> None:
        """A trip that ended, or that is taken to have ended."""
        known = self._starting_at(span.start_ms)
        if known is None:
            self.known.append(Known(span.start_ms, span.end_ms))
            self.known.sort(key=lambda one: one.start_ms)
        elif known.end_ms != span.end_ms:
            known.end_ms, known.settled_ms = span.end_ms, None

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
        latest = sorted(self.boots, key=lambda boot: self.boots[boot].heard_ms, reverse=True)
        for index, boot in enumerate(latest):
            if index >= MAX_BOOTS or self.boots[boot].heard_ms < self.heard_ms - RETENTION_MS:
                del self.boots[boot]

    def forget_trips(self) -> None:
        """Drops what turned out not to be a trip, and the oldest ones if they become too many."""
        self.known = [
            known
            for known in self.known
            if known.revision or known.settled_ms is None or known.start_ms == self.under_way_ms
        ]
        for known in self.known[:-MAX_KNOWN]:
            self.horizon_ms = max(self.horizon_ms, known.end_ms or known.start_ms)
        del self.known[:-MAX_KNOWN]

    def _starting_at(self, start_ms: int) -> Known | None:
        return next((known for known in reversed(self.known) if known.start_ms == start_ms), None)


_decoder = msgspec.msgpack.Decoder(VehicleTrips)


def encode(state: VehicleTrips) -> bytes:
    """The state as it is stored: well under 1 kB for a usual car, under 64 KiB for any."""
    return msgspec.msgpack.encode(state)


def decode(stored: bytes) -> VehicleTrips:
    """The state that was stored."""
    return _decoder.decode(stored)
