"""The trips job without its storage: what a batch of messages costs in computing.

The one place where the benchmark of trips knows the job's modules.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec

from benchmarks.trips_drives import Message
from functions.trips import agenda, progress, telemetry, vehicle_trips
from functions.trips.agenda import Policy, with_alarm
from functions.trips.progress import Announcement
from functions.trips.segmentation import Limits
from functions.trips.summary import Summary
from functions.trips.telemetry import Telemetry
from functions.trips.vehicle_trips import VehicleTrips
from shared.identity.caller import Caller

POLICY = Policy(Limits(silence_ms=120_000, flicker_ms=30_000), close_after_ms=900_000, lateness_ms=3_600_000)
_KEPT_MS = 3 * 3_600_000  # of messages in memory: longer than any trip and the lateness of any message here


class Input(NamedTuple):
    """A message as the trigger hands it over."""

    sender: Caller
    arrived_ms: int
    body: bytes


def prepare(messages: Sequence[Message]) -> list[Input]:
    senders = {message.vehicle_id: Caller(message.vehicle_id, "") for message in messages}
    return [Input(senders[one.vehicle_id], one.arrived_ms, wire(one.body)) for one in messages]


def wire(body: bytes) -> bytes:
    """The columnar body in the form that the job reads: row by row."""
    told: dict[str, Any] = msgspec.json.decode(body)
    head = {name: told.pop(name) for name in ("v", "boot", "seq")}
    told["t"] = list(accumulate(told["t"]))
    count = len(told["t"])
    full = {name: values if len(values) == count else values * count for name, values in told.items()}
    rows = [dict(zip(full, row, strict=True)) for row in zip(*full.values(), strict=True)]
    return msgspec.json.encode({**head, "samples": rows})


class _Bare(msgspec.Struct, gc=False):
    boot: str
    seq: int
    samples: list[telemetry.Sample]


_bare = msgspec.json.Decoder(_Bare)


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
        self.trips = dict[str, Summary]()
        self._kept = defaultdict[str, list[Telemetry]](list)

    def take(self, batch: Sequence[Input]) -> None:
        """What the service does with a batch."""
        vehicles = defaultdict[str, list[Telemetry]](list)
        for message in batch:
            decoded = telemetry.decode(message.body, message.sender, message.arrived_ms)
            vehicles[message.sender.vehicle_id].append(decoded)
        for vehicle_id, messages in vehicles.items():
            state = self._state(vehicle_id)
            intake = progress.take_in(state, messages, POLICY)
            if intake.state is not None:
                self._kept[vehicle_id] += intake.new
                self._announce_due(vehicle_id, intake.state)

    def close(self) -> None:
        """What the sweep does when the vehicles have fallen silent."""
        for vehicle_id in list(self.states):
            state = progress.waive(self._state(vehicle_id))
            while progress.needed_from_ms(state, close=True) is not None:
                state = self._settle(vehicle_id, state, close=True)
            self._store(vehicle_id, state)

    def _state(self, vehicle_id: str) -> VehicleTrips:
        stored = self.states.get(vehicle_id)
        return VehicleTrips() if stored is None else vehicle_trips.decode(stored)

    def _store(self, vehicle_id: str, state: VehicleTrips) -> None:
        self.states[vehicle_id] = vehicle_trips.encode(with_alarm(state, POLICY))

    def _announce_due(self, vehicle_id: str, state: VehicleTrips) -> None:
        while (step := agenda.next_step(state, POLICY)) and step[0] == "settle" and step[1] <= state.heard_ms:
            state = self._settle(vehicle_id, state)
        self._store(vehicle_id, state)

    def _settle(self, vehicle_id: str, state: VehicleTrips, *, close: bool = False) -> VehicleTrips:
        since_ms = progress.needed_from_ms(state, close=close)
        assert since_ms is not None
        oldest_ms = state.heard_ms - _KEPT_MS
        kept = self._kept[vehicle_id] = [one for one in self._kept[vehicle_id] if one.last_ms > oldest_ms]
        rows = [one for one in kept if one.last_ms >= since_ms]
        state, announcements = progress.settle(state, vehicle_id, rows, state.heard_ms, POLICY, close=close)
        self._announce(announcements)
        return state

    def _announce(self, announcements: Sequence[Announcement]) -> None:
        for told in announcements:
            if told.summary is None:
                self.trips.pop(told.trip_id, None)
            else:
                self.trips[told.trip_id] = told.summary


def run(messages: Sequence[Input], batch_size: int) -> Pipeline:
    """All of the messages, in batches."""
    pipeline = Pipeline()
    for start in range(0, len(messages), batch_size):
        pipeline.take(messages[start : start + batch_size])
    pipeline.close()
    return pipeline
