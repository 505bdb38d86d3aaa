"""What the fleet drove in a month, by brand and model, without any person in it: pure.

Each vehicle is one person's, so what is protected is the vehicle. The rules are those of official statistics
(Hundepool et al., Statistical Disclosure Control, 2012, chapter 4: threshold, dominance and rounding):

1. *Threshold*: a figure is published of `MIN_VEHICLES` distinct vehicles or more. Vehicles are counted, not trips, and
   for each figure by itself: ten cars of a model of which one reports its fuel show no fuel.
2. *Merging*: a model with fewer vehicles counts in the brand's `other`, and that, if it is still too small, in the
   `other` of all brands; what is too small even there is left out. No sum over several cells is published, so nothing
   can be subtracted from it to find what was merged.
3. *Dominance*: a figure of which one vehicle makes up half or more is not published: it would be that vehicle's.
4. *Rounding*: to two significant digits (±0.5 % to ±5 %), vehicles down to a multiple of five. It blurs what
   subtraction finds; of a small cell it does not hide a vehicle that drives much, which is what 3 and 5 are for.
5. *Once*: a month is published when late data cannot change it any more, and never again. Published day by day, the
   few who drove on a day could be found by subtraction.

By market it is not divided: with the sums over markets each division would have to be protected against the others.

What remains: who knows all vehicles of a cell but one, as an operator of a company's cars may, learns that one's figure
as exactly as the rounding lets them; so does, of who joins or leaves, who compares the months of a cell that is
otherwise the same; and figures that are alike for all vehicles of a cell tell of each of them. This is k-anonymity with
its limits (Sweeney 2002), not differential privacy.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from math import floor, log10

import msgspec

from functions.trips.rollup import WESTERNMOST, Totals

MIN_VEHICLES = 10
OTHER = "other"
VEHICLES_STEP = 5
# After the end of a month: the 72 hours in which data may be late, and a day for the roll-up.
SETTLED_AFTER = timedelta(days=4)

VehicleClass = tuple[str, str]  # brand and model


class Sum(msgspec.Struct, frozen=True, array_like=True):
    """A figure over the vehicles that have it: whole numbers, so that sums of sums are exact in any order."""

    vehicles: int
    total: int
    largest: int

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.vehicles + other.vehicles, self.total + other.total, max(self.largest, other.largest))

    @property
    def is_publishable(self) -> bool:
        return self.vehicles >= MIN_VEHICLES and 2 * self.largest < self.total


Cell = Mapping[str, Sum]  # by figure
Cells = Mapping[VehicleClass, Cell]


class FleetTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What the vehicles of a brand and model drove in a month (`2026-04`); None: must not be told.

    All figures are rounded, `vehicles` is a lower bound.
    """

    month: str
    brand: str
    model: str
    vehicles: int
    trips: int | None = None
    distance_km: float | None = None
    driving_h: float | None = None
    idle_h: float | None = None
    energy_kwh: float | None = None
    fuel_l: float | None = None
    co2_kg: float | None = None
    harsh_events: int | None = None
    eco_score: int | None = None  # 0…100, weighted by distance


def settled_month(now: datetime) -> str:
    """The last month that late data cannot change any more, wherever on earth it ended last."""
    day = (now - SETTLED_AFTER + WESTERNMOST).date()
    return month_of(day.replace(day=1) - timedelta(days=1))


def month_of(day: date) -> str:
    return f"{day:%Y-%m}"


def figures(driven: Totals) -> dict[str, Sum]:
    """One vehicle's part of the cell that it belongs to."""
    amounts = {
        "trips": driven.trips,
        "distance_m": _thousandths(driven.distance_km),
        "driving_s": round(driven.driving_s),
        "idle_s": round(driven.idle_s),
        "energy_wh": _thousandths(driven.energy_kwh),
        "fuel_ml": _thousandths(driven.fuel_l),
        "co2_g": _thousandths(driven.co2_kg),
        "harsh_events": driven.harsh_events,
        "eco_points_m": _thousandths(driven.eco_points_km),
        "eco_of_m": _thousandths(driven.eco_of_km),
    }
    return {name: Sum(1, amount, abs(amount)) for name, amount in amounts.items() if amount is not None}


def sum_up(cells: Iterable[tuple[VehicleClass, Cell]]) -> dict[VehicleClass, dict[str, Sum]]:
    """Cells of the same brand and model become one. No two of them may count the same vehicle."""
    summed = defaultdict[VehicleClass, dict[str, Sum]](dict)
    for vehicle_class, cell in cells:
        into = summed[vehicle_class]
        for figure, part in cell.items():
            into[figure] = into[figure] + part if figure in into else part
    return dict(summed)


def published(month: str, cells: Cells) -> list[FleetTotal]:
    """What may be told of these cells, by brand and model."""
    by_model = sum_up(_with_small_ones_renamed(cells, lambda brand: (brand, OTHER)))
    by_brand = sum_up(_with_small_ones_renamed(by_model, lambda _: (OTHER, OTHER)))
    return [
        _told(month, vehicle_class, cell) for vehicle_class, cell in sorted(by_brand.items()) if not _is_small(cell)
    ]


def _with_small_ones_renamed(
    cells: Cells, renamed: Callable[[str], VehicleClass]
) -> Iterator[tuple[VehicleClass, Cell]]:
    for vehicle_class, cell in cells.items():
        yield (renamed(vehicle_class[0]) if _is_small(cell) else vehicle_class), cell


def _is_small(cell: Cell) -> bool:
    """Every vehicle of a cell has trips."""
    return cell["trips"].vehicles < MIN_VEHICLES


def _told(month: str, vehicle_class: VehicleClass, cell: Cell) -> FleetTotal:
    def told(figure: str, unit: float = 1) -> float | None:
        part = cell.get(figure)
        return _rounded(part.total / unit) if part is not None and part.is_publishable else None

    def told_count(figure: str) -> int | None:
        count = told(figure)
        return None if count is None else round(count)

    points, weight = cell.get("eco_points_m"), cell.get("eco_of_m")
    knows_eco = points is not None and weight is not None and points.is_publishable and weight.is_publishable
    return FleetTotal(
        month=month,
        brand=vehicle_class[0],
        model=vehicle_class[1],
        vehicles=cell["trips"].vehicles // VEHICLES_STEP * VEHICLES_STEP,
        trips=told_count("trips"),
        distance_km=told("distance_m", 1000),
        driving_h=told("driving_s", 3600),
        idle_h=told("idle_s", 3600),
        energy_kwh=told("energy_wh", 1000),
        fuel_l=told("fuel_ml", 1000),
        co2_kg=told("co2_g", 1000),
        harsh_events=told_count("harsh_events"),
        eco_score=round(points.total / weight.total) if knows_eco and points and weight else None,
    )


def _thousandths(amount: float | None) -> int | None:
    return None if amount is None else round(amount * 1000)


def _rounded(amount: float) -> float:
    """To two significant digits."""
    return round(amount, 1 - floor(log10(amount)))
