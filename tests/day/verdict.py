"""What the cloud made of the day, held against what the cars did."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.day.plan import CarDay, PlannedDrive

MOMENT_ERROR_S: Final = 60.0
DISTANCE_ERROR_PCT: Final = 2.0

Row = Mapping[str, Any]


class Event(NamedTuple):
    """What was published about a trip: `told` is the body."""

    message_id: str
    kind: str
    told: Mapping[str, Any]


@dataclass(slots=True)
class Verdict:
    """Violations by kind, in words, and figures."""

    drives: int = 0
    trips: int = 0
    errors_pct: list[float] = field(default_factory=list)
    errors_s: list[float] = field(default_factory=list)
    revisions: Counter[int] = field(default_factory=Counter)  # trips by their last revision
    withdrawn: int = 0
    copies: int = 0  # of events that were published with the same id: what a consumer's inbox is for
    violations: list[str] = field(default_factory=list)

    def complain(self, kind: str, day: CarDay, what: str) -> None:
        self.violations.append(f"{kind}: car {day.number} ({', '.join(day.traits)}): {what}")


def judge(days: Sequence[CarDay], rows: Sequence[Row], events: Sequence[Event]) -> Verdict:
    """`rows` are those of the table of trips."""
    verdict = Verdict()
    rows_of, events_of = defaultdict[str, list[Row]](list), defaultdict[str, list[Event]](list)
    for row in rows:
        rows_of[row["vehicle_id"]].append(row)
    for event in events:
        events_of[event.told["vehicle_id"]].append(event)
    for day in days:
        _judge_trips(verdict, day, rows_of[day.vehicle_id])
        _judge_events(verdict, day, rows_of[day.vehicle_id], events_of[day.vehicle_id])
    known = {day.vehicle_id for day in days}
    verdict.violations += [f"unknown: trips of {stranger}" for stranger in (rows_of.keys() | events_of) - known]
    return verdict


def _judge_trips(verdict: Verdict, day: CarDay, rows: Sequence[Row]) -> None:
    """Every drive has exactly one trip, and there is no other."""
    verdict.drives += len(day.drives)
    verdict.trips += len(rows)
    left = sorted(rows, key=lambda row: row["started_at_ms"])
    for number, drive in enumerate(day.drives, 1):
        found = [row for row in left if abs(row["started_at_ms"] - drive.started_at_ms) <= MOMENT_ERROR_S * 1000]
        left = [row for row in left if row not in found]
        where = f"drive {number} of {len(day.drives)} [{', '.join(drive.hardships)}]"
        if len(found) == 1:
            _judge_trip(verdict, day, drive, found[0], where)
        else:
            verdict.complain("double" if found else "missing", day, f"{where} has {len(found)} trips")
    for row in left:
        what = f"{row['distance_km']} km in {row['duration_s']:.0f} s from {_within(day, row['started_at_ms'])}"
        verdict.complain("extra", day, f"{row['trip_id']}: {what}")


def _judge_trip(verdict: Verdict, day: CarDay, drive: PlannedDrive, row: Row, where: str) -> None:
    error_pct = abs(row["distance_km"] / drive.distance_km - 1) * 100
    verdict.errors_pct.append(error_pct)
    if error_pct > DISTANCE_ERROR_PCT:
        compared = f"{row['distance_km']:.2f} km by {row['distance_source']} for {drive.distance_km:.2f} km"
        verdict.complain("distance", day, f"{where}: {error_pct:.1f} % off, {compared}")
    error_s = abs(row["ended_at_ms"] - drive.ended_at_ms) / 1000
    verdict.errors_s.append(error_s)
    if error_s > MOMENT_ERROR_S:
        verdict.complain("end", day, f"{where}: ends {(row['ended_at_ms'] - drive.ended_at_ms) / 1000:.0f} s after it")


def _judge_events(verdict: Verdict, day: CarDay, rows: Sequence[Row], events: Sequence[Event]) -> None:
    """A trip is completed once, then revised by ones, and its row is what was said last."""
    stored = {row["trip_id"]: row for row in rows}
    of_trip = defaultdict[str, dict[int, Event]](dict)
    for event in (event for event in events if "trip_id" in event.told):
        revisions, revision = of_trip[event.told["trip_id"]], event.told["revision"]
        if revision not in revisions:
            revisions[revision] = event
        elif revisions[revision] == event:
            verdict.copies += 1
        else:
            verdict.complain("told twice", day, f"{event.told['trip_id']}: different events for revision {revision}")
    for trip_id in stored.keys() | of_trip:
        fault = _fault(stored.get(trip_id), of_trip.get(trip_id, {}))
        if fault:
            verdict.complain("events", day, f"{trip_id}: {fault}")
    for trip_id, revisions in of_trip.items():
        verdict.revisions[max(revisions)] += 1
        verdict.withdrawn += trip_id not in stored


def _fault(row: Row | None, revisions: Mapping[int, Event]) -> str | None:
    if sorted(revisions) != list(range(1, len(revisions) + 1)):
        return f"announced in revisions {sorted(revisions)}"
    if not revisions:
        return "never announced"
    kinds = [revisions[revision].kind for revision in sorted(revisions)]
    if kinds != ["TripCompleted", *["TripRevised"] * (len(revisions) - 1)]:
        return f"announced as {', '.join(kinds)}"
    last = revisions[len(revisions)].told
    if (row is None) != last.get("withdrawn", False):
        return "withdrawn, but it has a row" if row else "never withdrawn, but it has no row"
    if row is not None and any(row[name] != last[name] for name in ("revision", "distance_km", "ended_at_ms")):
        return f"its row is of revision {row['revision']} and the last event of {last['revision']}"
    return None


def _within(day: CarDay, moment_ms: int) -> str:
    for number, drive in enumerate(day.drives, 1):
        if drive.started_at_ms <= moment_ms <= drive.ended_at_ms:
            into_s = (moment_ms - drive.started_at_ms) // 1000
            return f"{into_s} s into drive {number} [{', '.join(drive.hardships)}]"
    return "a time when it was parked"
