"""One vehicle's update: a state machine without I/O.

    planned → offered → downloading → downloaded → installing → succeeded | failed | rejected

The status only moves forward and may skip steps, because reports get lost. What is late, repeated or backward changes
nothing, so any order and any number of deliveries of one vehicle's reports end in the same status.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class Status(StrEnum):
    """How far a vehicle has come, as the cloud knows it."""

    PLANNED = "planned"
    OFFERED = "offered"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLING = "installing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"

    @property
    def terminal(self) -> bool:
        return _RANK[self] == _LAST

    def precedes(self, other: "Status") -> bool:
        """Whether going from here to `other` is a step forward. Nothing follows an end, not even another end."""
        return _RANK[self] < _RANK[other]


_LAST = 5
_RANK = {
    Status.PLANNED: 0,
    Status.OFFERED: 1,
    Status.DOWNLOADING: 2,
    Status.DOWNLOADED: 3,
    Status.INSTALLING: 4,
    Status.SUCCEEDED: _LAST,
    Status.FAILED: _LAST,
    Status.REJECTED: _LAST,
}


class Signal(StrEnum):
    """What a vehicle can report (docs/vehicle-protocol.md)."""

    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLING = "installing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    LINK_EXPIRED = "link-expired"


class Effect(Enum):
    """What has to follow from a step, besides the new state."""

    ANNOUNCE = auto()  # tell the other jobs that the vehicle has an offer: once per vehicle
    CONCLUDE = auto()  # tell them that it reached its end, and count it: once per vehicle
    RENEW_LINK = auto()  # put a fresh download link before the vehicle: as often as asked
    WITHDRAW = auto()  # take the offer away from the vehicle: again whenever it still acts on it


@dataclass(frozen=True, slots=True)
class VehicleUpdate:
    """Where one vehicle stands in one campaign; `reported_at_ms` is the vehicle's own time of its last step."""

    status: Status = Status.PLANNED
    reason: str | None = None
    reported_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The state after something happened, and what has to follow. An unchanged state needs no write."""

    update: VehicleUpdate
    effects: frozenset[Effect] = frozenset()


def offer_made(update: VehicleUpdate) -> Step:
    """The offer stands in the vehicle's twin. A fast vehicle may have reported before this was noted."""
    if update.status is Status.PLANNED:
        return Step(VehicleUpdate(Status.OFFERED), frozenset({Effect.ANNOUNCE}))
    if update.status.terminal:
        return Step(update, frozenset({Effect.WITHDRAW}))
    return Step(update)


def offer_refused(update: VehicleUpdate, reason: str) -> Step:
    """The hub does not take an offer for this vehicle. One that has reported meanwhile goes on by its reports."""
    if update.status is Status.PLANNED:
        return Step(VehicleUpdate(Status.FAILED, reason), frozenset({Effect.CONCLUDE}))
    return Step(update)


def reported(update: VehicleUpdate, signal: Signal, *, at_ms: int, reason: str | None = None) -> Step:
    """The vehicle says how far it has come. A vehicle that still speaks after its end still sees the offer."""
    if update.status.terminal:
        return Step(update, frozenset({Effect.WITHDRAW}))
    if signal is Signal.LINK_EXPIRED:
        return Step(update, frozenset({Effect.RENEW_LINK}))
    status = Status(signal.value)
    if not update.status.precedes(status):
        return Step(update)
    effects = {Effect.ANNOUNCE} if update.status is Status.PLANNED else set()
    if status.terminal:
        effects |= {Effect.CONCLUDE, Effect.WITHDRAW}
    return Step(VehicleUpdate(status, reason, at_ms), frozenset(effects))
