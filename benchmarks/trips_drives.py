"""A morning of some hundred cars: type-approval cycles, driven with breaks, as the telemetry that arrives of them.

The same size gives the same bytes. One sample a second, 30 samples a message, a dozen signals; a message in twenty
arrives twice and one in twenty late, so that it is overtaken by those that follow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import msgspec

from localcloud.clock import from_epoch_ms
from localcloud.fleet.cycle_drives import Departure, drive_cycle
from localcloud.fleet.cycles import CycleName, load_cycle
from localcloud.fleet.powertrain import Combustion, Electric
from localcloud.fleet.telemetry import SAMPLES_PER_MESSAGE, Sample

MORNING_MS = 1_750_000_000_000
MORNING = (CycleName.WLTC_CLASS_3B, CycleName.UDDS, CycleName.HWFET)
_TRANSMISSION_MS = (200, 2000)  # from the last sample of a message to its arrival
_LATE_MS = (5_000, 150_000)
_BREAK_S = (6 * 60, 18 * 60)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is driven, and how bad the link is. Every car drives the cycles, each in an order of its own."""

    cars: int = 140  # of which a hundred are on their way at a time
    cycles: Sequence[CycleName] = MORNING
    set_out_within_s: float = 300.0
    twice: float = 0.05  # the fraction of messages
    late: float = 0.05
    seed: int = 1


class Message(NamedTuple):
    """One telemetry message as it arrives."""

    arrived_ms: int
    vehicle_id: str
    body: bytes


class Position(NamedTuple):
    vehicle_id: str
    t: int
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """`positions` are all that were measured, by car and time; `messages` what arrives, in that order.

    `samples` counts each once, however often it arrives.
    """

    drives: int
    distance_km: float
    positions: list[Position]
    messages: list[Message]

    @property
    def samples(self) -> int:
        return len(self.positions)


def traffic(fleet: Fleet | None = None) -> Traffic:
    fleet = fleet or Fleet()
    positions, messages = list[Position](), list[Message]()
    for number in range(fleet.cars):
        random = Random(f"{fleet.seed}/{number}")
        vehicle_id = f"car-{random.getrandbits(48):012x}"  # ids in a row would be spread over shards too evenly
        for boot, samples in enumerate(_morning(fleet, number, random)):
            positions += [Position(vehicle_id, one.t, one.lat or 0.0, one.lon or 0.0) for one in samples]
            for seq, start in enumerate(range(0, len(samples), SAMPLES_PER_MESSAGE)):
                part = samples[start : start + SAMPLES_PER_MESSAGE]
                body = msgspec.json.encode({"v": 1, "boot": f"b{boot}", "seq": seq, **columns(list(map(_row, part)))})
                arrivals = _arrivals(part[-1].t, fleet, random)
                messages += [Message(arrived_ms, vehicle_id, body) for arrived_ms in arrivals]
    messages.sort(key=lambda message: message.arrived_ms)
    distance_km = fleet.cars * sum(load_cycle(name).distance_km for name in fleet.cycles)
    return Traffic(fleet.cars * len(fleet.cycles), distance_km, positions, messages)


def _morning(fleet: Fleet, number: int, random: Random) -> Iterator[list[Sample]]:
    """The drives of a car, one after the other; every second car burns petrol."""
    turn = number % len(fleet.cycles)
    powertrain = Combustion() if number % 2 else Electric()
    start = from_epoch_ms(MORNING_MS) + timedelta(seconds=random.uniform(0, fleet.set_out_within_s))
    departure = Departure(start, 48.0 + number / 50, 9.0, 10_000.0 + number, road_seed=number)
    for name in (*fleet.cycles[turn:], *fleet.cycles[:turn]):
        samples = drive_cycle(load_cycle(name), departure, powertrain)
        yield samples
        last = samples[-1]
        assert last.lat is not None
        assert last.lon is not None
        assert last.odo_km is not None
        leaves_at = from_epoch_ms(last.t) + timedelta(seconds=random.uniform(*_BREAK_S))
        departure = Departure(leaves_at, last.lat, last.lon, last.odo_km, departure.road_seed + 1000)


def _arrivals(measured_ms: int, fleet: Fleet, random: Random) -> Iterator[int]:
    arrived_ms = measured_ms + random.randint(*_TRANSMISSION_MS)
    yield arrived_ms + (random.randint(*_LATE_MS) if random.random() < fleet.late else 0)
    if random.random() < fleet.twice:
        yield arrived_ms + random.randint(*_LATE_MS)


def _row(sample: Sample) -> dict[str, Any]:
    """Measured and told on the wire, with some that the simulated car does not measure."""
    row = {name: value for name, value in msgspec.structs.asdict(sample).items() if value is not None}
    minutes = sample.t // 60_000
    row["temp_c"] = 15.0 + minutes // 5 % 20 / 2
    row["charging"] = False
    if sample.fuel_l_h is None:
        row["power_kw"] = round((sample.speed_kmh or 0.0) ** 1.5 / 60 - 3.0, 1)
    else:
        row["fuel_pct"] = round(100 - minutes % 400 / 5, 1)
    return row


def columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The rows by column: times as steps, and what is the same in all rows said once (docs/vehicle-protocol.md)."""
    times = [row["t"] for row in rows]
    packed: dict[str, list[Any]] = {"t": [times[0], *(after - before for before, after in pairwise(times))]}
    for name in dict.fromkeys(name for row in rows for name in row if name != "t"):
        values = [row.get(name) for row in rows]
        packed[name] = values[:1] if all(value == values[0] for value in values) else values
    return packed
