"""Where trips begin and end: a fold over a vehicle's samples in time order.

- A vehicle that reports is switched on, unless it says `ignition: false`. The first sample of a switched-on vehicle
  starts a trip.
- `ignition: false` ends it, unless the ignition is back within the flicker limit; so does the gear P, unless it is
  left within the parking limit. Charging ends it at once and is a session of its own.
- Silence ends it, at the last sample before. Not if the vehicle was on its way meanwhile (a tunnel, a dead spot): its
  odometer tells, without one its position, without that its speed before and after; believed up to the tunnel limit.
  A battery that is fuller after a silence was charged in it.
- Standing still does not end it, as traffic jams last, until the limit for that: then it ended when the vehicle came to
  a stand, and the next one starts when the vehicle moves.
- A vehicle whose place changes while its wheels stand still is carried: by a ferry, a train or a tow truck. Its trip
  ended when it came to a stand, and the way is a record of its own kind.

What happens at a sample depends on earlier samples only, and nothing from before a trip's first sample matters after
it. So trips can be folded anew from the start of any driven trip, with the same result as from the beginning.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from functions.trips.driving import Harshness
from functions.trips.geodesy import distance_m
from functions.trips.measures import IDLE_BELOW_KMH, Measures
from functions.trips.parameters import Parameters
from functions.trips.route import MAX_SPEED_M_S
from functions.trips.samples import Chapter, Place, Run

DRIVING_KMH = 10.0
CHARGED_PCT = 2.0  # more than a battery that warms up seems to win
CHARGED_ON_THE_WAY_PCT = 5.0  # more than a long way downhill wins
CARRIED_STEP_M = 100.0  # a receiver at rest wanders less
CARRIED_M = 300.0
CARRIED_STEPS = 3
CARRIED_IN_SILENCE_M = 1000.0

Kind = Literal["driven", "carried", "charging"]
_Mode = Literal["on", "parked", "off", "charging"]


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


class Seen(msgspec.Struct, array_like=True):
    """The latest known values, since the trip began."""

    t: int | None = None
    lat: float | None = None
    lon: float | None = None
    odo_km: float | None = None
    soc_pct: float | None = None
    speed_kmh: float | None = None


class Rest(msgspec.Struct, array_like=True):
    """Where the wheels stand still, and how far the vehicle was carried since."""

    lat: float
    lon: float
    start_lat: float
    start_lon: float
    since_ms: int  # until when it was seen where it came to rest
    moved_ms: int
    steps: int = 0
    moved_m: float = 0.0


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


def advance(fold: Fold, chapters: Sequence[Chapter], rules: Rules, limit: int | None = None) -> tuple[list[Trip], bool]:
    """Takes the samples, in order, into the fold.

    Returns the records that they ended, and whether all samples were taken: not if `limit` records ended before.
    """
    folding = _Folding(fold, rules)
    for chapter in chapters:
        before, missing = fold.trip, _missing(fold.last, chapter)
        for mode, first, beyond in _pieces(chapter.run, rules.silence_ms):
            if limit is not None and len(folding.ended) >= limit and fold.last != chapter.place(first):
                return folding.ended, False
            folding.take(chapter, mode, first, beyond)
            fold.last = chapter.place(beyond - 1)
            if missing and before is not None and before is fold.trip:
                before.measures.missing += missing
            missing = 0
    return folding.ended, True


def _missing(last: Place | None, chapter: Chapter) -> int:
    """How many messages never came between the last sample and a message of the same boot."""
    if last is None or len(chapter.senders) > 1:
        return 0
    ((boot, seq),) = chapter.senders
    return max(0, seq - last.seq - 1) if boot == last.boot else 0


def _pieces(run: Run, silence_ms: int) -> Iterator[tuple[_Mode, int, int]]:
    """The longest parts without a silence and of one mode."""
    is_uniform = not (
        (run.steps and max(run.steps) >= silence_ms) or False in run.ignition or "P" in run.gear or True in run.charging
    )
    if is_uniform:
        yield "on", 0, len(run.t)
        return
    first, before = 0, _mode(run, 0)
    for index in range(1, len(run.t)):
        mode = _mode(run, index)
        if mode != before or run.steps[index - 1] >= silence_ms:
            yield before, first, index
            first, before = index, mode
    yield before, first, len(run.t)


def _mode(run: Run, index: int) -> _Mode:
    if run.charging and run.charging[index]:
        return "charging"
    if run.ignition and run.ignition[index] is False:
        return "off"
    return "parked" if run.gear and run.gear[index] == "P" else "on"


class _Folding:
    """One pass over samples: the fold that goes on, and what ended."""

    def __init__(self, fold: Fold, rules: Rules) -> None:
        self.fold = fold
        self.rules = rules
        self.ended = list[Trip]()

    def take(self, chapter: Chapter, mode: _Mode, first: int, beyond: int) -> None:
        """Goes on with samples of one mode and without a silence between them."""
        fold, run, offset, ended_before = self.fold, chapter.run, 0, len(self.ended)
        if not run.whole:
            run, offset = run.part(first, beyond), first
            first, beyond = 0, beyond - first
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
        for index, counts in chapter.dropped:
            if first <= index - offset < beyond:
                self._drop(run.t[index - offset], counts, ended_before)
        _see(fold.seen, run, first, beyond)

    def _drop(self, moment_ms: int, counts: dict[str, int], ended_before: int) -> None:
        """What could not be used of a message belongs to the record in which its first usable sample lies."""
        records = [*self.ended[ended_before:], *([self.fold.trip] if self.fold.trip else [])]
        if records := [record for record in records if record.start_ms <= moment_ms]:
            records[-1].measures.drop(counts)

    # --- pauses and silences

    def _resume(self, run: Run, mode: _Mode, first: int) -> None:
        """Whether a pause ended the trip before this moment."""
        trip, t = self.fold.trip, run.t[first]
        if trip is None:
            return
        if trip.off_ms is not None:
            if t - trip.off_ms >= self.rules.flicker_ms:
                self.end(trip.off_ms)
            elif mode != "off":
                trip.off_ms = None
        elif trip.parked_ms is not None and not self._was_silent(t):
            if t - trip.parked_ms >= self.rules.park_ms:
                self._end_standing(trip.parked_ms)
                self.fold.waits = mode == "parked"
            elif mode == "on":
                trip.parked_ms = None

    def _was_silent(self, t: int) -> bool:
        seen_ms = self.fold.seen.t
        return seen_ms is not None and t - seen_ms >= self.rules.silence_ms

    def _over_silence(self, run: Run, mode: _Mode, first: int, beyond: int) -> None:
        fold, trip = self.fold, self.fold.trip
        before, after, t = fold.seen, Seen(), run.t[first]
        assert before.t is not None
        _see_first(after, run, first, beyond)
        silent_ms, away_m = t - before.t, _away_m(before, after)
        driven_m = None
        if before.odo_km is not None and after.odo_km is not None:
            driven_m = (after.odo_km - before.odo_km) * 1000
        gain_pct = 0.0
        if before.soc_pct is not None and after.soc_pct is not None:
            gain_pct = after.soc_pct - before.soc_pct
        if trip is not None and trip.kind == "charging":
            if mode == "charging" and gain_pct >= 0.0:
                trip.measures.silent_ms += silent_ms
                return
            self.end(t if gain_pct > 0.0 else trip.end_ms)
            return
        went_m = driven_m if driven_m is not None else away_m
        is_away = went_m is not None and went_m >= self.rules.moved_m
        was_charged = gain_pct >= (CHARGED_ON_THE_WAY_PCT if is_away else CHARGED_PCT)
        if trip is not None:
            if trip.kind == "driven" and not was_charged and self._was_on_its_way(before, after, silent_ms, went_m):
                self._bridge(trip, before, after, silent_ms, went_m)
                return
            self.end(trip.end_ms)
        fold.waits = False
        fold.rest = None
        if was_charged:
            self._infer("charging", before, after, t)
        elif driven_m is not None and away_m is not None and away_m >= CARRIED_IN_SILENCE_M > 4 * abs(driven_m):
            self._infer("carried", before, after, t, away_m)

    def _was_on_its_way(self, before: Seen, after: Seen, silent_ms: int, went_m: float | None) -> bool:
        if silent_ms > self.rules.tunnel_ms:
            return False
        if went_m is not None:
            return self.rules.moved_m <= went_m <= MAX_SPEED_M_S * silent_ms / 1000
        return min(before.speed_kmh or 0.0, after.speed_kmh or 0.0) >= DRIVING_KMH

    def _bridge(self, trip: Trip, before: Seen, after: Seen, silent_ms: int, went_m: float | None) -> None:
        measures = trip.pending or trip.measures
        measures.silent_ms += silent_ms
        measures.longest_silence_ms = max(measures.longest_silence_ms, silent_ms)
        if went_m is None:
            went_m = ((before.speed_kmh or 0.0) + (after.speed_kmh or 0.0)) / 7.2 * silent_ms / 1000
        measures.across_m += went_m

    def _infer(self, kind: Kind, before: Seen, after: Seen, t: int, moved_m: float = 0.0) -> None:
        assert before.t is not None
        trip = Trip(kind, before.t, t, t, inferred=True, moved_m=moved_m)
        measures = trip.measures
        measures.soc_first_pct, measures.soc_last_pct = before.soc_pct, after.soc_pct
        measures.odo_first_km, measures.odo_last_km = before.odo_km, after.odo_km
        for seen, moment_ms in ((before, before.t), (after, t)):
            if seen.lat is not None and seen.lon is not None:
                measures.route.pass_by(moment_ms, seen.lat, seen.lon)
        self.ended.append(trip)

    # --- the modes

    def _on(self, run: Run, first: int, beyond: int) -> None:
        fold = self.fold
        if fold.trip is not None and fold.trip.kind == "charging":
            self.end(fold.trip.end_ms)
        if fold.trip is None and not fold.waits:
            self._begin(run, first)
        moving = self._moving(run, first, beyond)
        if moving is None:
            self._stand(run, first, beyond)
            return
        start, last = moving
        if start > first:
            self._stand(run, first, start)
        if fold.trip is not None and fold.trip.kind == "carried":
            self.end(fold.trip.end_ms)
        trip = fold.trip or self._begin(run, start, fold.rest)
        if trip.pending is not None:
            trip.measures.join(trip.pending)
            trip.pending = None
        trip.measures.extend(run, start, last + 1, self.rules.silence_ms, self.rules.harshness)
        trip.end_ms = trip.still_since_ms = run.t[last]
        if run.speed_kmh:
            fold.rest = None
        if last + 1 < beyond:
            self._stand(run, last + 1, beyond)

    def _moving(self, run: Run, first: int, beyond: int) -> tuple[int, int] | None:
        """The first and last of these samples at which the vehicle moves, if it does."""
        if run.speed_kmh:
            speeds = run.speed_kmh[first:beyond]
            if run.whole and min(speeds) >= IDLE_BELOW_KMH:
                return first, beyond - 1
            indices = [index for index, kmh in enumerate(speeds, first) if kmh is not None and kmh >= IDLE_BELOW_KMH]
            return (indices[0], indices[-1]) if indices else None
        if run.lat:
            return self._displaced(run, first, beyond)
        if run.odo_km:
            return _counting(run, self.fold.seen.odo_km, first, beyond)
        return None

    def _displaced(self, run: Run, first: int, beyond: int) -> tuple[int, int] | None:
        """Where nobody measured speed, moving is to be far from where the vehicle came to rest."""
        start, last, rest = None, first, self.fold.rest
        for index in range(first, beyond):
            lat: float | None = run.lat[index]
            lon = run.lon[index]
            if lat is None:
                continue
            if rest is None:
                rest = Rest(lat, lon, lat, lon, run.t[index], run.t[index])
            elif distance_m(rest.lat, rest.lon, lat, lon) >= self.rules.moved_m:
                rest = Rest(lat, lon, lat, lon, run.t[index], run.t[index])
                start, last = (index if start is None else start), index
        self.fold.rest = rest
        return None if start is None else (start, last)

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
        if fold.trip is not None and fold.trip.kind == "charging":
            self.end(fold.trip.end_ms)
        self._stand(run, first, beyond)
        trip = fold.trip
        if trip is not None and trip.kind == "driven":
            trip.parked_ms = run.t[first] if trip.parked_ms is None else trip.parked_ms
            if run.t[beyond - 1] - trip.parked_ms >= self.rules.park_ms:
                self._end_standing(trip.parked_ms)
                fold.waits = True

    def _off(self, run: Run, first: int, beyond: int) -> None:
        fold, trip = self.fold, self.fold.trip
        if trip is not None and trip.kind == "charging":
            self.end(trip.end_ms)
        elif trip is not None and trip.kind == "driven":
            if trip.off_ms is None:
                trip.off_ms = trip.end_ms = run.t[first]
            if run.t[beyond - 1] - trip.off_ms >= self.rules.flicker_ms:
                self.end(trip.off_ms)
        fold.waits = False
        self._carry(run, first, beyond)

    def _charging(self, run: Run, first: int, beyond: int) -> None:
        fold = self.fold
        if fold.trip is not None and fold.trip.kind != "charging":
            self.end(fold.trip.end_ms)
        if fold.trip is None:
            fold.trip = Trip("charging", run.t[first], run.t[first], run.t[first])
        fold.waits, fold.rest = False, None
        trip = fold.trip
        trip.measures.extend(run, first, beyond, self.rules.silence_ms, self.rules.harshness)
        trip.end_ms = run.t[beyond - 1]

    def _carry(self, run: Run, first: int, beyond: int) -> None:
        """Watches whether the place changes although the wheels stand still: one look at each piece."""
        fold = self.fold
        place = next(
            ((run.lat[i], run.lon[i], run.t[i]) for i in range(beyond - 1, first - 1, -1) if run.lat[i] is not None)
            if run.lat
            else iter(()),
            None,
        )
        if place is None:
            return
        lat, lon, t = place
        rest = fold.rest
        if rest is None:
            fold.rest = Rest(lat, lon, lat, lon, t, t)
            return
        step_m = distance_m(rest.lat, rest.lon, lat, lon)
        if step_m < CARRIED_STEP_M:
            if rest.steps == 0:
                rest.since_ms = t
            return
        if step_m > CARRIED_STEP_M + MAX_SPEED_M_S * (t - max(rest.since_ms, rest.moved_ms)) / 1000:
            return
        rest.lat, rest.lon, rest.moved_ms = lat, lon, t
        rest.steps, rest.moved_m = rest.steps + 1, rest.moved_m + step_m
        trip = fold.trip
        if trip is not None and trip.kind == "carried":
            trip.end_ms, trip.moved_m = t, rest.moved_m
            trip.measures.route.pass_by(t, lat, lon)
        elif rest.steps >= CARRIED_STEPS and distance_m(rest.start_lat, rest.start_lon, lat, lon) >= CARRIED_M:
            self._be_carried(rest)

    def _be_carried(self, rest: Rest) -> None:
        fold = self.fold
        if fold.trip is not None:
            self._end_standing(fold.trip.still_since_ms)
        trip = Trip("carried", rest.since_ms, rest.moved_ms, rest.since_ms, moved_m=rest.moved_m)
        trip.measures.route.pass_by(rest.since_ms, rest.start_lat, rest.start_lon)
        trip.measures.route.pass_by(rest.moved_ms, rest.lat, rest.lon)
        fold.trip, fold.rest = trip, rest

    # --- beginnings and ends

    def _begin(self, run: Run, index: int, rest: Rest | None = None) -> Trip:
        """Forgets what was before, so that the trip is the same when it is folded anew from here."""
        t = run.t[index]
        self.fold.trip = trip = Trip("driven", t, t, t)
        self.fold.waits, self.fold.seen, self.fold.rest = False, Seen(), rest
        return trip

    def end(self, end_ms: int) -> None:
        trip = self.fold.trip
        assert trip is not None
        trip.end_ms = end_ms
        if self.fold.seen.lat is not None and self.fold.seen.lon is not None and trip.kind == "driven":
            trip.whole.route.arrive(self.fold.seen.lat, self.fold.seen.lon)
        self.ended.append(trip)
        self.fold.trip = None

    def _end_standing(self, end_ms: int) -> None:
        """The trip ended when the vehicle came to a stand."""
        trip = self.fold.trip
        assert trip is not None
        trip.pending = None
        trip.end_ms = end_ms
        self.ended.append(trip)
        self.fold.trip = None


def as_ended(fold: Fold) -> Trip | None:
    """A copy of the record under way, as if it had ended with the latest sample."""
    if fold.trip is None:
        return None
    folding = _Folding(_copier.decode(msgspec.msgpack.encode(fold)), Rules())
    trip = folding.fold.trip
    assert trip is not None
    folding.end(trip.end_ms)
    return trip


_copier = msgspec.msgpack.Decoder(Fold)


def _counting(run: Run, before_km: float | None, first: int, beyond: int) -> tuple[int, int] | None:
    indices = list[int]()
    for index in range(first, beyond):
        value = run.odo_km[index]
        if value is not None:
            if before_km is not None and value > before_km:
                indices.append(index)
            before_km = value
    return (indices[0], indices[-1]) if indices else None


def _see(seen: Seen, run: Run, first: int, beyond: int) -> None:
    """The latest values are known now."""
    seen.t = run.t[beyond - 1]
    for name, column in (("odo_km", run.odo_km), ("soc_pct", run.soc_pct), ("speed_kmh", run.speed_kmh)):
        if column and (value := _last(run, column, first, beyond)) is not None:
            setattr(seen, name, value)
    if run.lat and (lat := _last(run, run.lat, first, beyond)) is not None:
        seen.lat, seen.lon = lat, _last(run, run.lon, first, beyond)


def _see_first(seen: Seen, run: Run, first: int, beyond: int) -> None:
    """The earliest values of a piece."""
    for name in ("odo_km", "soc_pct", "speed_kmh", "lat", "lon"):
        values = getattr(run, name)[first:beyond]
        setattr(seen, name, next((value for value in values if value is not None), None))


def _last(run: Run, column: list[Any], first: int, beyond: int) -> Any:
    if run.whole or column[beyond - 1] is not None:
        return column[beyond - 1]
    return next((value for value in reversed(column[first:beyond]) if value is not None), None)


def _away_m(before: Seen, after: Seen) -> float | None:
    if before.lat is None or before.lon is None or after.lat is None or after.lon is None:
        return None
    return distance_m(before.lat, before.lon, after.lat, after.lon)
