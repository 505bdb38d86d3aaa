"""Vehicles with trips in the real tables, and roll-ups at work on them."""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from functions.trips import rollup_service, rollup_store
from functions.trips.rollup import Period, Totals, Trip
from shared import settings
from shared.clock import Clock, to_epoch_ms
from shared.identity.vehicle import shard
from shared.messaging import contracts, publisher
from shared.messaging.envelope import Envelope
from shared.messaging.publisher import Outgoing
from shared.storage.tables import MAX_TRANSACTION_ENTITIES, Row, Table, Write, delete, upsert

HOUR_MS, DAY_MS = 3_600_000, 86_400_000

# A Monday, and the weeks around it.
MONDAY = date(2026, 4, 27)
WEDNESDAY_NIGHT, NEXT_MONDAY_NIGHT, A_DAY_LATER = "2026-04-29T03:30:00", "2026-05-04T03:30:00", "2026-05-05T03:30:00"
YEAR = date(2026, 1, 1), date(2027, 1, 1)


def at(text: str) -> int:
    """Epoch milliseconds of an ISO time, UTC unless it says otherwise."""
    moment = datetime.fromisoformat(text)
    return to_epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def trip(start: str | int, **changes: Any) -> Trip:
    """A drive of half an hour over 20 km."""
    started_at_ms = at(start) if isinstance(start, str) else start
    known: dict[str, Any] = {
        "started_at_ms": started_at_ms,
        "ended_at_ms": started_at_ms + HOUR_MS // 2,
        "distance_km": 20.0,
        "duration_s": 1800.0,
        "idle_s": 120.0,
        "start_time_zone": "Europe/Berlin",
        "brand": "Aurora",
        "model": "E1",
    }
    return Trip(**known | changes)


@dataclass
class Owned:
    """A vehicle with an id of its own."""

    vehicle_id: str = field(default_factory=lambda: f"car-{secrets.token_hex(6)}")

    async def drove(self, *trips: Trip) -> None:
        """Stores or revises trips, as the trips job does."""
        for one in trips:
            values = msgspec.structs.asdict(one) | {"start_lat": 52.42, "start_lon": 10.78, "polyline": "_p~iF~ps|U"}
            await Table(settings.TRIPS_TABLE).commit([upsert(Row(self.vehicle_id, self._key(one), values))])
        await self.noted(*trips)

    async def withdrew(self, *trips: Trip) -> None:
        await self.lost(*trips)
        await self.noted(*trips)

    async def lost(self, *trips: Trip) -> None:
        """Without a word, as for their age."""
        for one in trips:
            await Table(settings.TRIPS_TABLE).commit([delete(Row(self.vehicle_id, self._key(one)))])

    async def noted(self, *trips: Trip) -> None:
        await rollup_store.note_changed((self.vehicle_id, one.started_at_ms) for one in trips)

    async def charged(self, start: str) -> None:
        key = f"{9_999_999_999_999 - at(start):013d}"
        await Table(settings.CHARGING_SESSIONS_TABLE).commit([upsert(Row(self.vehicle_id, key, {"lat": 52.42}))])

    def _key(self, one: Trip) -> str:
        return f"{9_999_999_999_999 - one.started_at_ms:013d}"

    async def rows(self) -> dict[str, Row]:
        """What roll-ups keep of the vehicle, by key without its id."""
        found = Table(settings.TRIP_ROLLUPS_TABLE).query(shard(self.vehicle_id))
        ours = {self.vehicle_id, f"WeeklyDigestReady-{self.vehicle_id}"}
        return {row.key.replace(self.vehicle_id, ""): row async for row in found if ours & set(row.key.split("|"))}


@dataclass
class RollUps:
    """Takes the place of broker and host: commands are handled as they are sent, events are kept.

    With `shard`, nothing is done for others, in which vehicles of other tests are.
    """

    shard: str | None = None
    commands: list[Envelope] = field(default_factory=list)
    events: dict[str, Envelope] = field(default_factory=dict)

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        for one in outgoing:
            if one.destination == settings.TRIP_COMMANDS:
                if self.shard is None or self.shard.startswith(str(one.envelope.subject)):
                    self.commands.append(one.envelope)
            else:
                assert one.destination == settings.DOMAIN_EVENTS
                known = self.events.setdefault(one.envelope.id, one.envelope)
                assert known.data == one.envelope.data, "the same id tells the same"

    async def run(self, now: str) -> None:
        """One run of the timer, and everything that follows from it."""
        await rollup_service.start(clock=clock_at(now))
        await self.work(now)

    async def work(self, now: str) -> None:
        """Handles commands until none is left; one that fails stays."""
        while self.commands:
            await rollup_service.obey(self.commands[0], clock=clock_at(now))
            del self.commands[0]

    def digests(self, vehicle_id: str) -> list[contracts.WeeklyDigestReady]:
        told = [contracts.decode(event, contracts.WeeklyDigestReady) for event in self.events.values()]
        return [one for one in told if one.vehicle_id == vehicle_id]


def clock_at(now: str) -> Clock:
    return lambda: datetime.fromisoformat(now).replace(tzinfo=UTC)


def alike(vehicle_id: str, count: int) -> list[str]:
    """Other ids of the same shard."""
    candidates = (f"{vehicle_id}-{number}" for number in range(1_000_000))
    found = (name for name in candidates if shard(name) == shard(vehicle_id))
    return [next(found) for _ in range(count)]


async def emptied() -> None:
    """Forgets what other tests rolled up: a month of the fleet is complete when all of it is."""
    table = Table(settings.TRIP_ROLLUPS_TABLE)
    by_partition = defaultdict[str, list[Write]](list)
    async for row in table.query(select=()):
        by_partition[row.partition].append(delete(Row(row.partition, row.key)))
    for writes in by_partition.values():
        for start in range(0, len(writes), MAX_TRANSACTION_ENTITIES):
            await table.commit(writes[start : start + MAX_TRANSACTION_ENTITIES])


def patched(monkeypatch: Any, shard: str | None = None) -> RollUps:
    roll_ups = RollUps(shard)
    monkeypatch.setattr(publisher, "send", roll_ups.send)
    return roll_ups


async def stored(car: Owned) -> dict[Period, Totals]:
    return dict((await rollup_store.known(car.vehicle_id, *YEAR)).totals)


async def read(car: Owned, now: str = A_DAY_LATER) -> dict[Period, Totals]:
    """As an API would, without the timer."""
    return await rollup_service.read_totals(car.vehicle_id, *YEAR, clock=clock_at(now))


async def marks(car: Owned) -> list[str]:
    return [key for key in await car.rows() if key.startswith("~changed")]


def week() -> list[Trip]:
    return [
        trip("2026-04-27T06:00:00", energy_kwh=3.0, eco_score=80.0),
        trip("2026-04-28T22:30:00", energy_kwh=2.0, eco_score=60.0),  # Wednesday in Berlin
        trip("2026-05-01T09:00:00"),
    ]
