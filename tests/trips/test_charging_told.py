"""When a charging session is told, and that it is the same whenever its messages come."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips import progress
from functions.trips.records import Fold
from functions.trips.samples import Message, in_order
from functions.trips.segmentation import advance, as_ended
from functions.trips.silence import CHARGED_PCT
from functions.trips.summary import ChargingSession
from tests.trips.drives import POLICY, message
from tests.trips.minutes import KM_LAT, OFF, STANDING, Values, at, going, night, wake
from tests.trips.minutes import messages as in_turn
from tests.trips.test_charging import KINDS
from tests.trips.test_progress import records as announced
from tests.trips.test_progress import reference
from tests.trips.vehicle import Vehicle, after, closed_at_times


def _revisions(vehicle: Vehicle) -> list[tuple[str, int, int, float | None]]:
    return [
        (one.kind, one.start_ms, one.revision, getattr(one.record, "soc_end_pct", None)) for one in vehicle.announced
    ]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_session_is_told_when_the_car_sleeps_again_and_revised_by_a_gain_only(kind: Values) -> None:
    vehicle = Vehicle()
    for sent in in_turn(*night([50, 57, 64, 64, 64, 64], kind, samples=1)):
        vehicle.sweep(sent.arrived_ms)
        vehicle.hear(sent)
        vehicle.sweep(sent.arrived_ms + POLICY.close_after_ms - 1)
        vehicle.sweep(sent.arrived_ms + POLICY.close_after_ms)
    assert _revisions(vehicle) == [("charging", at(0), 1, 57), ("charging", at(0), 2, 64)]
    assert not vehicle.state.is_open


def test_a_car_that_wakes_up_for_weeks_does_not_grow() -> None:
    """Whether it is charged, drained, or tells nothing."""
    for levels in ([80.0], [50.0, 50.1, 50.2, 50.1], [50.0, 60.0, 40.0], [None]):
        vehicle, sizes = Vehicle(), list[int]()
        for hour in range(24 * 21):
            sent = message(hour, wake(60 * hour, levels[hour % len(levels)], lat=50.0, lon=8.0))
            vehicle.sweep(sent.arrived_ms)
            vehicle.hear(sent)
            sizes.append(len(vehicle.packed))
        assert max(sizes) <= max(sizes[: 24 * 8]) + 16
        assert len(vehicle.kept) < 24 * 8


def test_a_charge_under_way_is_left_as_it_is_by_closing() -> None:
    state = after(in_turn(*night([50, 57, 64]))).state
    assert state.fold.charge is not None
    (copy,) = as_ended(state.fold, POLICY.rules)
    assert copy == state.fold.charge
    assert copy is not state.fold.charge


def test_what_turns_out_to_be_no_charge_is_withdrawn() -> None:
    """Between two wake-ups of 2 % in all there was one at which the battery was no fuller."""
    first, late, last = in_turn(wake(0, 50), wake(60, 49.5), wake(120, 52.0))
    vehicle = after([first, last])
    assert [one.soc_end_pct for one in vehicle.sessions] == [52]
    still_small = message(1, wake(60, 50.5))
    vehicle = after([first, last, still_small])
    assert [one.soc_end_pct for one in vehicle.sessions] == [52]
    vehicle = after([first, last, late])
    assert [(one.soc_start_pct, one.started_at_ms) for one in vehicle.sessions] == [(49.5, at(60) + 20_000)]


# --- data that comes late


def test_a_late_message_that_shows_that_a_trip_began_later_goes_on_with_the_charge_before_it() -> None:
    """The trip seemed to begin with a wake-up, beside a charge that went on: nothing can be folded anew from there."""
    standing: Values = {"lat": 50.0, "lon": 8.0, "odo_km": 100.0}
    groups = [
        going(-20, -10, odo_km=100.0, soc_pct=50),
        *night([50, 57, 64], {}, samples=1, **standing),
        [{"t": at(125), "odo_km": 100.0, "soc_pct": 65.0}],
        [{"t": at(133), "odo_km": 105.0, "soc_pct": 66.0, "lat": 50.0 + 5 * KM_LAT, "lon": 8.0}],
        going(136, 150, north_km=5.0, odo_km=105.0),
        going(200, 210, north_km=20.0, odo_km=120.0),
    ]
    messages = in_turn(*groups, arrived_ms=at(220))
    expected = reference(messages)
    for late in ([4], [5, 4], [6, 4], [7, 4]):
        vehicle = after([one for one in messages if one.seq not in late])
        for seq in late:
            vehicle.hear(messages[seq])
            vehicle.close()
        assert announced(vehicle) == expected


def test_a_late_message_of_a_wake_up_leaves_the_charge_as_it_is() -> None:
    """What seems to be a trip under way is no place to fold anew from while the charge goes on."""
    asleep, awake, again = wake(0, 50, STANDING), wake(60, 57, STANDING, samples=30), wake(120, 64, STANDING)
    messages, late = in_turn(asleep, awake[:9], awake[12:], again), message(0, awake[9:12], boot="b2")
    vehicle = after([*messages[:3], late, messages[3]])
    assert announced(vehicle) == reference([*messages, late])
    assert [(one.soc_start_pct, one.soc_end_pct) for one in vehicle.sessions] == [(50, 64)]


def test_what_is_withdrawn_does_not_stay_because_less_than_a_charge_begins_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even if that is all there is in a portion of what is found anew."""
    monkeypatch.setattr(progress, "PORTION", 1)
    there: Values = {"odo_km": 100.0}
    elsewhere: Values = {"odo_km": 110.0}
    groups = [going(-20, -1, soc_pct=50, **there), wake(60, 51, **there), wake(120, 56, **elsewhere)]
    messages = in_turn(*groups, arrived_ms=at(130))
    vehicle = after([messages[0], messages[2]])
    assert [(one.started_at_ms, one.soc_end_pct) for one in vehicle.sessions] == [(at(-1), 56)]
    vehicle.hear(messages[1])
    vehicle.close()
    assert announced(vehicle) == reference(messages)
    assert [(one.soc_start_pct, one.soc_end_pct) for one in vehicle.sessions] == [(51, 56)]


