"""Cars whose telemetry goes into real tables, and what was sent about them."""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from functions.trips import compact, service
from functions.trips.compact import Kept
from functions.trips.store import Store
from localcloud.services import LocalCloud
from shared import settings
from shared.clock import from_epoch_ms
from shared.identity.caller import Caller
from shared.messaging import parking, publisher
from shared.messaging.contracts import CloseTrip, to_envelope
from shared.messaging.device_messages import DeviceMessage
from shared.messaging.parking import Origin
from shared.messaging.publisher import Outgoing
from shared.settings import DOMAIN_EVENTS, TELEMETRY_HUB, TRIP_COMMANDS
from shared.storage.tables import Row, Table
from tests.trips.drives import MORNING_MS

Announced = Callable[[str], list[dict[str, Any]]]


@dataclass
class Car:
    """A car with an id of its own, whose messages come through one partition of the hub, and who reads its trips."""

    store: Store = field(default_factory=Store)
    vehicle_id: str = field(default_factory=lambda: f"car-{secrets.token_hex(6)}")
    partition: str = field(default_factory=lambda: secrets.token_hex(3))

    def message(self, body: bytes, number: int = 0, arrived_ms: int = MORNING_MS + 3_600_000) -> DeviceMessage:
        arrived_at = from_epoch_ms(arrived_ms)
        position = f"{self.partition}/{self.vehicle_id}-{number}"
        origin = Origin(TELEMETRY_HUB, position, arrived_at, self.vehicle_id)
        return DeviceMessage(Caller(self.vehicle_id, "g"), body, arrived_at, self.partition, number, origin)

    def messages(self, bodies: Sequence[bytes], arrived_ms: int = MORNING_MS + 3_600_000) -> list[DeviceMessage]:
        return [self.message(body, number, arrived_ms) for number, body in enumerate(bodies)]

    async def sends(self, bodies: Sequence[bytes], arrived_ms: int = MORNING_MS + 3_600_000) -> None:
        """One batch, taken in some seconds after its arrival."""
        await service.hear(self.messages(bodies, arrived_ms), store=self.store, clock=clock(arrived_ms + 2000))

    async def closes(self, *, store: Store | None = None) -> None:
        command = CloseTrip(vehicle_id=self.vehicle_id)
        envelope = to_envelope(command, message_id="c", source="t", subject=self.vehicle_id, time_ms=MORNING_MS)
        await service.obey(envelope, store=store or self.store)

    async def trips(self) -> list[Row]:
        """The stored trips, oldest first."""
        return [row async for row in Table(settings.TRIPS_TABLE).query(self.vehicle_id)][::-1]

    async def parked(self) -> list[tuple[str, str]]:
        """Code and detail of what was set aside."""
        return sorted(
            [
                (item.code, item.detail)
                async for item in parking.parked(TELEMETRY_HUB)
                if item.origin.vehicle_id == self.vehicle_id
            ]
        )

    async def rows(self) -> list[Row]:
        """Everything in the partitions of this car, which has them for itself."""
        table = Table(settings.OPEN_TRIPS_TABLE)
        return [
            row async for row in table.query(partition_from=f"{self.partition}-", partition_before=f"{self.partition}.")
        ]

    async def kept(self) -> list[Kept]:
        """The messages of its partitions, wherever they are kept."""
        parts = [row.values.get("kept") or row.values.get("recent") for row in await self.rows()]
        return [one for part in parts if isinstance(part, bytes) for one in compact.decoded(part)]


def clock(epoch_ms: int) -> Callable[[], datetime]:
    return lambda: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)


@pytest.fixture
def car(local_services: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Car:
    """Two or three of its short messages are enough to make a row of them."""
    monkeypatch.setattr(compact, "RECENT_BYTES", 600)
    return Car()


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> Announced:
    """What the broker has taken about a vehicle, each message once, with its type and id.

    Not read from the subscription, since other jobs' tests read from it too.
    """
    taken: dict[str, dict[str, Any]] = {}
    send = publisher.send

    async def noted(outgoing: Sequence[Outgoing]) -> None:
        await send(outgoing)
        for one in outgoing:
            if one.destination == DOMAIN_EVENTS:
                told = msgspec.json.decode(one.envelope.data) | {"type": one.envelope.type, "id": one.envelope.id}
                assert taken.setdefault(one.envelope.id, told) == told

    monkeypatch.setattr(publisher, "send", noted)
    return lambda vehicle_id: [told for told in taken.values() if told["vehicle_id"] == vehicle_id]


def counted(told: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(one["type"] for one in told)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Outgoing]:
    """What the job sent to its own queue, which nobody reads here."""
    sent, send = list[Outgoing](), publisher.send

    async def caught(outgoing: Sequence[Outgoing]) -> None:
        sent.extend(one for one in outgoing if one.destination == TRIP_COMMANDS)
        await send([one for one in outgoing if one.destination != TRIP_COMMANDS])

    monkeypatch.setattr(publisher, "send", caught)
    return sent


@pytest.fixture
def alone(car: Car, monkeypatch: pytest.MonkeyPatch) -> Car:
    """The car, as if it were the only one whose partition of the hub is known: other tests have hundreds of them."""
    partitions = Store.partitions

    async def own(store: Store) -> list[str]:
        return [name for name in await partitions(store) if name.startswith(f"{car.partition}-")]

    monkeypatch.setattr(Store, "partitions", own)
    return car
