"""What each car does on the day, as it follows from the seed: its drives, and the messages that tell of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from msgspec.structs import replace

from localcloud.fleet.disorder import Disorder, scramble
from localcloud.fleet.powertrain import Combustion, Electric
from localcloud.fleet.telemetry import Sample, TelemetryMessage, pack
from tests.day.car import NOWHERE, Car, Course, Instruments, Stretch
from tests.day.faults import damaged
from tests.day.speeds import Speeds, distances_km, some_drive

DAY_MS: Final = 24 * 3_600_000
_BEFORE_NOW_MS: Final = 10 * 60_000
_SLACK_MS: Final = 30 * 60_000  # the first departure is within 24 h also at the end of a long run

_COARSE_KM: Final = 0.1  # an odometer's step
_LONG_ENOUGH_KM: Final = 8.0  # for a step of the odometer to be nothing
_SHORTEST_TUNNEL_S: Final = 150
_LONGEST_TUNNEL_S: Final = 1200
_TUNNEL_KM: Final = 1.0  # less is as good as parking
_PLUGGED_IN_AFTER_MS: Final = 180_000  # more than the silence that ends a trip, should its last sample be lost
_FLICKER_S: Final = 20  # at most, between the samples before and after
_LOST_KM: Final = 0.5  # driven meanwhile at least: silence at one place is the end of a trip

Boots = str  # how the unit counts: "per drive", "one for the day", "reboots while driving"


@dataclass(frozen=True, slots=True)
class PlannedDrive:
    started_at_ms: int
    ended_at_ms: int
    distance_km: float
    hardships: tuple[str, ...]


@dataclass(slots=True)
class CarDay:
    """What a car drove, and what it sends of it in which order; what is `late` comes when all trips are closed."""

    number: int
    vehicle_id: str
    traits: tuple[str, ...]
    drives: list[PlannedDrive] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)


def plan_day(seed: int, number: int, now_ms: int) -> CarDay:
    """The day of one car: all of it within the 24 hours before `now_ms` (epoch milliseconds)."""
    random = Random(f"day/{seed}/{number}")
    return _Planner(random, number).plan(now_ms)


class _Planner:
    def __init__(self, random: Random, number: int) -> None:
        self._random = random
        self._electric = random.random() < 0.5
        self._instruments = Instruments(
            every_s=random.choice((2, 3, 3, 5, 5)),
            odometer_step_km=random.choices((None, _COARSE_KM, 0.01), (15, 10, 75))[0],
            has_speed=random.random() < 0.85,
            has_ignition=random.random() < 0.75,
            has_gear=random.random() < 0.7,
        )
        powertrain = Electric(random.uniform(60, 95)) if self._electric else Combustion()
        self._car = Car(self._instruments, powertrain, random)
        self._boots = random.choices(("per drive", "one for the day", "reboots while driving"), (60, 20, 20))[0]
        self._loses = self._instruments.odometer_step_km is not None and random.random() < 0.15
        self._is_late = random.random() < 0.3
        self._tells_more = random.random() < 0.2
        self._unit = _Unit(f"{random.getrandbits(32):08x}", random.choice((30, 60, 60, 120, 120)))
        self._day = CarDay(number, f"v{random.getrandbits(64):016x}", self._traits())

    def plan(self, now_ms: int) -> CarDay:
        random = self._random
        courses = [self._course() for _ in range(random.choices((1, 2, 3, 4), (15, 40, 25, 20))[0])]
        parkings_s = [self._parking_s() for _ in courses[1:]]
        total_ms = 1000 * (sum(course.duration_s for course in courses) + sum(parkings_s))
        departs_ms = now_ms - DAY_MS + _SLACK_MS + random.randrange(DAY_MS - _SLACK_MS - _BEFORE_NOW_MS - total_ms)
        messages = list[TelemetryMessage]()
        for course, parked_s in zip(courses, [*parkings_s, 0], strict=True):
            arrives_ms = departs_ms + course.duration_s * 1000
            messages += self._drive(course, departs_ms)
            departs_ms = arrives_ms + parked_s * 1000
            if self._electric and parked_s > 1800 and random.random() < 0.5:
                messages += self._charge(arrives_ms + _PLUGGED_IN_AFTER_MS, departs_ms - _PLUGGED_IN_AFTER_MS)
        self._send(messages)
        return self._day

    # --- driving

    def _course(self) -> Course:
        random, speeds = self._random, some_drive(self._random)
        while self._instruments.odometer_step_km == _COARSE_KM and distances_km(speeds)[-1] < _LONG_ENOUGH_KM:
            speeds = some_drive(random)
        dark = silent = NOWHERE
        if (fate := random.random()) < 0.3:
            tunnel = _tunnel(speeds, random)
            dark, silent = (tunnel, NOWHERE) if fate < 0.15 else (NOWHERE, tunnel)
        flickers = self._instruments.has_ignition and random.random() < 0.2
        return Course(speeds, dark, silent, self._flicker(speeds) if flickers else NOWHERE)

    def _flicker(self, speeds: Speeds) -> Stretch:
        """In the last quarter, beyond any tunnel; where the car stands if it does."""
        quarter = range(len(speeds) * 3 // 4, len(speeds) - 60)
        standing = [second for second in quarter if speeds[second] == 0.0]
        first_s = self._random.choice(standing or quarter)
        return Stretch(first_s, first_s + self._random.randint(2, _FLICKER_S - self._instruments.every_s))

    def _parking_s(self) -> int:
        """Minutes or hours; never so short that it could be a tunnel in which nothing moved."""
        random = self._random
        return random.randint(150, 600) if random.random() < 0.3 else random.randint(600, 10_000)

    def _drive(self, course: Course, departs_ms: int) -> list[TelemetryMessage]:
        clean = self._car.drive(course, departs_ms)
        faulty, faults = damaged(clean, self._unit.per_message, self._random)
        messages = self._unit.pack(faulty, self._boots)
        lost = self._lost(clean, course)
        self._day.figures.update(faults)
        self._day.figures["lost messages"] += len(lost)
        hardships = [name for name in ("dark", "silent", "flicker") if getattr(course, name) != NOWHERE]
        hardships += ["lost"] * len(lost) + sorted(faults)
        self._day.figures.update(hardship for hardship in hardships if hardship in ("dark", "silent", "flicker"))
        end_ms = departs_ms + course.duration_s * 1000
        distance_km = distances_km(course.speeds)[-1]
        self._day.drives.append(PlannedDrive(departs_ms, end_ms, distance_km, tuple(hardships)))
        return [message for index, message in enumerate(messages) if index not in lost]

    def _charge(self, from_ms: int, until_ms: int) -> list[TelemetryMessage]:
        self._day.figures["charging stops"] += 1
        return self._unit.pack(self._car.charge(from_ms, until_ms, self._random.uniform(70, 100)), self._boots)

    # --- sending

    def _lost(self, clean: Sequence[Sample], course: Course) -> set[int]:
        """Messages of a drive, never the first or last, and none beside another or beside a silence."""
        if not self._loses or (course.silent, course.flicker) != (NOWHERE, NOWHERE):
            return set()
        size = self._unit.per_message
        odometer_km = [sample.odo_km or 0.0 for sample in clean]
        inner = range(1, -(-len(clean) // size) - 1)
        candidates = [i for i in inner if odometer_km[(i + 1) * size] - odometer_km[i * size - 1] >= _LOST_KM]
        chosen = set[int]()
        for index in self._random.sample(candidates, min(len(candidates), 2)):
            if not chosen & {index - 1, index + 1}:
                chosen.add(index)
        return chosen

    def _send(self, messages: Sequence[TelemetryMessage]) -> None:
        random, day = self._random, self._day
        late = set[int]()
        if self._is_late:
            late.update(random.sample(range(len(messages)), min(len(messages), random.randint(1, 3))))
        bodies = [self._encoded(message) for message in messages]
        day.messages = self._disordered([body for index, body in enumerate(bodies) if index not in late])
        day.late = self._disordered([bodies[index] for index in sorted(late)])
        samples = sum(len(message.samples) for message in messages)
        day.figures.update({"messages": len(messages), "late messages": len(late), "samples": samples})

    def _disordered(self, bodies: Sequence[bytes]) -> list[bytes]:
        sent = scramble(bodies, Disorder(self._random.getrandbits(32)))
        self._day.figures.update(copies=sent.duplicated, overtaken=sent.reordered)
        return sent.messages

    def _encoded(self, message: TelemetryMessage) -> bytes:
        body = message.encode()
        if not self._tells_more:
            return body
        self._day.figures["messages with unknown fields"] += 1
        return body[:-1] + b',"tyre_bar":[2.4,2.4,2.3,2.4],"radio":{"operator":"26201","rsrp_dbm":-97}}'

    def _traits(self) -> tuple[str, ...]:
        instruments = self._instruments
        traits = ["electric" if self._electric else "combustion", f"every {instruments.every_s} s"]
        traits += [f"odometer of {instruments.odometer_step_km} km" if instruments.odometer_step_km else "no odometer"]
        traits += [] if instruments.has_speed else ["no speed"]
        traits += [] if instruments.has_ignition else ["no ignition"]
        traits += [] if instruments.has_gear else ["no gear"]
        traits += [f"boots: {self._boots}"]
        traits += ["loses messages"] if self._loses else []
        traits += ["late messages"] if self._is_late else []
        return tuple(traits)


class _Unit:
    """The telematics unit, which numbers its messages by power cycle. It sends what it has when a drive ends."""

    def __init__(self, name: str, per_message: int) -> None:
        self.per_message = per_message
        self._name = name
        self._boot = 0
        self._next_seq = 0

    def pack(self, samples: Sequence[Sample], boots: Boots) -> list[TelemetryMessage]:
        messages = list(pack(samples, "", self.per_message))
        reboots = {"per drive": {0}, "reboots while driving": {0, len(messages) // 2}}.get(boots, set[int]())
        return [self._numbered(message, reboot=index in reboots) for index, message in enumerate(messages)]

    def _numbered(self, message: TelemetryMessage, *, reboot: bool) -> TelemetryMessage:
        if reboot:
            self._boot, self._next_seq = self._boot + 1, 0
        self._next_seq += 1
        return replace(message, boot=f"{self._name}-{self._boot}", seq=self._next_seq - 1)


def _tunnel(speeds: Speeds, random: Random) -> Stretch:
    """Before the last quarter, and long enough to tell it from parking; nowhere if the drive is too short for one."""
    duration_s, covered_km = len(speeds) - 1, distances_km(speeds)
    longest_s = min(_LONGEST_TUNNEL_S, duration_s // 2)
    if longest_s < _SHORTEST_TUNNEL_S:
        return NOWHERE
    length_s = random.randint(_SHORTEST_TUNNEL_S, longest_s)
    first_s = random.randint(duration_s // 8, duration_s * 3 // 4 - length_s)
    is_driven = covered_km[first_s + length_s] - covered_km[first_s] >= _TUNNEL_KM
    return Stretch(first_s, first_s + length_s) if is_driven else NOWHERE
