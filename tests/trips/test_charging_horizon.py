"""What was charged before messages expired is still told rightly when data comes late."""

from collections.abc import Sequence

import pytest

from functions.trips.samples import Message
from functions.trips.vehicle_trips import RETENTION_MS
from tests.trips.drives import message
from tests.trips.minutes import KM_LAT, OFF, STANDING, Values, at, going, night, wake
from tests.trips.minutes import messages as in_turn
from tests.trips.test_progress import records as announced
from tests.trips.test_progress import reference
from tests.trips.vehicle import Vehicle, after


def _live(messages: Sequence[Message]) -> Vehicle:
    """Each message when it arrives, and the sweep in between whenever it has something to do."""
    vehicle = Vehicle()
    for one in sorted(messages, key=lambda one: one.arrived_ms):
        while (alarm_ms := vehicle.next_alarm_ms) is not None and alarm_ms <= one.arrived_ms:
            vehicle.sweep(max(alarm_ms, vehicle.now_ms))
        vehicle.hear(one)
    vehicle.close()
    return vehicle


DAY = 24 * 60.0


def _is_found_again(*groups: list[Values], late: list[Values], arrived: float) -> Vehicle:
    messages = in_turn(*groups)
    late_message = message(0, late, boot="b2", arrived_ms=at(arrived))
    vehicle = _live([*messages, late_message])
    assert announced(vehicle) == reference([*messages, late_message])
    names = [(one.kind, one.start_ms, one.revision) for one in vehicle.announced]
    assert len(set(names)) == len(names)
    return vehicle


@pytest.mark.parametrize("hours", [2, 72.5], ids=["at once", "when messages expire again"])
@pytest.mark.parametrize(("soc_pct", "levels"), [(70, (50, 90)), (49, (49, 90))], ids=["filled", "emptied"])
def test_what_was_charged_in_a_sleep_longer_than_messages_are_kept_survives_a_late_message(
    hours: float, soc_pct: float, levels: tuple[float, float]
) -> None:
    """When the car wakes up after four days, nothing of before is left but what was seen last."""
    end = 4 * DAY
    home: Values = {"odo_km": 100.0, "lat": 50.0 + 3 * KM_LAT, "lon": 8.0}
    vehicle = _is_found_again(
        going(0, 5, soc_pct=50, odo_km=100.0),
        wake(end, 80, **home),
        wake(end + 60, 90, **home),
        going(end + 120, end + 125, north_km=3.0, soc_pct=90, odo_km=100.0),
        wake(end + 1440, 89, **home),
        late=wake(end - 60, soc_pct, odo_km=100.0),
        arrived=end + hours * 60,
    )
    assert vehicle.state.horizon_ms > at(5)
    assert [(one.soc_start_pct, one.soc_end_pct) for one in vehicle.sessions] == [levels]


def test_what_was_seen_before_the_horizon_has_no_position_once_a_car_is_private() -> None:
    vehicle = _live(in_turn(going(0, 5)))
    vehicle.sweep(at(5) + RETENTION_MS + 3_600_000)
    state = vehicle.state
    assert state.footing is not None
    assert (state.footing.seen.lat, state.footing.seen.lon) != (None, None)
    state.forget_positions()
    assert (state.footing.seen.lat, state.footing.seen.lon) == (None, None)


def test_a_charge_whose_first_level_is_older_than_its_beginning_is_found_again() -> None:
    """The car was switched off without a word on its battery, and the trip before may not be revised any more."""
    end = 2 * DAY
    off = [{"t": at(6)} | OFF]
    later = [wake(end + day * DAY, 79) for day in (1, 2, 3)]
    vehicle = _is_found_again(
        *(going(0, 5, soc_pct=50), off, wake(end, 80), *later),
        late=wake(end + 1.2 * DAY, 79),
        arrived=end + 2.5 * DAY,
    )
    assert [(one.soc_start_pct, one.soc_end_pct) for one in vehicle.sessions] == [(50, 80)]


def test_a_charge_of_a_car_that_never_drives_is_found_again() -> None:
    """What it rests on is no older than the wake-up that told the level."""
    days = [wake(day * DAY, 50) for day in range(5)]
    silent, charged = wake(4.5 * DAY, None), wake(5 * DAY, 60)
    later = [wake(day * DAY, 59) for day in (6, 7, 8)]
    vehicle = _is_found_again(*days, silent, charged, *later, late=wake(6.2 * DAY, 59), arrived=7.7 * DAY)
    assert [(one.soc_start_pct, one.soc_end_pct) for one in vehicle.sessions] == [(50, 60)]
    assert vehicle.state.horizon_ms > at(DAY)


def test_no_horizon_cuts_a_charge_in_two() -> None:
    """That of a later one, which rests on what was seen since a wake-up in the midst of the earlier one."""
    home: Values = {"odo_km": 100.0}
    elsewhere: Values = {"odo_km": 110.0}
    hour = 60
    first = [wake(0, 50, **home), wake(10 * hour, 57, STANDING, **home), wake(20 * hour, 64, **home)]
    second = [wake(30 * hour, 71, **home), wake(40 * hour, 78, **elsewhere), wake(60 * hour, 78, **elsewhere)]
    later = [wake(hours * hour, 77, **elsewhere) for hours in (80, 100, 120)]
    vehicle = _is_found_again(*first, *second, *later, late=wake(50 * hour, 78, **elsewhere), arrived=110 * hour)
    levels = [(one.soc_start_pct, one.soc_end_pct) for one in vehicle.sessions]
    assert levels == [(50, 71), (71, 78)]


def test_a_charge_is_over_for_good_when_no_later_sample_could_go_on_with_it() -> None:
    vehicle = after(in_turn(*night([50, 57, 64])))
    vehicle.sweep(at(120) + RETENTION_MS + 3_600_000)
    assert vehicle.state.fold.charge is not None
    vehicle.sweep(at(120) + 2 * RETENTION_MS + 24 * 3_600_000)
    assert not vehicle.state.fold.under_way
    assert not vehicle.kept
    assert vehicle.state.tidy_ms is None
