"""The day is the same from the same seed, has every fault in it, and can be summed up from what is measured."""

from collections import Counter
from itertools import pairwise
from math import cos, hypot, radians
from random import Random

import pytest

from localcloud.fleet.powertrain import Combustion
from localcloud.fleet.telemetry import Sample
from tests.day.car import NOWHERE, Car, Course, Instruments, Stretch
from tests.day.faults import FAULTS
from tests.day.plan import DAY_MS, CarDay, plan_day
from tests.day.speeds import distances_km, some_drive

NOW_MS = 1_790_000_000_000
SILENCE_MS = 120_000


@pytest.fixture(scope="module")
def days() -> list[CarDay]:
    return [plan_day(1, number, NOW_MS) for number in range(120)]


def test_a_car_does_the_same_from_the_same_seed_and_something_else_from_another(days: list[CarDay]) -> None:
    assert plan_day(1, 7, NOW_MS) == days[7]
    assert plan_day(2, 7, NOW_MS).messages != days[7].messages


def test_all_drives_are_within_a_day_and_one_after_the_other(days: list[CarDay]) -> None:
    for day in days:
        moments_ms = [moment for drive in day.drives for moment in (drive.started_at_ms, drive.ended_at_ms)]
        assert moments_ms[0] >= NOW_MS - DAY_MS
        assert moments_ms[-1] <= NOW_MS
        assert all(before < after for before, after in pairwise(moments_ms))
        assert all(drive.distance_km >= 2 for drive in day.drives)


def test_the_fleet_has_every_fault(days: list[CarDay]) -> None:
    figures, traits = Counter[str](), Counter(trait for day in days for trait in day.traits)
    for day in days:
        figures.update(day.figures)
    on_the_way = (
        "dark",
        "silent",
        "flicker",
        "charging stops",
        "lost messages",
        "late messages",
        "copies",
        "overtaken",
    )
    assert min(figures[name] for name in (*FAULTS, *on_the_way, "messages with unknown fields")) > 0
    assert min(traits[f"no {signal}"] for signal in ("odometer", "speed", "ignition", "gear")) > 0
    assert min(traits[f"boots: {boots}"] for boots in ("per drive", "one for the day", "reboots while driving")) > 0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("tunnel", ["dark", "silent"])
def test_what_is_measured_tells_how_far_the_car_went(seed: int, tunnel: str) -> None:
    """By odometer, by speed and by position; with a tunnel in the middle."""
    random = Random(seed)
    speeds = some_drive(random)
    stretch = Stretch(len(speeds) // 4, len(speeds) * 3 // 4)
    course = Course(speeds, dark=stretch) if tunnel == "dark" else Course(speeds, silent=stretch)
    samples = _car(random).drive(course, NOW_MS)
    driven_km = distances_km(speeds)[-1]
    assert (samples[-1].odo_km or 0) - (samples[0].odo_km or 0) == pytest.approx(driven_km, abs=0.01)
    assert _by_speed_km(samples) == pytest.approx(driven_km, rel=0.01)
    assert _by_position_km([sample for sample in samples if sample.lat is not None]) == pytest.approx(
        driven_km, rel=0.02
    )


def test_a_tunnel_and_a_flicker_show_in_the_samples() -> None:
    speeds = (0.0, *[50.0] * 600, 0.0)
    samples = _car(Random(1)).drive(Course(speeds, dark=Stretch(100, 200), flicker=Stretch(400, 410)), NOW_MS)
    seconds = {(sample.t - NOW_MS) // 1000: sample for sample in samples}
    assert [second for second, sample in seconds.items() if sample.lat is None] == list(range(102, 201, 3))
    assert [second for second, sample in seconds.items() if sample.ignition is False] == [402, 405, 408, 601]
    silent = _car(Random(1)).drive(Course(speeds, silent=Stretch(100, 200)), NOW_MS)
    assert [sample.t for sample in silent] == [sample.t for sample in samples if sample.lat is not None]


def test_instruments_that_a_car_does_not_have_measure_nothing() -> None:
    bare = Instruments(every_s=5, odometer_step_km=None, has_speed=False, has_ignition=False, has_gear=False)
    samples = Car(bare, Combustion(), Random(1)).drive(Course((0.0, *[50.0] * 60, 0.0)), NOW_MS)
    assert {(one.odo_km, one.speed_kmh, one.ignition, one.gear) for one in samples} == {(None,) * 4}
    assert samples[-1].t == NOW_MS + 61_000


def _car(random: Random) -> Car:
    every = Instruments(every_s=3, odometer_step_km=0.01, has_speed=True, has_ignition=True, has_gear=True)
    return Car(every, Combustion(), random)


def _by_speed_km(samples: list[Sample]) -> float:
    """Across a silence by the straight line."""
    km = 0.0
    for before, after in pairwise(samples):
        if after.t - before.t >= SILENCE_MS:
            km += _by_position_km([before, after])
        else:
            km += ((before.speed_kmh or 0) + (after.speed_kmh or 0)) / 2 * (after.t - before.t) / 3_600_000
    return km


def _by_position_km(samples: list[Sample]) -> float:
    return sum(_straight_km(before, after) for before, after in pairwise(samples))


def _straight_km(before: Sample, after: Sample) -> float:
    assert None not in (before.lat, before.lon, after.lat, after.lon)
    north, east = (after.lat or 0) - (before.lat or 0), (after.lon or 0) - (before.lon or 0)
    middle = radians(((after.lat or 0) + (before.lat or 0)) / 2)
    return hypot(north, east * cos(middle)) * 111.195


def test_nowhere_is_no_second_of_a_drive() -> None:
    assert not any(NOWHERE.covers(second) for second in range(2000))
