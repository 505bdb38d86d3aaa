"""Recorded drives: CSV files with one sample a row. Nothing is cleaned: the car sends what it measured."""

import csv
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from localcloud.clock import to_epoch_ms
from localcloud.fleet.telemetry import Sample

# Column, and the field of the sample that it becomes; the GPS's own speed has no place in telemetry.
_NUMBERS: Final = {
    "lat": "lat",
    "lon": "lon",
    "altitude_m": "alt_m",
    "speed_kmh": "speed_kmh",
    "gps_speed_kmh": None,
    "odometer_km": "odo_km",
    "soc_pct": "soc_pct",
    "fuel_rate_l_h": "fuel_l_h",
}
COLUMNS: Final = ("time", *_NUMBERS, "gear")


class RecordingError(Exception):
    """The file is no recording; the message names file, line and column."""


def read_recording(path: Path) -> list[Sample]:
    """The samples in the order of the file. An empty field was not measured.

    Raises `RecordingError`, also for a file that cannot be read or has no samples.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            _check_columns(path, rows.fieldnames or ())
            samples = [_sample(_Row(path, rows.line_num, row)) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: {error}") from error
    if not samples:
        raise RecordingError(f"{path}: there is no sample in it")
    return samples


def _check_columns(path: Path, found: Sequence[str]) -> None:
    missing = [name for name in COLUMNS if name not in found]
    unknown = [name for name in found if name not in COLUMNS]
    if missing:
        raise RecordingError(f"{path}, line 1: column {missing[0]} is missing (of {', '.join(missing)})")
    if unknown:
        raise RecordingError(f"{path}, line 1: column {unknown[0]!r} is not known; known: {', '.join(COLUMNS)}")
    if len(found) > len(COLUMNS):
        raise RecordingError(f"{path}, line 1: a column occurs twice")


class _Row:
    """One line of the file, which knows where it stands."""

    def __init__(self, path: Path, line: int, fields: Mapping[str | None, str | list[str] | None]) -> None:
        self._where = f"{path}, line {line}"
        self._fields = fields
        if None in fields:
            raise RecordingError(f"{self._where}: there are more fields than columns")

    def text(self, column: str) -> str:
        value = self._fields[column]
        if not isinstance(value, str):
            raise RecordingError(f"{self._where}, column {column}: the line ends before it")
        return value.strip()

    def number(self, column: str) -> float | None:
        text = self.text(column)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):  # JSON has no way to say it
            raise RecordingError(f"{self._where}, column {column}: {text!r} is not a number")
        return number

    def time_ms(self, column: str) -> int:
        text = self.text(column)
        try:
            moment = datetime.fromisoformat(text)
            return to_epoch_ms((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC))
        except (ValueError, OverflowError):
            raise RecordingError(f"{self._where}, column {column}: {text!r} is not an ISO 8601 time") from None


def _sample(row: _Row) -> Sample:
    numbers = {column: row.number(column) for column in _NUMBERS}
    measured: dict[str, Any] = {field: numbers[column] for column, field in _NUMBERS.items() if field is not None}
    return Sample(t=row.time_ms("time"), gear=row.text("gear") or None, **measured)
