"""What this job says, to itself and to others. The id of a message is made of what it tells, so that it is the same
whenever the same fact is told again.
"""

from typing import Annotated, Any

import msgspec

from functions.trips.progress import Announcement
from functions.trips.summary import Summary
from shared.messaging.contracts import Message, TripCompleted, TripRevised, to_envelope
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


def trip_event(vehicle_id: str, announcement: Announcement, now_ms: int) -> Envelope:
    """The first announcement of a trip is its completion, each further one a revision."""
    return to_envelope(
        _event(vehicle_id, announcement),
        message_id=f"{announcement.trip_id}-{announcement.revision}",
        source=SOURCE,
        subject=vehicle_id,
        time_ms=now_ms,
    )


def _event(vehicle_id: str, announcement: Announcement) -> Message:
    summary = announcement.summary
    if summary is None:
        return TripRevised(
            trip_id=announcement.trip_id,
            vehicle_id=vehicle_id,
            revision=announcement.revision,
            started_at_ms=announcement.start_ms,
            ended_at_ms=announcement.start_ms,
            distance_km=0.0,
            duration_s=0.0,
            idle_s=0.0,
            withdrawn=True,
        )
    kind = TripCompleted if announcement.revision == 1 else TripRevised
    return kind(revision=announcement.revision, **_told(summary))


def _told(summary: Summary) -> dict[str, Any]:
    """The part of the summary that events carry: no positions."""
    fields = set(TripCompleted.__struct_fields__) - {"revision"}
    return {name: getattr(summary, name) for name in fields}


def trip_values(vehicle_id: str, announcement: Announcement) -> dict[str, str | int | float | None]:
    """The trip as a row that readers rely on; one that is withdrawn has no distance."""
    values: dict[str, str | int | float | None] = {
        "trip_id": announcement.trip_id,
        "vehicle_id": vehicle_id,
        "started_at_ms": announcement.start_ms,
        "revision": announcement.revision,
    }
    if announcement.summary is not None:
        values |= msgspec.structs.asdict(announcement.summary)
        values["dropped"] = msgspec.json.encode(announcement.summary.dropped).decode()
    return values
