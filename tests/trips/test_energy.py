"""What a trip took out of battery and tank, and the CO₂ of it."""

from itertools import pairwise
from math import isclose, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips.energy import CO2_G_PER_L, RATED_FALL_PCT, Consumption, Taken, consumption
from functions.trips.parameters import FuelKind, Parameters

ELECTRIC = Parameters(battery_kwh=58.0, grid_co2_g_kwh=300.0, charging_efficiency=0.9)
PETROL = Parameters(fuel="petrol", tank_l=50.0)

amounts = st.floats(0, 1000, allow_subnormal=False)
levels = st.floats(0, 100)
distances = st.floats(0, 2000)
parameters = st.builds(
    Parameters,
    battery_kwh=st.none() | st.floats(1, 200),
    tank_l=st.none() | st.floats(1, 200),
    fuel=st.sampled_from([None, *CO2_G_PER_L]),
    grid_co2_g_kwh=st.floats(0, 2000),
    charging_efficiency=st.floats(0.5, 1),
)
trips = st.builds(
    Taken,
    distance_km=distances,
    drawn_kwh=st.none() | amounts,
    recuperated_kwh=st.none() | amounts,
    soc_start_pct=st.none() | levels,
    soc_end_pct=st.none() | levels,
    fuel_l=st.none() | amounts,
    fuel_start_pct=st.none() | levels,
    fuel_end_pct=st.none() | levels,
    refuelled=st.booleans(),
)


def test_nothing_measured_tells_nothing() -> None:
    assert consumption(Taken(distance_km=50.0), ELECTRIC) == Consumption()


def test_integrated_power_counts_before_the_state_of_charge() -> None:
    taken = Taken(distance_km=50.0, drawn_kwh=10.0, recuperated_kwh=2.0, soc_start_pct=80.0, soc_end_pct=50.0)
    told = consumption(taken, ELECTRIC)
    assert (told.energy_kwh, told.recuperated_kwh, told.kwh_100km) == (8.0, 2.0, 16.0)


def test_without_power_the_state_of_charge_tells_net_energy_and_no_recuperation() -> None:
    told = consumption(Taken(distance_km=40.0, soc_start_pct=80.0, soc_end_pct=70.0), ELECTRIC)
    assert (told.energy_kwh, told.recuperated_kwh, told.kwh_100km) == (5.8, None, 14.5)


def test_a_state_of_charge_says_nothing_of_an_unknown_battery() -> None:
    assert consumption(Taken(distance_km=40.0, soc_start_pct=80.0, soc_end_pct=70.0), Parameters()) == Consumption()


def test_energy_is_negative_down_a_mountain_and_so_is_its_co2() -> None:
    told = consumption(Taken(distance_km=10.0, drawn_kwh=0.5, recuperated_kwh=2.3), ELECTRIC)
    assert (told.energy_kwh, told.kwh_100km, told.co2_kg) == (-1.8, -18.0, -0.6)


def test_the_fuel_rate_counts_before_the_level() -> None:
    told = consumption(Taken(distance_km=50.0, fuel_l=3.0, fuel_start_pct=80.0, fuel_end_pct=70.0), PETROL)
    assert (told.fuel_l, told.l_100km) == (3.0, 6.0)


def test_without_a_rate_the_level_times_the_tank_is_the_fuel() -> None:
    told = consumption(Taken(distance_km=50.0, fuel_start_pct=80.0, fuel_end_pct=70.0), PETROL)
    assert (told.fuel_l, told.l_100km) == (5.0, 10.0)


@pytest.mark.parametrize(
    "taken",
    [
        Taken(distance_km=50.0, fuel_start_pct=70.0, fuel_end_pct=90.0),
        Taken(distance_km=50.0, fuel_start_pct=70.0, fuel_end_pct=70.0),
        Taken(distance_km=50.0, fuel_start_pct=70.0, fuel_end_pct=60.0, refuelled=True),
        Taken(distance_km=50.0, fuel_start_pct=70.0),
    ],
    ids=["rose", "stayed", "refuelled", "no-end"],
)
def test_a_level_that_does_not_show_the_fuel_leaves_it_and_its_co2_unknown(taken: Taken) -> None:
    assert consumption(taken, PETROL) == Consumption()


def test_a_refuelled_trip_still_has_its_integrated_fuel() -> None:
    assert consumption(Taken(distance_km=50.0, fuel_l=3.0, refuelled=True), PETROL).l_100km == 6.0


def test_a_small_fall_of_a_level_is_too_coarse_for_a_rate() -> None:
    fall = RATED_FALL_PCT - 1
    fuel = consumption(Taken(distance_km=50.0, fuel_start_pct=70.0, fuel_end_pct=70.0 - fall), PETROL)
    energy = consumption(Taken(distance_km=50.0, soc_start_pct=70.0, soc_end_pct=70.0 - fall), ELECTRIC)
    assert (fuel.fuel_l, fuel.l_100km) == (2.0, None)
    assert (energy.energy_kwh, energy.kwh_100km) == (2.32, None)


