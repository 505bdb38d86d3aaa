"""What a trip took out of battery and tank, and the CO₂ of it. Pure; docs/trips.md says the same at length.

Integrals of power and fuel rate count before levels: a level shows whole percents, half a kilowatt-hour or half a litre
each, and a tank's surface tilts on a slope.

CO₂ is counted where the car takes its energy in:

- fuel *tank to wheel*: what comes out of the tailpipe, fossil or not, by the factors of Commission Implementing
  Decision (EU) 2020/728, annex, table 3. Refining and transport of the fuel are not in it. For comparison, the IPCC's
  defaults (Regulation (EU) 2018/2066, annex VI: 69.3 and 74.1 t/TJ at 44.3 and 43.0 GJ/t) make 2.29 kg a litre of
  petrol at 0.745 kg/l and 2.66 kg a litre of diesel at 0.835 kg/l.
- electricity *plug to wheel*: what generating it emitted. The plug delivered more than the battery gives back: about a
  tenth is lost in charging (fueleconomy.gov, "Where the Energy Goes: Electric Cars"; ADAC measured 6 to 10 % at a wall
  box of 11 kW). Losses of the grid and the building of power stations are not in it. The default, 210 g/kWh, is about
  the EU's average of 2023 (EEA, "Greenhouse gas emission intensity of electricity generation").
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from functions.trips.parameters import FuelKind, Parameters

CO2_G_PER_L: Final[dict[FuelKind, float]] = {"petrol": 2330.0, "diesel": 2640.0, "lpg": 1629.0}

# By a level, consumption per 100 km is told only if the level fell by so many points: then it is right within a fifth.
RATED_FALL_PCT: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was measured of a trip's energy; None where it was not.

    `drawn_kwh` and `recuperated_kwh` are the integrals of what went out of the traction battery and back into it, both
    positive. `refuelled`: the level of the tank rose within the trip, which its ends need not show.
    """

    distance_km: float
    drawn_kwh: float | None = None
    recuperated_kwh: float | None = None
    soc_start_pct: float | None = None
    soc_end_pct: float | None = None
    fuel_l: float | None = None
    fuel_start_pct: float | None = None
    fuel_end_pct: float | None = None
    refuelled: bool = False


class Consumption(NamedTuple):
    """What is told of it; None where it is not known."""

    energy_kwh: float | None = None  # net, at the battery; negative if more went in than out, as down a mountain
    recuperated_kwh: float | None = None
    kwh_100km: float | None = None
    fuel_l: float | None = None
    l_100km: float | None = None
    co2_kg: float | None = None  # may be negative as `energy_kwh` may, so that trips add up


def consumption(taken: Taken, parameters: Parameters) -> Consumption:
    """Energy, fuel and CO₂ of a trip of a vehicle with these parameters.

    Values per 100 km are absent below `rated_from_km`. CO₂ is absent if a part of it is unknown: a car with a
    tank needs its litres, and litres need a kind of fuel.
    """
    energy_kwh, energy_fall_pct = _energy(taken, parameters)
    fuel_l, fuel_fall_pct = _fuel(taken, parameters)
    return Consumption(
        energy_kwh=_rounded(energy_kwh, 3),
        recuperated_kwh=None if taken.drawn_kwh is None else _rounded(taken.recuperated_kwh, 3),
        kwh_100km=_per_100_km(energy_kwh, energy_fall_pct, taken.distance_km, parameters.rated_from_km),
        fuel_l=_rounded(fuel_l, 4),
        l_100km=_per_100_km(fuel_l, fuel_fall_pct, taken.distance_km, parameters.rated_from_km),
        co2_kg=_rounded(_co2_kg(taken, energy_kwh, fuel_l, parameters), 3),
    )


def _energy(taken: Taken, parameters: Parameters) -> tuple[float | None, float | None]:
    """Net kWh, and by how many points the level fell if that is what they are known from."""
    if taken.drawn_kwh is not None:
        return taken.drawn_kwh - (taken.recuperated_kwh or 0.0), None
    start_pct, end_pct, capacity_kwh = taken.soc_start_pct, taken.soc_end_pct, parameters.battery_kwh
    if start_pct is None or end_pct is None or capacity_kwh is None:
        return None, None
    return (start_pct - end_pct) / 100 * capacity_kwh, start_pct - end_pct


def _fuel(taken: Taken, parameters: Parameters) -> tuple[float | None, float | None]:
    """Litres, and by how many points the level fell if that is what they are known from.

    A level that did not fall says nothing: less was burnt than it shows, or fuel was filled in.
    """
    if taken.fuel_l is not None:
        return taken.fuel_l, None
    start_pct, end_pct, capacity_l = taken.fuel_start_pct, taken.fuel_end_pct, parameters.tank_l
    if start_pct is None or end_pct is None or capacity_l is None or taken.refuelled or end_pct >= start_pct:
        return None, None
    return (start_pct - end_pct) / 100 * capacity_l, start_pct - end_pct


def _per_100_km(amount: float | None, fall_pct: float | None, distance_km: float, rated_from_km: float) -> float | None:
    is_too_coarse = fall_pct is not None and fall_pct < RATED_FALL_PCT
    if amount is None or is_too_coarse or distance_km < rated_from_km:
        return None
    return _rounded(100 * amount / distance_km, 2)


def _co2_kg(taken: Taken, energy_kwh: float | None, fuel_l: float | None, parameters: Parameters) -> float | None:
    from_fuel_g = _from_fuel_g(taken, fuel_l, parameters.fuel)
    if from_fuel_g is None or (energy_kwh is None and fuel_l is None):
        return None
    plug_kwh = (energy_kwh or 0.0) / parameters.charging_efficiency
    return (from_fuel_g + plug_kwh * parameters.grid_co2_g_kwh) / 1000


def _from_fuel_g(taken: Taken, fuel_l: float | None, kind: FuelKind | None) -> float | None:
    if fuel_l is None:
        has_tank = kind is not None or taken.fuel_start_pct is not None
        return None if has_tank else 0.0
    if kind is None:
        return None if fuel_l else 0.0
    return fuel_l * CO2_G_PER_L[kind]


def _rounded(value: float | None, digits: int) -> float | None:
    """Never as minus zero."""
    return None if value is None else round(value, digits) + 0.0
