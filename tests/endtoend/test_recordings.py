"""Recorded drives through the command line: the trips that people drove, whatever happens to the messages."""

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
END_ERROR_S = 40


@dataclass(frozen=True, slots=True)
class Label:
    """What the recordings' own table says of one of them."""

    begin: str
    end: str
    distance_km: float
    idle_s: float
    max_speed_kmh: float
    soc_pct: tuple[float, float] | None
    fuel_l: float | None = None


LABELS = {
    "twizy-t1-06-30-2021-2": Label("2021-06-30T09:39:19", "2021-06-30T11:17:41", 44.35, 911, 64.49, (93.42, 33.06)),
    "twizy-t1-06-30-2021-1": Label("2021-06-30T13:30:32", "2021-06-30T14:57:11", 45.41, 818, 76.92, (96.06, 32.42)),
    "twizy-t2-04-26-2021": Label("2021-04-26T14:44:08", "2021-04-26T16:21:27", 46.96, 1008, 78.03, (98.26, 33.36)),
    "twizy-t3-04-22-2021-1": Label("2021-04-22T08:42:50", "2021-04-22T09:00:18", 14.15, 45, 81.58, (97.74, 79.0)),
    "twizy-t3-04-22-2021-2": Label("2021-04-22T09:02:42", "2021-04-22T09:20:59", 15.48, 33, 82.69, (78.88, 49.24)),
    "twizy-t3-05-25-2021-1": Label("2021-05-25T10:38:33", "2021-05-25T10:54:33", 13.83, 30, 80.03, (56.2, 32.4)),
    "twizy-t3-05-31-2021": Label("2021-05-31T15:22:50", "2021-05-31T15:41:31", 15.70, 36, 79.58, (54.6, 23.36)),
    "envirocar-2": Label("2020-03-24T12:31:18", "2020-03-24T12:53:56", 34.06, 0, 131.0, None, 2.96),
}
PAIRS = (("twizy-t3-04-22-2021-1", "twizy-t3-04-22-2021-2"), ("twizy-t1-06-30-2021-1", "twizy-t1-06-30-2021-2"))


async def replay(drives: Path, *names: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON that the command prints."""
    files = [str(drives / f"{name}.csv") for name in names]
    command = (sys.executable, "-m", "localcloud", "replay", *files, "--json", *options)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    result: dict[str, Any] = json.loads(output)
    return result


def check(trip: dict[str, Any], label: Label) -> None:
    for moment, labelled in ((trip["started_at"], label.begin), (trip["ended_at"], label.end)):
        difference = datetime.fromisoformat(moment) - datetime.fromisoformat(labelled).replace(tzinfo=UTC)
        assert abs(difference.total_seconds()) <= END_ERROR_S
    assert trip["distance_km"] == pytest.approx(label.distance_km, rel=0.02)
    assert trip["idle_s"] == pytest.approx(label.idle_s, rel=0.05, abs=15)
    assert trip["max_speed_kmh"] == label.max_speed_kmh
    assert (trip["soc_start_pct"], trip["soc_end_pct"]) == (label.soc_pct or (None, None))
    assert trip["fuel_l"] == (None if label.fuel_l is None else pytest.approx(label.fuel_l, rel=0.02))
    assert trip["start"]
    assert trip["end"]
    assert trip["polyline"]


@pytest.mark.parametrize("name", LABELS)
async def test_a_recorded_drive_is_one_trip(drives: Path, name: str) -> None:
    replayed = await replay(drives, name, options=("--vehicle-id", "recorded-car"))
    (trip,) = replayed["trips"]
    check(trip, LABELS[name])
    assert trip["vehicle_id"] == "recorded-car"
    assert replayed["parked"] == 0


@pytest.mark.parametrize("names", PAIRS, ids=lambda names: names[0])
async def test_two_drives_of_a_day_are_two_trips_also_in_disorder(drives: Path, names: tuple[str, str]) -> None:
    """The runs of 22 April are 144 s of silence apart; order and copies of messages change no digit."""
    ordered, disordered = [await replay(drives, *names, options=options) for options in ((), ("--disorder", "3"))]
    labels = sorted((LABELS[name] for name in names), key=lambda label: label.begin)
    for trip, label in zip(ordered["trips"], labels, strict=True):
        check(trip, label)
    assert disordered["trips"] == ordered["trips"]
    assert disordered["messages"] == pytest.approx(1.2 * ordered["messages"], abs=1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        ("", "column time is missing"),
        ("time,lat\n", "column lon is missing"),
        (
            (
                "time,lat,lon,altitude_m,speed_kmh,gps_speed_kmh,odometer_km,soc_pct,fuel_rate_l_h,gear\n"
                "2021-01-01T00:00:00Z,x,,,,,,,,\n"
            ),
            "line 2, column lat: 'x' is not a number",
        ),
    ],
)
async def test_a_file_that_is_no_recording_is_refused_in_words(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "drive.csv"
    if content is not None:
        path.write_text(content)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", "replay", str(path)), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode().startswith(f"error: {path}")
    assert complaint in errors.decode()
