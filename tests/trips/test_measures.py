"""Sums over a trip against the plainest way to add them up, in one go and in any parts."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips.driving import EVENT_MS, Harshness, accelerations
from functions.trips.measures import HOUR_MS, Measures
from functions.trips.samples import Run, even_step_ms

SILENCE_MS = 120_000
HARSHNESS = Harshness()
START_MS = 1_750_000_000_000


def run(*steps: int, **columns: Sequence[Any]) -> Run:
    """A sample, and one more after each step; columns that say nothing are left out, as the decoder does."""
    t = list(accumulate([START_MS, *steps]))
    told = {name: list(column) for name, column in columns.items() if any(value is not None for value in column)}
    whole = not any(None in column for column in told.values())
    return Run(t=t, steps=list(steps), step_ms=even_step_ms(list(steps)), whole=whole, **told)


def measured(samples: Run, *, silence_ms: int = SILENCE_MS, cuts: Sequence[int] = ()) -> Measures:
    """In parts that begin at the cuts."""
    measures = Measures()
    for first, beyond in pairwise([0, *cuts, len(samples.t)]):
        measures.extend(samples, first, beyond, silence_ms, HARSHNESS)
    return measures


def each_s(**columns: Sequence[Any]) -> Measures:
    (size,) = {len(column) for column in columns.values()}
    return measured(run(*[1000] * (size - 1), **columns))


# --- rates


class Pair(NamedTuple):
    """Two values that follow each other, without a silence between."""

    step_ms: int
    a: float
    b: float

    @property
    def area(self) -> float:
        return self.step_ms * (self.a + self.b)


def pairs(samples: Run, column: list[Any]) -> Iterator[Pair]:
    known = [(t, value) for t, value in zip(samples.t, column, strict=False) if value is not None]
    for (before, a), (t, b) in pairwise(known):
        if t - before < SILENCE_MS:
            yield Pair(t - before, a, b)


def plainly(samples: Run) -> dict[str, float]:
    """What `Measures` has to hold after these samples."""
    speed, power = list(pairs(samples, samples.speed_kmh)), list(pairs(samples, samples.power_kw))
    mean = [(pair.a + pair.b) / 2 for pair in speed]
    return {
        "samples": len(samples.t),
        "way": sum(pair.area for pair in speed),
        "urban": sum(pair.area for pair, kmh in zip(speed, mean, strict=True) if kmh <= 60),
        "rural": sum(pair.area for pair, kmh in zip(speed, mean, strict=True) if 60 < kmh <= 90),
        "motorway": sum(pair.area for pair, kmh in zip(speed, mean, strict=True) if kmh > 90),
        "motorway_ms": sum(pair.step_ms for pair, kmh in zip(speed, mean, strict=True) if kmh > 90),
        "idle_ms": sum(pair.step_ms for pair in speed if pair.a < 1),
        "drawn": sum(pair.area for pair in power if pair.area > 0),
        "recuperated": -sum(pair.area for pair in power if pair.area < 0),
        "fuel": sum(pair.area for pair in pairs(samples, samples.fuel_l_h)),
    }


def sums(measures: Measures) -> Any:
    """To be compared: rounding differs with the order of adding up."""
    names = plainly(run())
    return {name: pytest.approx(getattr(measures, name), rel=1e-9, abs=1e-3) for name in names}


def ends(samples: Run) -> dict[str, Any]:
    """Likewise, of what is not summed up."""
    speeds = [kmh for kmh in samples.speed_kmh if kmh is not None]
    soc, tank = ([one for one in column if one is not None] for column in (samples.soc_pct, samples.fuel_pct))
    odo = [km for km in samples.odo_km if km is not None]
    return {
        "has_speed": bool(speeds),
        "has_power": any(kw is not None for kw in samples.power_kw),
        "max_kmh": max(speeds, default=None),
        "soc_first_pct": soc[0] if soc else None,
        "soc_last_pct": soc[-1] if soc else None,
        "fuel_first_pct": tank[0] if tank else None,
        "fuel_last_pct": tank[-1] if tank else None,
        "odo_first_km": odo[0] if odo else None,
        "odo_last_km": odo[-1] if odo else None,
        "odo_covers": bool(odo) and samples.odo_km[0] is not None,
        "odo_at_end": bool(odo) and samples.odo_km[-1] is not None,
    }


def events(samples: Run) -> tuple[int, int, int]:
    """Harsh brakings, accelerations and cornerings."""
    known = [(t, kmh) for t, kmh in zip(samples.t, samples.speed_kmh, strict=False) if kmh is not None]
    found, _ = accelerations([t for t, _ in known], [kmh for _, kmh in known])
    lateral = zip(samples.t, samples.lateral_ms2, strict=False)
    return (
        _apart([t for t, ms2 in found if ms2 <= -HARSHNESS.braking]),
        _apart([t for t, ms2 in found if ms2 >= HARSHNESS.acceleration]),
        _apart([t for t, ms2 in lateral if ms2 is not None and abs(ms2) >= HARSHNESS.cornering]),
    )


def _apart(moments_ms: list[int]) -> int:
    return bool(moments_ms) + sum(b - a > EVENT_MS for a, b in pairwise(moments_ms))


_STEPS = st.sampled_from([0, 1, 500, 800, 1000, 1000, 1000, 5000, 60_000, 119_999, 120_000, 300_000])
_SPEEDS = st.sampled_from([0.0, 0.5, 0.9, 1.0, 12.0, 30.0, 50.0, 59.5, 60.0, 61.0, 90.0, 90.5, 130.0]) | st.floats(
    0, 250
)
_COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "speed_kmh": _SPEEDS | st.floats(0, 250),
    "power_kw": st.floats(-150, 300) | st.just(0.0),
    "fuel_l_h": st.floats(0, 50),
    "fuel_pct": st.floats(0, 100),
    "soc_pct": st.floats(0, 100),
    "odo_km": st.floats(1000, 1001),
    "lateral_ms2": st.floats(-6, 6),
}


@st.composite
def _runs(draw: st.DrawFn, between: st.SearchStrategy[int] = _STEPS) -> Run:
    is_even = draw(st.booleans())
    size = draw(st.integers(1, 25))
    steps = [draw(between)] * (size - 1) if is_even else draw(st.lists(between, min_size=size - 1, max_size=size - 1))
    columns = dict[str, list[Any]]()
    for name in draw(st.sets(st.sampled_from(sorted(_COLUMNS)))):
        value = _COLUMNS[name] | st.none() if draw(st.booleans()) else _COLUMNS[name]
        columns[name] = draw(st.lists(value, min_size=size, max_size=size))
    return run(*steps, **columns)


@st.composite
def _cut(draw: st.DrawFn, between: st.SearchStrategy[int] = _STEPS) -> tuple[Run, list[int]]:
    samples = draw(_runs(between))
    return samples, sorted(draw(st.sets(st.integers(1, max(1, len(samples.t) - 1))))) if len(samples.t) > 1 else []


@settings(deadline=None, max_examples=100)
@given(_cut())
def test_sums_and_ends_are_those_of_the_plain_way_in_any_parts(case: tuple[Run, list[int]]) -> None:
    samples, cuts = case
    for measures in (measured(samples), measured(samples, cuts=cuts)):
        assert plainly(samples) == sums(measures)
        assert {name: getattr(measures, name) for name in ends(samples)} == ends(samples)


@settings(deadline=None)
@given(_cut(st.sampled_from([800, 900, 1000, 1000, 1000, 3000, 5000])))
def test_harsh_events_are_the_same_in_any_parts(case: tuple[Run, list[int]]) -> None:
    samples, cuts = case
    for measures in (measured(samples), measured(samples, cuts=cuts)):
        assert (measures.brakings, measures.accelerations, measures.cornerings) == events(samples)


@settings(deadline=None, max_examples=100)
@given(_cut(), st.lists(st.booleans(), min_size=25, max_size=25))
def test_what_was_forked_and_joined_again_is_as_if_it_had_not_been(
    case: tuple[Run, list[int]], forks: list[bool]
) -> None:
    samples, cuts = case
    measures, pending = Measures(), None
    for (first, beyond), is_forked in zip(pairwise([0, *cuts, len(samples.t)]), forks, strict=False):
        if is_forked and pending is None:
            pending = measures.fork()
        if not is_forked and pending is not None:
            measures.join(pending)
            pending = None
        (pending or measures).extend(samples, first, beyond, SILENCE_MS, HARSHNESS)
    if pending is not None:
        measures.join(pending)
    assert plainly(samples) == sums(measures)
    assert {name: getattr(measures, name) for name in ends(samples)} == ends(samples)
    assert measures.edge == measured(samples).edge


@settings(deadline=None)
@given(_cut())
def test_a_part_of_a_run_counts_as_the_same_samples_of_the_whole_run(case: tuple[Run, list[int]]) -> None:
    samples, cuts = case
    measures = Measures()
    for first, beyond in pairwise([0, *cuts, len(samples.t)]):
        part = samples.part(first, beyond)
        measures.extend(part, 0, beyond - first, SILENCE_MS, HARSHNESS)
    assert plainly(samples) == sums(measures)


@settings(deadline=None)
@given(_runs())
def test_measures_come_back_from_their_text_exactly(samples: Run) -> None:
    measures = measured(samples)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(measures), type=Measures) == measures


def test_a_minute_at_60_kmh_is_a_kilometre() -> None:
    measures = each_s(speed_kmh=[60.0] * 61, power_kw=[12.0] * 61, fuel_l_h=[6.0] * 61)
    assert measures.way / 2 / HOUR_MS == pytest.approx(1.0)
    assert measures.drawn / 2 / HOUR_MS == pytest.approx(0.2)
    assert measures.fuel / 2 / HOUR_MS == pytest.approx(0.1)


def test_nothing_is_integrated_over_a_silence() -> None:
    measures = measured(run(1000, SILENCE_MS, 1000, speed_kmh=[36.0] * 4))
    assert measures.way / 2 / HOUR_MS == pytest.approx(0.02)
    over = measured(run(1000, SILENCE_MS - 1, 1000, speed_kmh=[36.0] * 4))
    assert over.way / 2 / HOUR_MS == pytest.approx(0.02 + (SILENCE_MS - 1) / 100_000)


def test_recuperating_is_counted_apart() -> None:
    measures = each_s(power_kw=[10.0, 10.0, -20.0, -20.0])
    assert measures.drawn / 2 / HOUR_MS * 3600 == pytest.approx(10)
    assert measures.recuperated / 2 / HOUR_MS * 3600 == pytest.approx(25)


def test_one_rate_of_fuel_is_not_yet_a_consumption() -> None:
    assert not each_s(fuel_l_h=[4.0, None]).has_fuel
    assert each_s(fuel_l_h=[4.0, 4.0]).has_fuel
    assert measured(run(1000, fuel_l_h=[4.0, 4.0]), cuts=[1]).has_fuel
    assert each_s(fuel_l_h=[0.0, 0.0]).has_fuel


def test_standing_still_is_below_one_kilometre_an_hour_until_the_next_sample() -> None:
    assert each_s(speed_kmh=[0.0, 0.0, 5.0, 5.0, 0.99, 1.0, 0.0]).idle_ms == 3000
    assert each_s(speed_kmh=[0.0, None, None, 5.0]).idle_ms == 3000


def test_the_road_between_two_samples_is_of_the_class_of_their_mean_speed() -> None:
    measures = each_s(speed_kmh=[60.0, 60.0, 90.0, 90.0, 100.0])
    assert (measures.urban, measures.rural, measures.motorway) == (120_000.0, 330_000.0, 190_000.0)
    assert measures.motorway_ms == 1000


# --- harsh driving


def test_a_harsh_braking_of_some_seconds_is_one() -> None:
    measures = each_s(speed_kmh=[80.0, 68.0, 56.0, 44.0, 32.0, 31.0])
    assert (measures.brakings, measures.accelerations) == (1, 0)


def test_the_next_one_is_more_than_three_seconds_later() -> None:
    twice = [80.0, 68.0, 68.0, 67.9, 67.8, 56.0]
    assert each_s(speed_kmh=twice).brakings == 2
    assert each_s(speed_kmh=twice[:3] + twice[4:]).brakings == 1


def test_harsh_events_are_counted_across_messages() -> None:
    speeds = [0.0, 0.0, 12.0, 24.0, 36.0, 48.0]
    whole = run(*[1000] * 5, speed_kmh=speeds)
    for cut in range(1, 6):
        assert measured(whole, cuts=[cut]).accelerations == 1


def test_thresholds_are_those_of_the_vehicle() -> None:
    braking = run(1000, 1000, speed_kmh=[80.0, 68.0, 67.0], lateral_ms2=[0.0, 4.0, -4.0])
    for limit, count in ((3.0, 1), (3.4, 0)):
        measures = Measures()
        measures.extend(braking, 0, 3, SILENCE_MS, Harshness(braking=limit, cornering=limit + 0.5))
        assert (measures.brakings, measures.cornerings) == (count, 1)
    measures = Measures()
    measures.extend(braking, 0, 3, SILENCE_MS, Harshness(cornering=4.1))
    assert measures.cornerings == 0


def test_one_braking_to_a_stand_is_one() -> None:
    """Its last second is of what follows the coming to a stand."""
    samples = run(*[1000] * 4, speed_kmh=[48.0, 36.0, 24.0, 12.0, 0.0])
    measures = Measures()
    measures.extend(samples, 0, 4, SILENCE_MS, HARSHNESS)
    pending = measures.fork()
    pending.extend(samples, 4, 5, SILENCE_MS, HARSHNESS)
    measures.join(pending)
    assert measures.brakings == 1


def test_a_change_of_speed_is_compared_with_what_was_reported_before_and_not_with_its_jitter() -> None:
    samples = run(0, 800, speed_kmh=[0.0, 0.9, 8.0])
    assert measured(samples).accelerations == measured(samples, cuts=[1, 2]).accelerations == 1


# --- instruments


@pytest.mark.parametrize(
    ("levels", "is_refuelled"),
    [
        ([50.0, 49.0, 90.0], True),
        ([50.0, 55.0], True),
        ([50.0, 54.9], False),
        ([50.0, 30.0, 35.0], True),
        ([50.0, None, 55.0], True),
        ([50.0, 48.0, 51.0, 49.0], False),
        ([None, 50.0], False),
    ],
    ids=str,
)
def test_a_level_that_rises_by_five_points_was_filled_up(levels: list[float | None], *, is_refuelled: bool) -> None:
    """From one message to the next."""
    samples = run(*[30_000] * (len(levels) - 1), fuel_pct=levels)
    assert measured(samples, cuts=range(1, len(levels))).is_refuelled is is_refuelled


def test_a_level_that_rises_within_a_message_was_filled_up() -> None:
    assert each_s(fuel_pct=[50.0, 52.0, 54.0, 56.0]).is_refuelled


def test_a_level_that_rises_slowly_over_messages_was_filled_up() -> None:
    samples = run(*[30_000] * 9, fuel_pct=[20.0 + 4 * index for index in range(10)])
    assert measured(samples, cuts=range(1, 10)).is_refuelled


def test_a_level_that_rises_where_parts_join_was_filled_up() -> None:
    measures = measured(run(1000, fuel_pct=[20.0, 20.0]))
    pending = measures.fork()
    pending.extend(run(fuel_pct=[90.0]), 0, 1, SILENCE_MS, HARSHNESS)
    measures.join(pending)
    assert measures.is_refuelled


@pytest.mark.parametrize(
    ("kilometres", "covers", "at_end", "falls"),
    [
        ([10.0, 10.1, 10.1, 10.2], True, True, False),
        ([None, 10.1, 10.1, 10.2], False, True, False),
        ([10.0, 10.1, 10.1, None], True, False, False),
        ([10.0, None, None, 10.2], True, True, False),
        ([10.0, 10.2, 10.1, 10.3], True, True, True),
        ([10.0, 10.1, 0.0, 0.1], True, True, True),
        ([None] * 4, False, False, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("cuts", [[], [1], [2], [3], [1, 2, 3]], ids=str)
def test_the_odometer_covers_a_trip_if_first_and_last_have_it(
    kilometres: list[float | None], cuts: list[int], *, covers: bool, at_end: bool, falls: bool
) -> None:
    measures = measured(run(1000, 1000, 1000, odo_km=kilometres), cuts=cuts)
    assert (measures.odo_covers, measures.odo_at_end, measures.odo_falls) == (covers, at_end, falls)


def test_an_odometer_that_falls_and_comes_back_within_a_message_falls() -> None:
    assert measured(run(1000, 1000, odo_km=[10.0, 9.0, 10.0])).odo_falls


def test_an_odometer_that_a_later_part_lacks_does_not_reach_the_end() -> None:
    measures = measured(run(1000, odo_km=[10.0, 10.1]))
    measures.extend(run(speed_kmh=[5.0]), 0, 1, SILENCE_MS, HARSHNESS)
    assert (measures.odo_covers, measures.odo_at_end) == (True, False)


def test_an_odometer_that_falls_where_parts_join_falls() -> None:
    measures = measured(run(1000, odo_km=[10.0, 10.1]))
    pending = measures.fork()
    pending.extend(run(odo_km=[9.0]), 0, 1, SILENCE_MS, HARSHNESS)
    measures.join(pending)
    assert measures.odo_falls


def test_the_temperature_is_a_mean_over_messages() -> None:
    measures = measured(run(1000, 1000, 1000, temp_c=[20.0, 21.0, 22.0, 24.0]), cuts=[2])
    assert measures.temp_sum / measures.temp_count == 22.5


def test_what_was_dropped_is_counted_by_reason() -> None:
    measures = Measures()
    measures.drop({"clock": 2})
    pending = measures.fork()
    pending.drop({"soc": 1, "clock": 1})
    measures.join(pending)
    assert measures.dropped == {"clock": 3, "soc": 1}


def test_a_fork_without_samples_changes_nothing() -> None:
    measures = each_s(speed_kmh=[5.0, 6.0], odo_km=[1.0, 1.1])
    before = msgspec.msgpack.encode(measures)
    measures.join(measures.fork())
    assert msgspec.msgpack.encode(measures) == before
