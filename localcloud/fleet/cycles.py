"""The drive cycles by which cars are type-approved: speed over time, from the regulations (see `cycles/README.md`)."""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

_TABLES: Final = Path(__file__).with_name("cycles")
_KMH: Final = {"speed_kmh": 1.0, "speed_mph": 1.609344}


class CycleName(StrEnum):
    WLTC_CLASS_3B = "wltc_class_3b"
    UDDS = "udds"
    HWFET = "hwfet"


@dataclass(frozen=True, slots=True)
class Cycle:
    """One speed a second; it begins and ends at standstill."""

    name: CycleName
    speeds_kmh: tuple[float, ...]

    @property
    def duration_s(self) -> int:
        return len(self.speeds_kmh) - 1

    @property
    def distances_km(self) -> tuple[float, ...]:
        """What was covered in each second, at constant acceleration."""
        return tuple((before + after) / 2 / 3600 for before, after in pairwise(self.speeds_kmh))

    @property
    def distance_km(self) -> float:
        return sum(self.distances_km)


@cache
def load_cycle(name: CycleName) -> Cycle:
    """The cycle in km/h, whatever the unit of its regulation."""
    with (_TABLES / f"{name}.csv").open(encoding="ascii", newline="") as file:
        rows = csv.reader(file)
        _, unit = next(rows)
        return Cycle(name, tuple(float(speed) * _KMH[unit] for _, speed in rows))
