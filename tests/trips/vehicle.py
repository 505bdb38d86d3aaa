"""A vehicle's trips in memory: rows and state as the service keeps them, without storage."""

from collections.abc import Sequence

from functions.trips import agenda, compact, progress, vehicle_trips
from functions.trips.progress import Announcement
from functions.trips.summary import Summary
from functions.trips.telemetry import Telemetry
from functions.trips.vehicle_trips import VehicleTrips
from tests.trips.drives import POLICY


class Vehicle:
    """What was announced is what readers of the trips would see."""

    def __init__(self) -> None:
        self.state = VehicleTrips()
        self.rows = dict[str, Telemetry]()
        self.announced = list[Announcement]()
        self.too_late = list[Telemetry]()
        self.now_ms = 0

    def hear(self, *messages: Telemetry) -> None:
        """One batch."""
        self.now_ms = max([self.now_ms, *(message.arrived_ms for message in messages)])
        intake = progress.take_in(self.state, messages, POLICY)
        if intake.state is not None:
            for message in intake.new:
                key = compact.row_key("car", message)
                self.rows[key] = compact.from_row(key, compact.row_values(message))
            self.too_late += intake.too_late
            self._save(intake.state)
        step = agenda.next_step(self.state, POLICY)
        if step is not None and step[0] == "settle" and step[1] <= self.now_ms:
            self.settle()

    def settle(self, *, close: bool = False) -> None:
        while (since_ms := progress.needed_from_ms(self.state, close=close)) is not None:
            rows = [row for row in self.rows.values() if row.last_ms >= since_ms]
            state, announcements = progress.settle(self.state, "car", rows, self.now_ms, POLICY, close=close)
            self._save(state)
            self.announced += announcements

    def close(self) -> None:
        self._save(progress.waive(self.state))
        self.settle(close=True)

    def sweep(self, now_ms: int) -> list[str]:
        """What the sweep does until there is nothing to do at that time."""
        self.now_ms, done = now_ms, list[str]()
        while (step := agenda.next_step(self.state, POLICY)) is not None and step[1] <= now_ms:
            done.append(step[0])
            match step[0]:
                case "waive":
                    self._save(progress.waive(self.state))
                case "settle":
                    self.settle()
                case "close":
                    self.settle(close=True)
                case "tidy":
                    state = progress.tidy(self.state, now_ms)
                    self.rows = {key: row for key, row in self.rows.items() if row.last_ms > state.horizon_ms}
                    self._save(progress.tidied(state, now_ms, rows_left=bool(self.rows)))
        return done

    def _save(self, state: VehicleTrips) -> None:
        self.state = vehicle_trips.decode(vehicle_trips.encode(state))
        assert self.state == state

    @property
    def trips(self) -> list[Summary]:
        """The trips as they were announced last, by their start."""
        last = {one.trip_id: one for one in self.announced}
        return [one.summary for one in sorted(last.values(), key=lambda one: one.start_ms) if one.summary]

    @property
    def told(self) -> list[tuple[int, bool]]:
        """Revision of each announcement in turn, and whether it withdrew the trip."""
        return [(one.revision, one.summary is None) for one in self.announced]


def after(messages: Sequence[Telemetry], *, size: int = 1) -> Vehicle:
    """The vehicle after these messages, in batches of this size, and after it was closed."""
    vehicle = Vehicle()
    for start in range(0, len(messages), size):
        vehicle.hear(*messages[start : start + size])
    vehicle.close()
    return vehicle
