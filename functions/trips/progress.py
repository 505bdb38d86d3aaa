"""What each event does to a vehicle's trips. The state is the caller's own copy, and goes on in place.

The fold goes on only when no message is missing; what comes out of order makes it repeat over the rows, from the
start of the drive before. So the trips depend on the set of samples and not on the order in which they came.

A record is announced when it has ended, and again when its summary differs from the one that was announced last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from functions.trips import charging
from functions.trips.agenda import Policy
from functions.trips.reception import Reception
from functions.trips.records import Kind, Trip
from functions.trips.samples import Chapter, Message, Place, in_order
from functions.trips.segmentation import advance, as_ended
from functions.trips.silence import LONGEST_CHARGE_MS
from functions.trips.summary import ChargingSession, Summary, summarise
from functions.trips.vehicle_trips import RETENTION_MS, Known, VehicleTrips

PORTION = 20  # records that may end in one transaction; with those that are withdrawn twice as many are announced
TIDY_AGAIN_MS = 12 * 3_600_000  # after which it is seen whether more rows can be removed

Record = Summary | ChargingSession


class Announcement(NamedTuple):
    """What has to be told about a record: its summary, or if there is none that it is withdrawn."""

    kind: Kind
    start_ms: int
    revision: int
    record: Record | None


@dataclass(slots=True)
class Intake:
    """What taking in messages led to."""

    is_changed: bool = False  # not if all of them were known
    new: list[Message] = field(default_factory=list)
    too_late: list[Message] = field(default_factory=list)
    too_many: list[Message] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)


class Arrival(NamedTuple):
    """A message that arrived without a usable sample: nobody needs to wait for it."""

    boot: str
    seq: int
    arrived_ms: int


def take_in(state: VehicleTrips, vehicle_id: str, messages: Iterable[Message | Arrival], policy: Policy) -> Intake:
    """Messages that arrived, in any order and any number of times."""
    intake = Intake()
    taken = set[tuple[str, int]]()  # a reception with many gaps forgets at once, and a row is written once
    for message in messages:
        number = (message.boot, message.seq)
        boot = state.boots.get(message.boot)
        if boot is None:
            boot = state.boots[message.boot] = Reception()
        if number in taken or boot.has(message.seq):
            continue
        taken.add(number)
        boot.add(message.seq)
        boot.heard_ms = max(boot.heard_ms, message.arrived_ms)
        state.heard_ms = max(state.heard_ms, message.arrived_ms)
        if isinstance(message, Arrival):
            continue
        if message.run.t[-1] <= state.horizon_ms:
            intake.too_late.append(message)
        elif state.spend(len(message.run.t)):
            intake.new.append(message)
        else:
            intake.too_many.append(message)
    if not taken:
        return intake
    intake.is_changed = True
    state.forget_boots()
    state.note_missing()
    if intake.new:
        intake.announcements = _fold_in(state, vehicle_id, intake.new, policy)
        state.tidy_ms = state.tidy_ms or state.heard_ms + RETENTION_MS
    return intake


def _fold_in(state: VehicleTrips, vehicle_id: str, new: Sequence[Message], policy: Policy) -> list[Announcement]:
    chapters = in_order(new, _horizon(state))
    last = state.fold.last
    if last is not None and chapters[0].place(0) <= last:
        first_ms = chapters[0].run.t[0]
        state.refold_from_ms = first_ms if state.refold_from_ms is None else min(state.refold_from_ms, first_ms)
        base = state.base(state.refold_from_ms)
        if any(known.digest and known.is_found_behind(base) for known in state.known):
            state.late_ms = state.heard_ms
        return []
    if state.is_due or state.waiting_since_ms is not None:
        state.behind = True
        return []
    return _advance(state, vehicle_id, chapters, state.heard_ms, policy)


def _horizon(state: VehicleTrips) -> Place:
    """Behind all samples that come too late: "~" follows whatever boots are called."""
    return state.horizon_ms, "~", 0


def _advance(
    state: VehicleTrips, vehicle_id: str, chapters: Sequence[Chapter], now_ms: int, policy: Policy
) -> list[Announcement]:
    ended, is_complete = advance(state.fold, chapters, policy.rules, PORTION)
    state.behind, state.closed_ms = not is_complete, None
    announcements = [one for trip in ended if (one := _announce(state, vehicle_id, trip, now_ms, policy))]
    state.forget_oldest()
    return announcements


def _announce(state: VehicleTrips, vehicle_id: str, trip: Trip, now_ms: int, policy: Policy) -> Announcement | None:
    record = summarise(vehicle_id, trip, policy.parameters, is_private=state.is_private)
    known = state.find(trip.kind, trip.start_ms)
    if known is None:
        if record is None:
            return None
        known = Known(trip.kind, trip.start_ms, trip.end_ms, now_ms)
        state.remember(known)
    known.end_ms, known.first, known.is_stale = trip.end_ms, trip.first, False
    known.unsure_ms, known.since_ms = trip.unsure_ms, trip.since_ms
    return _told(known, record, now_ms)


def _told(known: Known, record: Record | None, now_ms: int) -> Announcement | None:
    """Nothing if it is known as it is."""
    digest = b"" if record is None else blake2b(msgspec.msgpack.encode(record), digest_size=8).digest()
    if digest == known.digest:
        return None
    known.digest, known.revision, known.settled_ms = digest, known.revision + 1, now_ms
    return Announcement(known.kind, known.start_ms, known.revision, record)


def waive(state: VehicleTrips) -> None:
    """No longer waits for messages that are missing."""
    for boot in state.boots.values():
        boot.waive()
    state.note_missing()


def needed_from_ms(state: VehicleTrips) -> int | None:
    """The earliest sample that `settle` needs to see; None if it needs none."""
    if state.refold_from_ms is not None:
        return state.base(state.refold_from_ms)[0]
    if not state.behind:
        return None
    return state.horizon_ms + 1 if state.fold.last is None else state.fold.last[0]


def settle(
    state: VehicleTrips,
    vehicle_id: str,
    rows: Sequence[Message],
    now_ms: int,
    policy: Policy,
    *,
    close: bool = False,
) -> list[Announcement]:
    """Brings the announcements up to the samples, a portion at a time; with `close` also for the trip under way.

    `rows` are all messages with a sample at or after `needed_from_ms`. Closing leaves the fold as it is: telemetry
    that follows after all goes on with the trip and makes a revision.
    """
    announcements = list[Announcement]()
    if state.refold_from_ms is not None:
        _begin_anew(state)
    if state.behind:
        chapters = in_order(rows, max(state.fold.last or _horizon(state), _horizon(state)))
        announcements += _advance(state, vehicle_id, chapters, now_ms, policy)
        announcements += _withdraw(state, now_ms, 2 * PORTION - len(announcements))
    if close and not state.behind:
        state.closed_ms = state.fold.end_ms
        under_way = as_ended(state.fold, policy.rules)
        announcements += [one for trip in under_way if (one := _announce(state, vehicle_id, trip, now_ms, policy))]
    if not state.is_due:
        state.late_ms = None
    return announcements


def _begin_anew(state: VehicleTrips) -> None:
    assert state.refold_from_ms is not None
    state.begin_anew(state.refold_from_ms)
    state.refold_from_ms, state.behind, state.closed_ms = None, True, None


def _withdraw(state: VehicleTrips, now_ms: int, limit: int) -> list[Announcement]:
    """Tells of what the repeated fold has passed by and not found again; what exceeds the limit, the next time."""
    last = state.fold.last
    frontier_ms = last[0] if last is not None else 0
    for under_way in state.fold.under_way:
        known = state.find(under_way.kind, under_way.start_ms)
        if known is not None and (under_way.kind != "charging" or charging.counts(under_way)):
            known.is_stale = False
        frontier_ms = min(frontier_ms, under_way.start_ms)
    gone = [one for one in state.known if one.is_stale and (not state.behind or one.start_ms < frontier_ms)]
    state.behind = state.behind or len(gone) > limit
    for known in gone[:limit]:
        known.is_stale = False
    return [told for known in gone[:limit] if (told := _told(known, None, now_ms))]


def tidy(state: VehicleTrips, now_ms: int, policy: Policy) -> None:
    """Moves the horizon to where no trip that may still change begins: rows before it can be removed."""
    oldest_ms, fold = now_ms - RETENTION_MS, state.fold
    if not state.is_open:  # what any later sample would end is dropped
        if fold.trip is not None and fold.trip.end_ms + policy.rules.tunnel_ms <= oldest_ms:
            fold.trip = None
        if fold.charge is not None and fold.charge.end_ms + LONGEST_CHARGE_MS <= oldest_ms:
            fold.charge = None
    horizons_ms = [known.horizon_ms for known in state.known if known.is_recent(oldest_ms)]
    horizons_ms += [trip.horizon_ms for trip in fold.under_way]
    state.move_horizon(min([oldest_ms, *horizons_ms]))
    state.known = [known for known in state.known if known.start_ms > state.horizon_ms or known.is_recent(oldest_ms)]


def tidied(state: VehicleTrips, now_ms: int, *, rows_left: bool) -> None:
    """Rows were removed; whether any are left."""
    state.tidy_ms = now_ms + TIDY_AGAIN_MS if rows_left else None
