"""The trips job without its storage: what a batch of messages costs in computing.

The one place where the benchmark of trips knows the job's modules.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.trips_drives import Message
from functions.trips import agenda, progress, telemetry, vehicle_trips
from functions.trips.agenda import set_alarm
from functions.trips.progress import Announcement
from functions.trips.samples import Message as Telemetry
from functions.trips.summary import Summary
from functions.trips.vehicle_trips import VehicleTrips
from shared.identity.caller import Caller
from tests.trips.drives import POLICY

_KEPT_MS = 3 * 3_600_000  # of messages in memory: longer than any trip and the lateness of any message here


class Input(NamedTuple):
    """A message as the trigger hands it over."""

    sender: Caller
    arrived_ms: int
    body: bytes


def prepare(messages: Sequence[Message]) -> list[Input]:
    senders = {message.vehicle_id: Caller(message.vehicle_id, "") for message in messages}
    return [Input(senders[one.vehicle_id], one.arrived_ms, one.body) for one in messages]


_bare = telemetry._body  # the types without the limits


def decode_bare(messages: Sequence[Input]) -> None:
    """JSON to typed values, and nothing else: what any service has to do."""
    for message in messages:
        _bare.decode(message.body)


def decode_only(messages: Sequence[Input]) -> None:
    """The job's own decoding: what can be used of each message."""
    for message in messages:
        telemetry.decode(message.body, message.sender, message.arrived_ms)


class Pipeline:
    """Decode, dedupe, reorder, segment, summarise; between two batches a vehicle's state is bytes, as in its row."""

    def __init__(self) -> None:
        self.states = dict[str, bytes]()
        self.trips = dict[tuple[str, int], Summary]()
        self._rows = defaultdict[str, list[tuple[int, Input]]](list)  # with the time of their last sample

    def take(self, batch: Sequence[Input]) -> None:
        """What the service does with a batch."""
        vehicles = defaultdict[str, list[Telemetry]](list)
        for message in batch:
            decoded = telemetry.decode(message.body, message.sender, message.arrived_ms)
            vehicles[message.sender.vehicle_id].append(decoded)
        for vehicle_id, messages in vehicles.items():
            state = self._state(vehicle_id)
            intake = progress.take_in(state, vehicle_id, messages, POLICY)
            if intake.is_changed:
                rows = self._rows[vehicle_id]
                rows += [(new.run.t[-1], Input(Caller(vehicle_id, ""), new.arrived_ms, new.body)) for new in intake.new]
                self._announce(vehicle_id, intake.announcements)
                while (step := agenda.next_step(state, POLICY)) and step[0] == "settle" and step[1] <= state.heard_ms:
                    self._settle(vehicle_id, state)
                self._store(vehicle_id, state)

    def close(self) -> None:
        """What the sweep does when the vehicles have fallen silent."""
        for vehicle_id in list(self.states):
            state = self._state(vehicle_id)
            progress.waive(state)
            while state.is_due or state.is_open:
                self._settle(vehicle_id, state, close=True)
            self._store(vehicle_id, state)

    def _state(self, vehicle_id: str) -> VehicleTrips:
        stored = self.states.get(vehicle_id)
        return VehicleTrips() if stored is None else vehicle_trips.decode(stored)

    def _store(self, vehicle_id: str, state: VehicleTrips) -> None:
        set_alarm(state, POLICY)
        self.states[vehicle_id] = vehicle_trips.encode(state)

    def _settle(self, vehicle_id: str, state: VehicleTrips, *, close: bool = False) -> None:
        since_ms = progress.needed_from_ms(state)
        rows = self._rows[vehicle_id] = [one for one in self._rows[vehicle_id] if one[0] > state.heard_ms - _KEPT_MS]
        read = [] if since_ms is None else [one for last_ms, one in rows if last_ms >= since_ms]
        messages = [telemetry.decode(one.body, one.sender, one.arrived_ms) for one in read]
        told = progress.settle(state, vehicle_id, messages, state.heard_ms, POLICY, close=close)
        self._announce(vehicle_id, told)

    def _announce(self, vehicle_id: str, announcements: Sequence[Announcement]) -> None:
        for told in announcements:
            if told.kind != "driven":
                continue
            if isinstance(told.record, Summary):
                self.trips[vehicle_id, told.start_ms] = told.record
            else:
                self.trips.pop((vehicle_id, told.start_ms), None)


def run(messages: Sequence[Input], batch_size: int) -> Pipeline:
    """All of the messages, in batches."""
    pipeline = Pipeline()
    for start in range(0, len(messages), batch_size):
        pipeline.take(messages[start : start + batch_size])
    pipeline.close()
    return pipeline
