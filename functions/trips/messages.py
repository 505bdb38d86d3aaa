"""What this job says, to itself and to others. The id of a message is made of what it tells, so that it is the same
whenever the same fact is told again.
"""

from typing import Annotated, Any

import msgspec

from functions.trips.progress import Announcement
from functions.trips.summary import ChargingSession, Summary, record_id
from shared.messaging.contracts import (
    ChargingCompleted,
    ChargingRevised,
    Message,
    TripCompleted,
    TripRevised,
    to_envelope,
)
from shared.messaging.envelope import Envelope

SOURCE = "trips"


class SweepPartition(Message, frozen=True, kw_only=True):
    """Attend to the vehicles of one partition of open trips that are due.

    A partition with more of them than one message should do is swept in rounds.
    """

    sweep_id: str
    partition: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{1,32}-[0-9]\Z")]
    round: int = 1


def sweep_partition(sweep_id: str, partition: str, now_ms: int, *, round_: int = 1) -> Envelope:
    return to_envelope(
        SweepPartition(sweep_id=sweep_id, partition=partition, round=round_),
        message_id=f"{sweep_id}-{partition}-{round_}",
        source=SOURCE,
        subject=partition,
        time_ms=now_ms,
    )


def event(vehicle_id: str, announcement: Announcement, now_ms: int) -> Envelope | None:
    """The first announcement of a record is its completion, each further one a revision; of carriage none is told."""
    told = _event(vehicle_id, announcement)
    if told is None:
        return None
    return to_envelope(
        told,
        message_id=_message_id(vehicle_id, announcement),
        source=SOURCE,
        subject=vehicle_id,
        time_ms=now_ms,
    )


def _message_id(vehicle_id: str, announcement: Announcement) -> str:
    """A charging session may begin with the moment with which a trip began."""
    name = f"{record_id(vehicle_id, announcement.start_ms)}-{announcement.revision}"
    return f"charging-{name}" if announcement.kind == "charging" else name


def _event(vehicle_id: str, announcement: Announcement) -> Message | None:
    is_first = announcement.revision == 1
    name = record_id(vehicle_id, announcement.start_ms)
    withdrawn: dict[str, Any] = {
        "vehicle_id": vehicle_id,
        "revision": announcement.revision,
        "started_at_ms": announcement.start_ms,
        "ended_at_ms": announcement.start_ms,
        "withdrawn": True,
    }
    match announcement.record:
        case Summary(kind="driven") as summary:
            kind = TripCompleted if is_first else TripRevised
            return kind(revision=announcement.revision, **_shared(summary, kind))
        case ChargingSession() as session:
            ended = ChargingCompleted if is_first else ChargingRevised
            return ended(revision=announcement.revision, **_shared(session, ended))
        case None if announcement.kind == "driven":
            return TripRevised(trip_id=name, distance_km=0.0, duration_s=0.0, idle_s=0.0, **withdrawn)
        case None if announcement.kind == "charging":
            return ChargingRevised(session_id=name, **withdrawn)
        case _:
            return None


def _shared(record: Summary | ChargingSession, kind: type[Message]) -> dict[str, Any]:
    """What event and record have in common: no positions."""
    names = set(kind.__struct_fields__) & set(record.__struct_fields__)
    return {name: getattr(record, name) for name in names}


def record_values(
    vehicle_id: str, announcement: Announcement, model: tuple[str, str, str] | None
) -> dict[str, str | int | float | None]:
    """The record as a row that readers rely on; one that is withdrawn has no end. `model`: brand, model, market."""
    values: dict[str, Any] = {
        "vehicle_id": vehicle_id,
        "started_at_ms": announcement.start_ms,
        "revision": announcement.revision,
        "kind": announcement.kind,
    }
    if announcement.record is not None:
        values |= msgspec.structs.asdict(announcement.record)
        values |= dict(zip(("brand", "model", "market"), (name or None for name in model or ()), strict=False))
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, dict | list | tuple) else value
        for name, value in values.items()
    }
