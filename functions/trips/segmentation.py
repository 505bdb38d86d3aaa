"""Where trips begin and end: a fold over a vehicle's samples in time order.

- A vehicle that reports is switched on, unless it says `ignition: false`. The first sample of a switched-on vehicle
  starts a trip.
- `ignition: false` ends it, unless the ignition is back within the flicker limit; so does the gear P, unless it is
  left within the parking limit. Charging ends it at once and is a session of its own (`charging`).
- Silence ends it, at the last sample before. Not if the vehicle was on its way meanwhile (a tunnel, a dead spot): its
  odometer tells, without one its position, without that its speed before and after; believed up to the tunnel limit.
  A battery that is fuller after a silence was charged in it.
- Standing still does not end it, as traffic jams last, until the limit for that: then it ended when the vehicle came to
  a stand, and the next one starts when the vehicle moves.
- A vehicle whose place changes while its wheels stand still is carried: by a ferry, a train or a tow truck. Its trip
  ended when it came to a stand, and the way is a record of its own kind.

What happens at a sample depends on earlier samples only, and nothing from before a trip's first sample matters after
it, except a charging session that goes on beside what only seemed to be a trip, until the trip moves (`unsure_ms`). So
trips can be folded anew from the start of any driven trip, with the same result as from the beginning.
"""

from collections.abc import Sequence

import msgspec

from functions.trips import charging, motion
from functions.trips.carriage import Rest
from functions.trips.pieces import Mode, pieces
from functions.trips.records import Fold, Rules, Trip
from functions.trips.samples import Chapter, Place, Run
from functions.trips.silence import LONGEST_CHARGE_MS, LOOK_AHEAD_MS, Seen, Silence


def advance(fold: Fold, chapters: Sequence[Chapter], rules: Rules, limit: int | None = None) -> tuple[list[Trip], bool]:
    """Takes the samples, in order, into the fold.

    Returns the records that they ended, and whether all samples were taken: not if `limit` records ended before.
    """
    folding = _Folding(fold, rules)
    for chapter in chapters:
        before, missing = fold.trip, _missing(fold.last, chapter)
        for mode, first, beyond in pieces(chapter.run, rules.silence_ms):
            if limit is not None and len(folding.ended) >= limit and fold.last != chapter.place(first):
                return folding.ended, False
            folding.take(chapter, mode, first, beyond)
            fold.last = chapter.place(beyond - 1)
            if missing and before is not None and before is fold.trip:
                before.measures.missing += missing
            missing = 0
    return folding.ended, True


def _missing(last: Place | None, chapter: Chapter) -> int:
    """How many messages never came between the last sample and a message of the same boot.

    Not of messages that overlap in time: theirs is no order in which one is missing, and of a run of them the fold may
    have taken the first part before. So the count follows from the set of messages.
    """
    if last is None or not chapter.is_message:
        return 0
    ((boot, seq),) = chapter.senders
    return max(0, seq - last[2] - 1) if boot == last[1] else 0


