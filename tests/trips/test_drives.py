"""Recorded drives give the trips that they are labelled with, in whatever order their messages come."""

import random
from pathlib import Path
from typing import NamedTuple

import pytest

from functions.trips.summary import Summary
from shared.clock import from_epoch_ms
from tests.trips.drives import bodies, decoded, recorded
from tests.trips.vehicle import after


class Label(NamedTuple):
    """One line of the recordings' own table."""

    start: str
    end: str
    distance_km: float
    idle_s: float
    max_speed_kmh: float
    soc_start_pct: float | None
    soc_end_pct: float | None
    fuel_l: float | None
    dropped: dict[str, int]


LABELS = {
    "twizy-t1-06-30-2021-2": Label("09:39:19", "11:17:41", 44.35, 911, 64.49, 93.42, 33.06, None, {"teleport": 4}),
    "twizy-t1-06-30-2021-1": Label("13:30:32", "14:57:11", 45.41, 818, 76.92, 96.06, 32.42, None, {"clock": 34}),
    "twizy-t2-04-26-2021": Label("14:44:08", "16:21:27", 46.96, 1008, 78.03, 98.26, 33.36, None, {"clock": 13}),
    "twizy-t3-04-22-2021-1": Label("08:42:50", "09:00:18", 14.15, 45, 81.58, 97.74, 79.0, None, {}),
    "twizy-t3-04-22-2021-2": Label("09:02:42", "09:20:59", 15.48, 33, 82.69, 78.88, 49.24, None, {}),
    "twizy-t3-05-25-2021-1": Label("10:38:33", "10:54:33", 13.83, 30, 80.03, 56.2, 32.4, None, {}),
    "twizy-t3-05-31-2021": Label("15:22:50", "15:41:31", 15.70, 36, 79.58, 54.6, 23.36, None, {}),
    "envirocar-2": Label("12:31:18", "12:53:56", 34.06, 0, 131.0, None, None, 2.96, {}),
}
SAME_DAY = [
    ("twizy-t3-04-22-2021-1", "twizy-t3-04-22-2021-2"),
    ("twizy-t1-06-30-2021-2", "twizy-t1-06-30-2021-1"),
]


def files(drives: Path, *names: str) -> list[Path]:
    return [drives / f"{name}.csv" for name in names]


def check(trip: Summary, label: Label) -> None:
    for moment_ms, labelled in ((trip.started_at_ms, label.start), (trip.ended_at_ms, label.end)):
        moment = from_epoch_ms(moment_ms)
        hours, minutes, seconds = map(int, labelled.split(":"))
        assert abs((moment - moment.replace(hour=hours, minute=minutes, second=seconds)).total_seconds()) <= 40
    assert trip.distance_km == pytest.approx(label.distance_km, rel=0.02)
    assert trip.distance_source == "speed"
    assert trip.idle_s == pytest.approx(label.idle_s, rel=0.05, abs=15)
    assert trip.max_speed_kmh == label.max_speed_kmh
    assert (trip.soc_start_pct, trip.soc_end_pct) == (label.soc_start_pct, label.soc_end_pct)
    assert trip.fuel_l == (None if label.fuel_l is None else pytest.approx(label.fuel_l, rel=0.02))
    assert trip.duration_s == (trip.ended_at_ms - trip.started_at_ms) / 1000


@pytest.mark.parametrize("name", LABELS)
def test_each_recording_is_one_trip(drives: Path, name: str) -> None:
    vehicle = after(decoded(bodies(recorded(*files(drives, name)))))
    assert len(vehicle.trips) == 1
    check(vehicle.trips[0], LABELS[name])
    assert vehicle.trips[0].dropped == LABELS[name].dropped
    assert vehicle.told == [(1, False)]


@pytest.mark.parametrize("names", SAME_DAY, ids="+".join)
def test_two_recordings_of_a_day_are_two_trips(drives: Path, names: tuple[str, str]) -> None:
    vehicle = after(decoded(bodies(recorded(*files(drives, *names)))))
    assert len(vehicle.trips) == 2
    for trip, name in zip(vehicle.trips, names, strict=True):
        check(trip, LABELS[name])
    assert vehicle.told == [(1, False)] * 2


def test_a_trip_starts_and_ends_where_the_car_was(drives: Path) -> None:
    """The other one of these two begins with a receiver that catches up by 1.8 km; this one is sent to latitude 0."""
    trip = after(decoded(bodies(recorded(*files(drives, "twizy-t1-06-30-2021-2"))))).trips[0]
    assert (trip.start_lat, trip.start_lon) == (33.986145, -6.724951)
    assert (trip.end_lat, trip.end_lon) == (33.986156, -6.724935)


@pytest.mark.parametrize("names", SAME_DAY, ids="+".join)
@pytest.mark.parametrize("seed", range(4))
def test_disorder_and_repetition_change_no_digit(drives: Path, names: tuple[str, str], seed: int) -> None:
    messages = decoded(bodies(recorded(*files(drives, *names))))
    expected = after(messages)
    chance = random.Random(seed)
    shuffled = messages + chance.sample(messages, len(messages) // 5)
    chance.shuffle(shuffled)
    disordered = after(shuffled, size=chance.choice([1, 7, 64, 256]))
    assert disordered.trips == expected.trips
    assert disordered.announced == expected.announced


def test_a_bad_first_fix_is_the_one_that_is_not_believed(drives: Path) -> None:
    samples = recorded(*files(drives, "twizy-t3-05-31-2021"))
    samples[0] |= {"lat": 0.0, "lon": 0.0}
    trip = after(decoded(bodies(samples))).trips[0]
    assert trip.start_lat == pytest.approx(33.953865, abs=0.001)
    assert trip.dropped == {"teleport": 1}
