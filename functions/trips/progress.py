"""What each event does to a vehicle's trips. States go in and new ones come out; none is changed in place.

The fold goes on only when no message is missing; what comes out of order makes it repeat over the rows, from the
start of the trip before. So the trips depend on the set of samples and not on the order in which they came.

A trip is announced when its summary differs from the one that was announced last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from functions.trips.agenda import Policy
from functions.trips.reception import Reception
from functions.trips.segmentation import TUNNEL_MS, Fold, Span, advance, in_order
from functions.trips.summary import Summary, summarise, trip_id
from functions.trips.telemetry import Telemetry
from functions.trips.vehicle_trips import RETENTION_MS, VehicleTrips

PORTION = 30  # trips that are found or announced in one transaction
TIDY_AGAIN_MS = 12 * 3_600_000  # after which it is seen whether more rows can be removed


@dataclass(frozen=True, slots=True)
class Intake:
    """What taking in messages led to. `state` is None if all of them were known."""

    state: VehicleTrips | None
    new: list[Telemetry]
    too_late: list[Telemetry]
    too_many: list[Telemetry]


class Announcement(NamedTuple):
    """What has to be told about a trip: its summary, or if there is none that it is withdrawn."""

    trip_id: str
    start_ms: int
    revision: int
    summary: Summary | None


def take_in(before: VehicleTrips, messages: Iterable[Telemetry], policy: Policy) -> Intake:
    """Messages that arrived, in any order and any number of times."""
    state, new, too_late, too_many = before.copy(), list[Telemetry](), list[Telemetry](), list[Telemetry]()
    taken = set[tuple[str, int]]()  # a reception with many gaps forgets at once, and a row is written once
    for message in messages:
        boot, number = state.boots.setdefault(message.boot, Reception()), (message.boot, message.seq)
        if boot.has(message.seq) or number in taken:
            continue
        taken.add(number)
        boot.add(message.seq)
        boot.heard_ms = max(boot.heard_ms, message.arrived_ms)
        state.heard_ms = max(state.heard_ms, message.arrived_ms)
        if not message.samples:
            continue
        if message.last_ms <= state.horizon_ms:
            too_late.append(message)
        else:
            (new if state.spend(len(message.samples)) else too_many).append(message)
    if not taken:
        return Intake(None, [], [], [])
    state.forget_boots()
    state.note_missing()
    if new:
        _fold_in(state, new, policy)
        state.tidy_ms = state.tidy_ms or state.heard_ms + RETENTION_MS
    return Intake(state, new, too_late, too_many)


def _fold_in(state: VehicleTrips, new: Sequence[Telemetry], policy: Policy) -> None:
    samples = in_order(new, after_ms=state.horizon_ms)
    follows = state.fold.last is None or samples[0][0] > state.fold.last
    taken = 0
    if follows and state.refold_from_ms is None and state.waiting_since_ms is None and len(state.unsettled()) < PORTION:
        spans, taken = advance(state.fold, samples, policy.limits, PORTION)
        for span in spans:
            state.found(span)
    if taken < len(samples):
        first_ms = samples[taken][0].t
        state.refold_from_ms = first_ms if state.refold_from_ms is None else min(state.refold_from_ms, first_ms)
        base_ms = state.start_before(state.refold_from_ms)
        if any(known.revision and known.start_ms >= base_ms for known in state.known):
            state.late_ms = state.heard_ms


def waive(before: VehicleTrips) -> VehicleTrips:
    """No longer waits for messages that are missing."""
    state = before.copy()
    for boot in state.boots.values():
        boot.waive()
    state.note_missing()
    return state


def needed_from_ms(state: VehicleTrips, *, close: bool = False) -> int | None:
    """The earliest sample that `settle` needs to see; None if it has nothing to do."""
    starts = [known.start_ms for known in state.unsettled()]
    if state.refold_from_ms is not None:
        starts.append(state.start_before(state.refold_from_ms))
    if close and state.is_open and state.under_way_ms is not None:
        starts.append(state.under_way_ms)
    return min(starts, default=None)


def settle(
    before: VehicleTrips,
    vehicle_id: str,
    rows: Sequence[Telemetry],
    now_ms: int,
    policy: Policy,
    *,
    close: bool = False,
) -> tuple[VehicleTrips, list[Announcement]]:
    """Brings the announcements up to the samples, a portion at a time; with `close` also for the trip under way.

    `rows` are all messages with a sample at or after `needed_from_ms`. Closing leaves the fold as it is: telemetry
    that follows after all goes on with the trip and makes a revision.
    """
    state = before.copy()
    if state.refold_from_ms is not None:
        _refold(state, rows, policy)
    due = state.unsettled()[:PORTION]
    if close and not due and state.refold_from_ms is None and state.fold.trip is not None:
        state.found(Span(state.fold.trip.start_ms, state.fold.trip.end_ms))
        due = [known for known in state.known if known.settled_ms is None]
    announcements = list[Announcement]()
    for known in due:
        span = None if known.end_ms is None else Span(known.start_ms, known.end_ms)
        summary = None if span is None else summarise(vehicle_id, span, rows, policy.limits.silence_ms)
        known.settled_ms = now_ms
        if (digest := _digest(summary)) != known.digest:
            known.digest, known.revision = digest, known.revision + 1
            name = trip_id(vehicle_id, known.start_ms)
            announcements.append(Announcement(name, known.start_ms, known.revision, summary))
    state.forget_trips()
    if state.refold_from_ms is None and not state.unsettled():
        state.late_ms = None
    return state, announcements


def _refold(state: VehicleTrips, rows: Sequence[Telemetry], policy: Policy) -> None:
    assert state.refold_from_ms is not None
    base_ms = state.start_before(state.refold_from_ms)
    samples = in_order(rows, after_ms=base_ms - 1)
    state.fold = Fold()
    spans, taken = advance(state.fold, samples, policy.limits, PORTION)
    state.refold_from_ms = samples[taken][0].t if taken < len(samples) else None
    starts = {span.start_ms for span in spans} | {state.under_way_ms}
    for known in state.known:
        is_refolded = state.refold_from_ms is None or known.start_ms < state.refold_from_ms
        if known.start_ms >= base_ms and is_refolded and known.end_ms is not None:
            known.settled_ms = None
            known.end_ms = known.end_ms if known.start_ms in starts else None
    for span in spans:
        state.found(span)


def _digest(summary: Summary | None) -> bytes:
    return b"" if summary is None else blake2b(msgspec.json.encode(summary), digest_size=8).digest()


def tidy(before: VehicleTrips, now_ms: int) -> VehicleTrips:
    """Moves the horizon to where no trip that may still change begins: rows before it can be removed."""
    state, oldest_ms = before.copy(), now_ms - RETENTION_MS
    under_way = state.fold.trip
    if under_way is not None and not state.is_open and under_way.end_ms + TUNNEL_MS <= oldest_ms:
        state.fold.trip = None  # as any later sample would end it
    horizon_ms = oldest_ms if state.under_way_ms is None else min(oldest_ms, state.under_way_ms - 1)
    for known in state.known:
        if known.settled_ms is None or max(known.settled_ms, known.end_ms or 0) > oldest_ms:
            horizon_ms = min(horizon_ms, known.start_ms - 1)
    state.horizon_ms = max(state.horizon_ms, horizon_ms)
    state.known = [known for known in state.known if known.start_ms > state.horizon_ms]
    return state


def tidied(before: VehicleTrips, now_ms: int, *, rows_left: bool) -> VehicleTrips:
    """Rows were removed; whether any are left."""
    state = before.copy()
    state.tidy_ms = now_ms + TIDY_AGAIN_MS if rows_left else None
    return state