class _Folding:
    """One pass over samples: the fold that goes on, and what ended."""

    def __init__(self, fold: Fold, rules: Rules) -> None:
        self.fold = fold
        self.rules = rules
        self.ended = list[Trip]()
        self._chapter: Chapter  # that the samples at hand are of, from this index on
        self._offset = 0
        self._first_seen = 0  # of the samples at hand, those that what was seen last is to be known from

    def take(self, chapter: Chapter, mode: Mode, first: int, beyond: int) -> None:
        """Goes on with samples of one mode and without a silence between them."""
        fold, run, offset, ended_before = self.fold, chapter.run, 0, len(self.ended)
        if not run.whole:
            run, offset = run.part(first, beyond), first
            first, beyond = 0, beyond - first
        self._first_seen, self._chapter, self._offset = first, chapter, offset
        self._resume(run, mode, first)
        if self._was_silent(run.t[first]):
            self._over_silence(run, mode, first, beyond)
        match mode:
            case "on":
                self._on(run, first, beyond)
            case "parked":
                self._parked(run, first, beyond)
            case "off":
                self._off(run, first, beyond)
            case "charging":
                self._charging(run, first, beyond)
        if fold.charge is not None and mode != "charging" and charging.is_over(fold.charge, run, mode, first, beyond):
            self._end_charge()
        for index, counts in chapter.dropped:
            if first <= index - offset < beyond:
                self._drop(run.t[index - offset], counts, ended_before)
        fold.seen.note(run, self._first_seen, beyond)

    def _drop(self, moment_ms: int, counts: dict[str, int], ended_before: int) -> None:
        """What could not be used of a message belongs to the record in which its first usable sample lies."""
        records = [*self.ended[ended_before:], *self.fold.under_way]
        if records := [record for record in records if record.start_ms <= moment_ms]:
            records[-1].measures.drop(counts)

    # --- pauses and silences

    def _resume(self, run: Run, mode: Mode, first: int) -> None:
        """Whether a pause ended the trip before this moment."""
        trip, t = self.fold.trip, run.t[first]
        if trip is None:
            return
        if trip.off_ms is not None:
            if t - trip.off_ms >= self.rules.flicker_ms:
                self.end(trip.off_ms)
            elif mode != "off":
                trip.off_ms = None
                trip.parked_ms = None if mode == "on" else trip.parked_ms
        elif trip.parked_ms is not None and not self._was_silent(t):
            if t - trip.parked_ms >= self.rules.park_ms:
                self._end_standing(trip.parked_ms)
                self.fold.waits = mode == "parked"
            elif mode == "on":
                trip.parked_ms = None

    def _was_silent(self, t: int) -> bool:
        seen_ms = self.fold.seen.t
        return seen_ms is not None and t - seen_ms >= self.rules.silence_ms

    def _over_silence(self, run: Run, mode: Mode, first: int, beyond: int) -> None:
        fold, trip, moved_m = self.fold, self.fold.trip, self.rules.moved_m
        silence = Silence(fold.seen, Seen.first_of(run, first, beyond))
        is_told = self._charge_over_silence(silence, mode)
        was_charged = silence.was_charged(moved_m)
        if trip is not None:
            is_driven = trip.kind == "driven" and not was_charged
            if is_driven and silence.was_on_its_way(self.rules.tunnel_ms, moved_m):
                trip.go_on(silence.end_ms)
                trip.measures.bridge(silence.duration_ms, silence.bridge_m())
                fold.rest = None
                return
            self.end(trip.end_ms)
        fold.waits = False
        fold.rest = None
        if is_told:
            return
        if not was_charged and silence.was_carried():
            self.ended.append(Trip.in_silence("carried", silence))
        elif silence.may_have_been_charged(moved_m):
            fold.charge = Trip.in_silence("charging", silence)
        if fold.charge is None and silence.is_bridged:
            fold.seen.since_ms = silence.end_ms

    def _charge_over_silence(self, silence: Silence, mode: Mode) -> bool:
        """Whether it is known what was charged in it: the session goes on, or the next one begins behind it."""
        charge, is_reported = self.fold.charge, mode == "charging"
        if charge is None:
            return False
        if silence.end_ms - charge.end_ms > LONGEST_CHARGE_MS:
            self._end_charge()
            return False
        if charging.goes_on(charge, silence, self.rules.moved_m, is_reported=is_reported):
            charging.go_on(charge, silence)
            return True
        self._end_charge()
        return is_reported

    # --- the modes

    def _on(self, run: Run, first: int, beyond: int) -> None:
        fold = self.fold
        if fold.trip is None and not fold.waits:
            self._begin(run, first)
        moving = motion.moving(run, first, beyond, fold, self.rules.moved_m)
        if moving is None:
            self._stand(run, first, beyond)
            return
        (start, last), limit_ms = moving, self.rules.standstill_ms
        if run.t[last] - run.t[start] >= limit_ms and (again := motion.again(run, start, last, limit_ms)):
            self._on(run, first, again)
            self._on(run, again, beyond)
            return
        if start > first:
            self._stand(run, first, start)
        if fold.trip is not None and fold.trip.kind == "carried":
            self.end(fold.trip.end_ms)
        if fold.trip is None:
            self._begin(run, start)
            self._on(run, start, beyond)  # what moved it here is forgotten as well
            return
        if fold.charge is not None:
            self._end_charge()
        trip = fold.trip
        trip.go_on(run.t[last])
        trip.measures.extend(run, start, last + 1, self.rules.silence_ms, self.rules.harshness)
        if run.speed_kmh:
            fold.rest = None
        if last + 1 < beyond:
            self._stand(run, last + 1, beyond)

    def _stand(self, run: Run, first: int, beyond: int) -> None:
        """Switched on, with wheels that stand still."""
        fold = self.fold
        if fold.trip is None and not fold.waits:
            self._begin(run, first)
        trip = fold.trip
        if trip is not None and trip.kind == "driven":
            if trip.pending is None:
                trip.pending = trip.measures.fork()
            trip.pending.extend(
                run, first, beyond, self.rules.silence_ms, self.rules.harshness, follows=not run.speed_kmh
            )
            if run.lat and not trip.measures.route.stretches:
                trip.measures.route.follow(run, first, first + 1)
            trip.end_ms = run.t[beyond - 1]
            if trip.end_ms - trip.still_since_ms >= self.rules.standstill_ms:
                self._end_standing(trip.still_since_ms)
                fold.waits = True
        if run.speed_kmh:
            self._carry(run, first, beyond)

    def _parked(self, run: Run, first: int, beyond: int) -> None:
        fold = self.fold
        trip = fold.trip
        if trip is not None and trip.kind == "driven" and trip.parked_ms is None:
            trip.total()  # up to here it belongs to the trip even if this is its end
            trip.still_since_ms = run.t[first]
        self._stand(run, first, beyond)
        trip = fold.trip
        if trip is not None and trip.kind == "driven":
            trip.parked_ms = run.t[first] if trip.parked_ms is None else trip.parked_ms
            if run.t[beyond - 1] - trip.parked_ms >= self.rules.park_ms:
                self._end_standing(trip.parked_ms)
                fold.waits = True

    def _off(self, run: Run, first: int, beyond: int) -> None:
        fold, trip = self.fold, self.fold.trip
        if trip is not None and trip.kind == "driven":
            if trip.off_ms is None:
                trip.off_ms = trip.end_ms = run.t[first]
                measures = trip.pending or trip.measures
                measures.extend(run, first, first + 1, self.rules.silence_ms, self.rules.harshness)
            if run.t[beyond - 1] - trip.off_ms >= self.rules.flicker_ms:
                self.end(trip.off_ms)
        fold.waits = False
        self._carry(run, first, beyond)

    def _charging(self, run: Run, first: int, beyond: int) -> None:
        fold, last_ms = self.fold, run.t[beyond - 1]
        if fold.trip is not None:
            self.end(fold.trip.end_ms)
        if fold.charge is None or not charging.counts(fold.charge):
            fold.charge = Trip("charging", run.t[first], last_ms, last_ms)
        fold.waits, fold.rest = False, None
        charge = fold.charge
        charge.measures.extend(run, first, beyond, self.rules.silence_ms, self.rules.harshness)
        charge.end_ms = charge.still_since_ms = last_ms
        charge.inferred, charge.reports = False, True

    def _carry(self, run: Run, first: int, beyond: int) -> None:
        """Watches whether the place changes although the wheels stand still: one look at each piece."""
        indices = range(beyond - 1, first - 1, -1) if run.lat else ()
        index = next((index for index in indices if run.lat[index] is not None), None)
        if index is None:
            return
        fold, lat, lon, t = self.fold, run.lat[index], run.lon[index], run.t[index]
        if fold.rest is None:
            fold.rest = Rest.at(lat, lon, t)
        elif fold.rest.look(lat, lon, t):
            trip = fold.trip
            if trip is not None and trip.kind == "carried":
                trip.end_ms, trip.moved_m = t, fold.rest.moved_m
                trip.measures.route.pass_by(t, lat, lon)
            elif fold.rest.is_back:
                fold.rest = Rest.at(lat, lon, t)
            elif fold.rest.is_carried:
                self._be_carried(fold.rest)

    def _be_carried(self, rest: Rest) -> None:
        fold = self.fold
        self._end_charge()
        if fold.trip is not None:
            self._end_standing(fold.trip.still_since_ms)
        trip = Trip("carried", rest.since_ms, rest.moved_ms, rest.since_ms, moved_m=rest.moved_m)
        trip.measures.route.pass_by(rest.since_ms, rest.start_lat, rest.start_lon)
        trip.measures.route.pass_by(rest.moved_ms, rest.lat, rest.lon)
        fold.trip, fold.rest = trip, rest

    # --- beginnings and ends

    def _begin(self, run: Run, index: int) -> None:
        """Forgets what was before, so that the trip is the same when it is folded anew from here."""
        t, self._first_seen = run.t[index], index
        fold = self.fold
        fold.trip = Trip("driven", t, t, t, first=self._chapter.place(self._offset + index))
        fold.trip.unsure_ms = max(LOOK_AHEAD_MS, fold.unsure_until_ms - t)
        since_ms = t if fold.charge is None else fold.charge.horizon_ms + 1
        fold.waits, fold.seen, fold.rest = False, Seen(since_ms=since_ms), None

    def end(self, end_ms: int) -> None:
        """The record ended at this moment, at the latest sample of it or before."""
        fold, trip = self.fold, self.fold.trip
        assert trip is not None
        if fold.seen.lat is not None and fold.seen.lon is not None and trip.kind == "driven":
            trip.total().route.arrive(fold.seen.lat, fold.seen.lon)
        trip.end_ms = end_ms
        if fold.rest is not None:  # being carried does not begin before the end
            fold.rest.since_ms = max(fold.rest.since_ms, end_ms)
        self.ended.append(trip)
        fold.trip = None

    def _end_charge(self) -> None:
        """The charging session has ended before, as the samples at hand show."""
        fold, charge, self.fold.charge = self.fold, self.fold.charge, None
        if charge is None:
            return
        if charging.counts(charge):
            self.ended.append(charge)
        fold.unsure_until_ms = self._chapter.run.t[-1]  # what overlaps with them may show something else
        if fold.trip is not None:
            fold.trip.unsure_ms = max(fold.trip.unsure_ms, fold.unsure_until_ms - fold.trip.start_ms)
            fold.seen.since_ms = fold.trip.start_ms

    def end_all(self) -> None:
        """What is under way ended with the latest sample of it."""
        if self.fold.charge is not None and charging.counts(self.fold.charge):
            self.ended.append(self.fold.charge)
        if self.fold.trip is not None:
            self.end(self.fold.trip.end_ms)

    def _end_standing(self, end_ms: int) -> None:
        """The trip ended when the vehicle came to a stand."""
        assert self.fold.trip is not None
        self.fold.trip.pending = None
        self.end(end_ms)


def as_ended(fold: Fold, rules: Rules) -> list[Trip]:
    """Copies of the records under way, as if they had ended with the latest sample."""
    if not fold.under_way:
        return []
    folding = _Folding(_copier.decode(msgspec.msgpack.encode(fold)), rules)
    folding.end_all()
    return folding.ended


_copier = msgspec.msgpack.Decoder(Fold)
