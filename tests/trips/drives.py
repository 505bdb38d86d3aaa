"""Recorded drives as the telemetry that a car would have sent, and short drives made up for a purpose."""

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from functions.trips.agenda import Policy
from functions.trips.parameters import Parameters
from functions.trips.progress import Arrival
from functions.trips.samples import Message
from functions.trips.telemetry import NoUsableSample, decode
from shared.clock import DAY_MS
from shared.identity.caller import Caller
from tests.telemetry import packed

POLICY = Policy(parameters=Parameters(), close_after_ms=900_000, lateness_ms=3_600_000)
MORNING_MS = 1_750_000_000_000

_COLUMNS = {
    "lat": "lat",
    "lon": "lon",
    "altitude_m": "alt_m",
    "speed_kmh": "speed_kmh",
    "odometer_km": "odo_km",
    "soc_pct": "soc_pct",
    "fuel_rate_l_h": "fuel_l_h",
}


def recorded(*files: Path) -> list[dict[str, Any]]:
    """The rows of the recordings, one after the other, as samples of the protocol."""
    return [_sample(row) for file in files for row in csv.DictReader(file.open())]


def _sample(row: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {"t": round(datetime.fromisoformat(row["time"]).timestamp() * 1000)}
    values |= {name: float(row[column]) for column, name in _COLUMNS.items() if row[column]}
    return values | ({"gear": row["gear"]} if row["gear"] else {})


def bodies(samples: Sequence[dict[str, Any]], *, boot: str = "b1", size: int = 30) -> list[bytes]:
    """The messages of one boot."""
    starts = range(0, len(samples), size)
    return [packed(samples[start : start + size], boot, seq) for seq, start in enumerate(starts)]


def message(seq: int, *groups: Iterable[dict[str, Any]], boot: str = "b1", arrived_ms: int | None = None) -> Message:
    """One message of any number of samples that can all be used."""
    rows = [values for group in groups for values in group]
    arrived_ms = max(row["t"] for row in rows) if arrived_ms is None else arrived_ms
    return decode(packed(rows, boot, seq), Caller("car", ""), arrived_ms)


def decoded(sent: Iterable[bytes], arrived_ms: int | None = None) -> list[Message | Arrival]:
    """What arrives of the messages, at once; those without a usable sample as mere arrivals.

    If nobody says when, it is on the day after the drive, by the median of the messages' clocks.
    """
    bodies, messages = list(sent), list[Message | Arrival]()
    arrived_ms = int(median(json.loads(body)["t"][0] for body in bodies)) + DAY_MS if arrived_ms is None else arrived_ms
    for body in bodies:
        try:
            messages.append(decode(body, Caller("car", ""), arrived_ms))
        except NoUsableSample as reason:
            messages.append(Arrival(reason.boot, reason.seq, arrived_ms))
    return messages


def drive(
    minutes: float, *, start_ms: int = MORNING_MS, every_s: int = 10, speed_kmh: float = 36.0, lat: float = 50.0
) -> list[dict[str, Any]]:
    """To the north from `lat` and back again, at a steady speed."""
    count, metres = int(minutes * 60 / every_s), speed_kmh / 3.6 * every_s
    return [
        {
            "t": start_ms + index * every_s * 1000,
            "lat": lat + min(index, count - index) * metres / 111_195,
            "lon": 8.0,
            "speed_kmh": speed_kmh,
            "soc_pct": 80.0 - index / 100,
        }
        for index in range(count + 1)
    ]


def two_drives() -> list[bytes]:
    """The messages of one boot, with ten minutes between the drives."""
    return bodies([*drive(20), *drive(20, start_ms=MORNING_MS + 30 * 60_000)])
