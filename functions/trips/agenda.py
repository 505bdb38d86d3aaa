"""When which vehicle has to be looked at although it says nothing: pure, on the clock of arrivals.

What has ended is announced at once, the trip under way when the vehicle has been silent for long. What late data may
have changed waits until the burst of late data is over, so that it makes one revision and not many.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from functions.trips.parameters import Parameters
from functions.trips.records import Rules
from functions.trips.vehicle_trips import VehicleTrips

WATCHED_AT_MOST_MS = 5 * 60_000

Step = Literal["waive", "settle", "close", "tidy"]


@dataclass(frozen=True)
class Policy:
    """The settings that decide about a vehicle's trips, in milliseconds."""

    parameters: Parameters
    close_after_ms: int
    lateness_ms: int

    @cached_property
    def rules(self) -> Rules:
        return Rules.of(self.parameters)


def next_step(state: VehicleTrips, policy: Policy) -> tuple[Step, int] | None:
    """What has to be done next, and when it is due (epoch milliseconds)."""
    if state.waiting_since_ms is not None:
        return "waive", state.waiting_since_ms + policy.lateness_ms
    if state.is_due:
        return "settle", state.heard_ms if state.late_ms is None else state.late_ms + policy.close_after_ms
    steps = list[tuple[Step, int]]()
    if state.is_open:
        is_off = state.fold.trip is not None and state.fold.trip.off_ms is not None
        quiet_ms = policy.rules.flicker_ms if is_off else policy.close_after_ms
        steps.append(("close", state.heard_ms + quiet_ms))
    if state.tidy_ms is not None:
        steps.append(("tidy", state.tidy_ms))
    return min(steps, key=lambda step: step[1], default=None)


def set_alarm(state: VehicleTrips, policy: Policy, rung_ms: int = 0) -> None:
    """Sets the alarm to what is due next. An alarm that is too early stays until it has rung: it costs less so."""
    step = next_step(state, policy)
    if state.alarm_ms is not None and state.alarm_ms <= rung_ms:
        state.alarm_ms = None
    if step is not None and (state.alarm_ms is None or step[1] < state.alarm_ms):
        state.alarm_ms = step[1]


@dataclass(frozen=True, slots=True)
class Watch:
    """What the sweep has seen of a partition: the latest arrival, and for how long it watched nothing arrive."""

    arrived_ms: int
    quiet_ms: int
    at_ms: int

    @property
    def time_ms(self) -> int:
        """The time up to which everything that arrived was taken in.

        Not the time of day: after an outage messages wait in the Event Hub, and a vehicle that seems silent is not.
        In silence this clock runs only while someone watches.
        """
        return self.arrived_ms + self.quiet_ms


def watch(before: Watch | None, arrived_ms: int, now_ms: int) -> Watch:
    """Looks again at a partition of which the latest message that was taken in arrived at `arrived_ms`."""
    if before is None or before.arrived_ms != arrived_ms:
        return Watch(arrived_ms, 0, now_ms)
    watched_ms = min(max(0, now_ms - before.at_ms), WATCHED_AT_MOST_MS)
    return Watch(arrived_ms, before.quiet_ms + watched_ms, now_ms)
