"""A vehicle's trips in memory: rows and state as the service keeps them, without storage."""

from collections.abc import Sequence
from random import Random

from functions.trips import agenda, compact, progress, vehicle_trips
from functions.trips.compact import Kept
from functions.trips.progress import Announcement, Arrival
from functions.trips.samples import Message
from functions.trips.summary import ChargingSession, Summary
from functions.trips.vehicle_trips import VehicleTrips
from tests.trips.drives import POLICY


class Vehicle:
    """What was announced is what readers of the trips would see."""

    def __init__(self) -> None:
        self.packed = vehicle_trips.encode(VehicleTrips())
        self.kept = list[Kept]()
        self.announced = list[Announcement]()
        self.too_late = list[Message]()
        self.now_ms = 0

    @property
    def state(self) -> VehicleTrips:
        """A copy, as it comes from its row."""
        return vehicle_trips.decode(self.packed)

    def hear(self, *messages: Message | Arrival) -> None:
        """One batch."""
        self.now_ms = max([self.now_ms, *(message.arrived_ms for message in messages)])
        state = self.state
        intake = progress.take_in(state, "car", messages, POLICY)
        if intake.is_changed:
            self.kept = compact.each_once([*self.kept, *map(compact.keep, intake.new)])
            self.too_late += intake.too_late
            self._save(state, intake.announcements)
        step = agenda.next_step(self.state, POLICY)
        if step is not None and step[0] == "settle" and step[1] <= self.now_ms:
            self.settle()

    def settle(self, *, close: bool = False) -> None:
        while (state := self.state).is_due or (close and state.is_open):
            since_ms = progress.needed_from_ms(state)
            rows = [] if since_ms is None else self.messages(since_ms)
            self._save(state, progress.settle(state, "car", rows, self.now_ms, POLICY, close=close))

    def messages(self, since_ms: int) -> list[Message]:
        """Those that are kept, with a sample since then."""
        return compact.messages("car", compact.each_once(self.kept, since_ms))

    def close(self) -> None:
        state = self.state
        progress.waive(state)
        self._save(state)
        self.settle(close=True)

    def sweep(self, now_ms: int) -> list[str]:
        """What the sweep does until there is nothing to do at that time."""
        self.now_ms, done = now_ms, list[str]()
        while (step := agenda.next_step(self.state, POLICY)) is not None and step[1] <= now_ms:
            done.append(step[0])
            state = self.state
            match step[0]:
                case "waive":
                    progress.waive(state)
                    self._save(state)
                case "settle":
                    self.settle()
                case "close":
                    self.settle(close=True)
                case "tidy":
                    progress.tidy(state, now_ms, POLICY)
                    self.kept = compact.each_once(self.kept, state.horizon_ms + 1)
                    progress.tidied(state, now_ms, rows_left=bool(self.kept))
                    self._save(state)
        return done

    def _save(self, state: VehicleTrips, announcements: Sequence[Announcement] = ()) -> None:
        self.packed = vehicle_trips.encode(state)
        assert self.state == state
        assert len(announcements) <= 2 * progress.PORTION + 2, "two rows for each, in one transaction with the state"
        self.announced += announcements

    @property
    def next_alarm_ms(self) -> int | None:
        """When the sweep has something to do next."""
        step = agenda.next_step(self.state, POLICY)
        return None if step is None else step[1]

    @property
    def _last(self) -> list[Announcement]:
        last = {(one.kind, one.start_ms): one for one in self.announced}
        return sorted(last.values(), key=lambda one: one.start_ms)

    @property
    def trips(self) -> list[Summary]:
        """The trips as they were announced last, by their start."""
        return [one.record for one in self._last if isinstance(one.record, Summary)]

    @property
    def sessions(self) -> list[ChargingSession]:
        """The charging sessions, likewise."""
        return [one.record for one in self._last if isinstance(one.record, ChargingSession)]

    @property
    def told(self) -> list[tuple[int, bool]]:
        """Revision of each announcement of a drive in turn, and whether it withdrew it."""
        return [(one.revision, one.record is None) for one in self.announced if one.kind == "driven"]


def after(messages: Sequence[Message | Arrival], *, size: int = 1) -> Vehicle:
    """The vehicle after these messages, in batches of this size, and after it was closed."""
    vehicle = Vehicle()
    for start in range(0, len(messages), size):
        vehicle.hear(*messages[start : start + size])
    vehicle.close()
    return vehicle


def closed_at_times(messages: Sequence[Message], chance: Random, size: int) -> Vehicle:
    """The vehicle after these messages, in batches of this size; it was closed after some of them, and in the end."""
    vehicle = Vehicle()
    for start in range(0, len(messages), size):
        vehicle.hear(*messages[start : start + size])
        if chance.random() < 0.5:
            vehicle.close()
    vehicle.close()
    return vehicle
