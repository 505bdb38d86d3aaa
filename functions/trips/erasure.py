"""What an erasure takes and what it leaves: pure. docs/adr/0012-erasure.md tells why.

An erasure has two moments: whatever arrived until `erased_ms` goes, and whatever was measured until `horizon_ms`, also
when it arrives later. They are written down first. Everything is removed by them, so that whoever repeats the erasure
removes the same again, and nothing of what came after it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from functions.trips.vehicle_trips import RETENTION_MS, VehicleTrips
from shared.messaging.contracts import EraseVehicle, Message, VehicleErased, to_envelope
from shared.messaging.envelope import Envelope

SOURCE = "trips"

MARK_MS = RETENTION_MS  # how long an erasure is remembered, because so long may what it took come again
# An invocation that began before may still write what it read before, until it is ended by host.json's functionTimeout.
SECOND_LOOK_MS = 15 * 60_000


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure that was begun; one that is done holds no more than whom and when, and of that there is no `removed`.

    Times are epoch milliseconds.
    """

    vehicle_id: str
    request_id: str
    erased_ms: int
    horizon_ms: int
    removed: dict[str, int] = {}  # how many of what kind there were when it began
    is_done: bool = False

    def covers(self, arrived_ms: int, measured_ms: int | None = None) -> bool:
        """Whether a message is of before: by its arrival, or because all that it measured (until then) was before."""
        return arrived_ms <= self.erased_ms or (measured_ms is not None and measured_ms <= self.horizon_ms)

    def takes(self, values: Mapping[str, Any]) -> bool:
        """Whether a row tells of before: records go by their start, messages by arrival or samples."""
        values = _told(values)
        if "started_at_ms" in values:
            return bool(values["started_at_ms"] <= self.horizon_ms)
        if "arrived_ms" in values:
            return self.covers(values["arrived_ms"], values["last_ms"])
        return bool(values["time_ms"] <= self.erased_ms)


def _told(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an outgoing message tells, beside what it says of itself."""
    if "data" not in values:
        return values
    told = msgspec.json.decode(values["data"])
    return {**values, **told} if isinstance(told, dict) else values


def latest_ms(values: Mapping[str, Any]) -> int:
    """The latest moment of measuring that a row tells of; cars' clocks may be ahead of ours. 0 if it tells of none."""
    told = _told(values)
    return max(told.get(name) or 0 for name in ("started_at_ms", "ended_at_ms", "last_ms"))


def begun_anew(state: VehicleTrips, erasure: Erasure) -> VehicleTrips:
    """The state of a vehicle of which nothing is known; whether it is private still holds."""
    return VehicleTrips(horizon_ms=erasure.horizon_ms, is_private=state.is_private)


def is_begun_anew(state: VehicleTrips, erasure: Erasure) -> bool:
    """Whether the state is one that began at this erasure or a later one."""
    return state.horizon_ms >= erasure.horizon_ms


def is_blank(state: VehicleTrips) -> bool:
    """Whether nothing was heard since it began anew. That it is private is known elsewhere too (shared.identity)."""
    return state == VehicleTrips(horizon_ms=state.horizon_ms, is_private=state.is_private)


class FinishErasure(Message, frozen=True, kw_only=True):
    """Look again for what was written while the erasure began, and tell that it is done."""

    vehicle_id: str
    request_id: str


class ForgetErasures(Message, frozen=True, kw_only=True):
    """Forget the erasures that are older than `MARK_MS`; with more than one message should do, in rounds."""

    run_id: str
    after: str = ""  # the key of the last one that was looked at
    round: int = 1


def command(vehicle_id: str, request_id: str, now_ms: int) -> Envelope:
    return to_envelope(
        EraseVehicle(vehicle_id=vehicle_id, request_id=request_id),
        message_id=f"EraseVehicle-{request_id}",
        source=SOURCE,
        subject=vehicle_id,
        time_ms=now_ms,
    )


def finish(erasure: Erasure, now_ms: int) -> Envelope:
    return to_envelope(
        FinishErasure(vehicle_id=erasure.vehicle_id, request_id=erasure.request_id),
        message_id=f"FinishErasure-{erasure.request_id}",
        source=SOURCE,
        subject=erasure.vehicle_id,
        time_ms=now_ms,
    )


def forget(command: ForgetErasures, now_ms: int) -> Envelope:
    return to_envelope(
        command,
        message_id=f"{command.run_id}-{command.round}",
        source=SOURCE,
        subject="erasures",
        time_ms=now_ms,
    )


def erased(erasure: Erasure) -> Envelope:
    """The same whenever it is told again."""
    told = VehicleErased(
        vehicle_id=erasure.vehicle_id,
        request_id=erasure.request_id,
        job=SOURCE,
        erased_at_ms=erasure.erased_ms,
        removed=erasure.removed,
    )
    return to_envelope(
        told,
        message_id=f"VehicleErased-{SOURCE}-{erasure.request_id}",
        source=SOURCE,
        subject=erasure.vehicle_id,
        time_ms=erasure.erased_ms,
    )