def test_a_trip_beside_a_charge_is_a_place_to_look_from_as_soon_as_it_moves() -> None:
    fold = Fold()
    advance(fold, in_order(in_turn(*night([50, 57], STANDING))), POLICY.rules)
    assert fold.trip is not None
    assert fold.seen.since_ms == at(0)
    advance(fold, in_order(in_turn(going(61, 65))), POLICY.rules)
    assert fold.seen.since_ms == fold.trip.start_ms == at(60)


_KINDS = st.sampled_from([*KINDS, {"speed_kmh": 30.0}, {"ignition": True, "speed_kmh": 0.0}, OFF | {"charging": True}])
_GAINS = st.sampled_from([0.0, 0.0, 0.4, 1.0, 3.0, 7.0, -1.0, -5.0, None])
_WAITS = st.sampled_from([0.2, 1.5, 5.0, 20.0, 60.0, 60.0, 60.0, 300.0, 2500.0])


@st.composite
def _nights(draw: st.DrawFn) -> list[Message]:
    """Wake-ups of all kinds, in messages of two boots: what charges, drives, is moved, or just tells its level."""
    messages, minute, soc_pct, odo_km = list[Message](), 0.0, 50.0, 100.0
    seqs = {"a": 0, "b": 0}
    for _ in range(draw(st.integers(1, 14))):
        minute += draw(_WAITS)
        gain = draw(_GAINS)
        soc_pct = min(100.0, max(0.0, soc_pct + (gain or 0.0)))
        odo_km += draw(st.sampled_from([0.0, 0.0, 0.0, 0.0, 5.0]))
        group = list[Values]()
        for kind in draw(st.lists(_KINDS, min_size=1, max_size=3)):
            values = {name: value for name, value in kind.items() if name not in ("lat", "lon")}
            group += wake(minute, None if gain is None else round(soc_pct, 1), values, samples=1, odo_km=odo_km)
            minute += draw(st.sampled_from([0.1, 0.1, 1.0, 3.0]))
        boot = draw(st.sampled_from("ab"))
        messages.append(message(seqs[boot], group, boot=boot, arrived_ms=at(40_000)))
        seqs[boot] += 1
    return messages


@settings(max_examples=300, deadline=None)
@given(_nights(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_neither_order_nor_closing_too_early_changes_a_session(messages: list[Message], chance: Any, size: int) -> None:
    expected = reference(messages)
    assert announced(after(messages, size=1)) == expected
    disordered = messages + [one for one in messages if chance.random() < 0.3]
    chance.shuffle(disordered)
    vehicle = closed_at_times(disordered, chance, size)
    assert announced(vehicle) == expected
    ids = [(one.kind, one.start_ms, one.revision) for one in vehicle.announced]
    assert len(set(ids)) == len(ids)


@settings(max_examples=300, deadline=None)
@given(_nights())
def test_no_records_overlap_and_what_is_inferred_has_won_something(messages: list[Message]) -> None:
    found = reference(messages)
    times = sorted((one.started_at_ms, one.ended_at_ms) for one in found)
    assert all(end_ms <= start_ms for (_, end_ms), (start_ms, _) in pairwise(times))
    for one in found:
        if isinstance(one, ChargingSession) and one.evidence == "inferred":
            assert (one.soc_end_pct or 0.0) - (one.soc_start_pct or 0.0) >= CHARGED_PCT
