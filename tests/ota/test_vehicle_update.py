"""One vehicle's update: whatever arrives, in whatever order, the status goes forward and ends once."""

from collections.abc import Callable, Iterable
from functools import reduce
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.ota.vehicle_update import (
    Effect,
    Signal,
    Status,
    Step,
    VehicleUpdate,
    offer_made,
    offer_refused,
    reported,
)

Event = Callable[[VehicleUpdate], Step]

ENDS = (Signal.SUCCEEDED, Signal.FAILED, Signal.REJECTED)
STEPS = (Signal.DOWNLOADING, Signal.DOWNLOADED, Signal.INSTALLING, Signal.LINK_EXPIRED)
FORWARD = (
    Status.PLANNED,
    Status.OFFERED,
    Status.DOWNLOADING,
    Status.DOWNLOADED,
    Status.INSTALLING,
    Status.SUCCEEDED,
)


def _report(signal: Signal) -> Event:
    return lambda update: reported(update, signal, at_ms=1000)


def _refusal(update: VehicleUpdate) -> Step:
    return offer_refused(update, "unknown-device")


EVENTS: dict[str, Event] = {"offer": offer_made, "refusal": _refusal} | {
    signal.value: _report(signal) for signal in Signal
}


def _play(events: Iterable[Event]) -> list[Step]:
    def play(steps: list[Step], event: Event) -> list[Step]:
        return [*steps, event(steps[-1].update)]

    return reduce(play, events, [Step(VehicleUpdate())])


@pytest.mark.parametrize(("status", "signal"), list(product(Status, Signal)))
def test_a_report_moves_forward_or_changes_nothing(status: Status, signal: Signal) -> None:
    """Every status with every report: 8 × 7."""
    before = VehicleUpdate(status, "earlier", 500)
    after = reported(before, signal, at_ms=1000, reason="later").update
    if status in {Status.SUCCEEDED, Status.FAILED, Status.REJECTED}:
        expected = before
    elif signal in ENDS:
        expected = VehicleUpdate(Status(signal), "later", 1000)
    elif signal is Signal.LINK_EXPIRED or FORWARD.index(Status(signal)) <= FORWARD.index(status):
        expected = before
    else:
        expected = VehicleUpdate(Status(signal), "later", 1000)
    assert after == expected


@pytest.mark.parametrize(
    ("status", "signal", "effects"),
    [
        (Status.OFFERED, Signal.DOWNLOADING, set()),
        (Status.OFFERED, Signal.SUCCEEDED, {Effect.CONCLUDE, Effect.WITHDRAW}),
        (Status.INSTALLING, Signal.FAILED, {Effect.CONCLUDE, Effect.WITHDRAW}),
        (Status.OFFERED, Signal.REJECTED, {Effect.CONCLUDE, Effect.WITHDRAW}),
        (Status.PLANNED, Signal.DOWNLOADING, {Effect.ANNOUNCE}),
        (Status.PLANNED, Signal.SUCCEEDED, {Effect.ANNOUNCE, Effect.CONCLUDE, Effect.WITHDRAW}),
        (Status.DOWNLOADING, Signal.LINK_EXPIRED, {Effect.RENEW_LINK}),
        (Status.DOWNLOADING, Signal.DOWNLOADING, set()),
        (Status.INSTALLING, Signal.DOWNLOADED, set()),
        (Status.FAILED, Signal.LINK_EXPIRED, {Effect.WITHDRAW}),
        (Status.SUCCEEDED, Signal.FAILED, {Effect.WITHDRAW}),
    ],
)
def test_what_follows_from_a_report(status: Status, signal: Signal, effects: set[Effect]) -> None:
    assert reported(VehicleUpdate(status), signal, at_ms=1).effects == effects


def test_an_offer_is_announced_once() -> None:
    first, second = _play([offer_made, offer_made])[1:]
    assert first == Step(VehicleUpdate(Status.OFFERED), frozenset({Effect.ANNOUNCE}))
    assert second == Step(VehicleUpdate(Status.OFFERED))


def test_an_offer_that_comes_after_the_end_is_taken_back() -> None:
    """Two instances may offer at once, and the vehicle may be done before the slower one."""
    done = _play([offer_made, _report(Signal.SUCCEEDED)])[-1].update
    assert offer_made(done) == Step(done, frozenset({Effect.WITHDRAW}))


def test_a_vehicle_that_the_hub_does_not_know_fails_without_an_announcement() -> None:
    step = _refusal(VehicleUpdate())
    assert step == Step(VehicleUpdate(Status.FAILED, "unknown-device"), frozenset({Effect.CONCLUDE}))


def test_a_refusal_does_not_end_what_the_vehicle_has_begun() -> None:
    begun = VehicleUpdate(Status.DOWNLOADING)
    assert _refusal(begun) == Step(begun)


@given(
    end=st.sampled_from(ENDS),
    steps=st.lists(st.sampled_from(STEPS), max_size=12),
    data=st.data(),
)
def test_any_order_and_number_of_deliveries_ends_in_the_same_status(
    end: Signal, steps: list[Signal], data: st.DataObject
) -> None:
    """A vehicle has one end. However its reports are shuffled, repeated or lost before, that end is what counts."""
    repeated = data.draw(st.lists(st.sampled_from([*steps, end]), max_size=12))
    order = data.draw(st.permutations([*steps, end, *repeated]))
    status = _play([offer_made, *map(_report, order)])[-1].update.status
    assert status == Status(end)


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=30))
def test_no_sequence_moves_backward_or_counts_twice(names: list[str]) -> None:
    steps = _play(EVENTS[name] for name in names)
    for before, after in pairwise(steps):
        if before.update != after.update:
            assert before.update.status.precedes(after.update.status)
            assert not before.update.status.terminal
        if before.update.status.terminal:
            assert not after.effects & {Effect.ANNOUNCE, Effect.CONCLUDE, Effect.RENEW_LINK}
    effects = [effect for step in steps for effect in step.effects]
    assert effects.count(Effect.ANNOUNCE) <= 1
    assert effects.count(Effect.CONCLUDE) == int(steps[-1].update.status.terminal)


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=20))
def test_handling_a_whole_batch_again_changes_nothing(names: list[str]) -> None:
    once = _play(EVENTS[name] for name in names)[-1].update
    again = _play(EVENTS[name] for name in [*names, *names])[-1].update
    if once.status.terminal:
        assert again == once
    assert not again.status.precedes(once.status)


def test_reports_are_ordered_as_the_protocol_says() -> None:
    for earlier, later in pairwise(FORWARD):
        assert earlier.precedes(later)
        assert not later.precedes(earlier)