def test_a_short_trip_has_amounts_but_no_rates() -> None:
    taken = Taken(distance_km=0.9, drawn_kwh=0.2, recuperated_kwh=0.0, fuel_l=0.1)
    told = consumption(taken, Parameters(fuel="petrol"))
    assert (told.energy_kwh, told.kwh_100km, told.fuel_l, told.l_100km) == (0.2, None, 0.1, None)
    assert consumption(taken, Parameters(fuel="petrol", rated_from_km=0.5)).kwh_100km == 22.22


@pytest.mark.parametrize(("fuel", "co2_kg"), [("petrol", 23.3), ("diesel", 26.4), ("lpg", 16.29)])
def test_fuel_is_counted_from_tank_to_wheel(fuel: FuelKind, co2_kg: float) -> None:
    """Commission Implementing Decision (EU) 2020/728, annex, table 3."""
    assert consumption(Taken(distance_km=100.0, fuel_l=10.0), Parameters(fuel=fuel)).co2_kg == co2_kg


def test_factors_are_those_of_the_panel_within_two_percent() -> None:
    """IPCC 2006: t/TJ times GJ/t, at the densities of EN 228 and EN 590."""
    assert isclose(CO2_G_PER_L["petrol"], 69.3 * 44.3 * 0.745, rel_tol=0.02)
    assert isclose(CO2_G_PER_L["diesel"], 74.1 * 43.0 * 0.835, rel_tol=0.02)


def test_electricity_is_counted_from_plug_to_wheel() -> None:
    """Nine kilowatt-hours from the battery were ten from the plug."""
    assert consumption(Taken(distance_km=60.0, drawn_kwh=9.0), ELECTRIC).co2_kg == 3.0


def test_a_plug_in_hybrid_adds_both() -> None:
    hybrid = Parameters(fuel="petrol", battery_kwh=10.0, grid_co2_g_kwh=300.0)
    told = consumption(Taken(distance_km=60.0, drawn_kwh=9.0, recuperated_kwh=0.0, fuel_l=1.0), hybrid)
    assert told.co2_kg == 5.33


@pytest.mark.parametrize(
    ("taken", "known"),
    [
        (Taken(distance_km=60.0, drawn_kwh=9.0), PETROL),
        (Taken(distance_km=60.0, drawn_kwh=9.0, fuel_start_pct=60.0), ELECTRIC),
        (Taken(distance_km=60.0, fuel_l=5.0), Parameters()),
    ],
    ids=["no-litres", "a-tank", "no-kind"],
)
def test_co2_of_which_a_part_is_unknown_is_not_told(taken: Taken, known: Parameters) -> None:
    assert consumption(taken, known).co2_kg is None


def test_an_electric_car_that_reports_no_fuel_burnt_is_no_riddle() -> None:
    assert consumption(Taken(distance_km=60.0, drawn_kwh=9.0, fuel_l=0.0), ELECTRIC).co2_kg == 3.0


def test_a_coasting_car_has_no_minus_zero() -> None:
    told = consumption(Taken(distance_km=60.0, drawn_kwh=0.0, recuperated_kwh=1e-9), ELECTRIC)
    assert str(told.energy_kwh) == str(told.co2_kg) == str(told.kwh_100km) == "0.0"


@given(trips, parameters)
def test_whatever_was_measured_the_answer_is_finite_and_rates_need_distance(taken: Taken, known: Parameters) -> None:
    told = consumption(taken, known)
    assert all(value is None or isfinite(value) for value in told)
    assert told.fuel_l is None or told.fuel_l >= 0
    assert told.kwh_100km is None or told.energy_kwh is not None
    assert told.l_100km is None or told.fuel_l is not None
    if taken.distance_km < known.rated_from_km:
        assert told.kwh_100km is None
        assert told.l_100km is None


@given(parameters, st.lists(amounts, min_size=2, max_size=5), st.lists(amounts, min_size=2, max_size=5))
def test_more_fuel_or_more_energy_is_never_less_co2(known: Parameters, fuel: list[float], drawn: list[float]) -> None:
    burnt = [consumption(Taken(distance_km=10.0, fuel_l=litres), known) for litres in sorted(fuel)]
    taken = [consumption(Taken(distance_km=10.0, drawn_kwh=kwh, fuel_l=0.0), known) for kwh in sorted(drawn)]
    for less, more in [*pairwise(burnt), *pairwise(taken)]:
        if less.co2_kg is not None and more.co2_kg is not None:
            assert less.co2_kg <= more.co2_kg


@given(parameters, st.lists(st.tuples(amounts, amounts, amounts), min_size=1, max_size=5))
def test_the_parts_of_a_trip_add_up_to_the_whole(known: Parameters, parts: list[tuple[float, float, float]]) -> None:
    def told(drawn_kwh: float, recuperated_kwh: float, fuel_l: float) -> Consumption:
        taken = Taken(distance_km=10.0, drawn_kwh=drawn_kwh, recuperated_kwh=recuperated_kwh, fuel_l=fuel_l)
        return consumption(taken, known)

    whole = told(*(sum(column) for column in zip(*parts, strict=True)))
    each = [told(*part) for part in parts]
    assert isclose(sum(one.energy_kwh or 0 for one in each), whole.energy_kwh or 0, abs_tol=0.01)
    if whole.co2_kg is not None:
        assert isclose(sum(one.co2_kg or 0 for one in each), whole.co2_kg, abs_tol=0.01)
