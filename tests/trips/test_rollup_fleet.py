"""Totals of the fleet: nobody can be found in them, as far as the rules go."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips import fleet_totals
from functions.trips.fleet_totals import MIN_VEHICLES, OTHER, Cell, FleetTotal, Sum, VehicleClass
from functions.trips.rollup import Totals


def driven(**changes: Any) -> Totals:
    known: dict[str, Any] = {
        "trips": 30,
        "distance_km": 1000.0,
        "driving_s": 72_000.0,
        "idle_s": 7200.0,
        "harsh_events": 4,
    }
    return Totals(**known | changes)


def vehicles(count: int, brand: str = "Aurora", model: str = "E1", **changes: Any) -> list[tuple[VehicleClass, Cell]]:
    return [((brand, model), fleet_totals.figures(driven(**changes)))] * count


def told(*parts: tuple[VehicleClass, Cell]) -> dict[VehicleClass, FleetTotal]:
    totals = fleet_totals.published("2026-04", fleet_totals.sum_up(parts))
    return {(total.brand, total.model): total for total in totals}


def test_ten_vehicles_are_told_and_nine_are_not() -> None:
    assert told(*vehicles(9)) == {}
    total = told(*vehicles(10))["Aurora", "E1"]
    assert (total.vehicles, total.trips, total.distance_km, total.driving_h, total.idle_h) == (10, 300, 10_000, 200, 20)


def test_a_thousand_trips_of_one_vehicle_are_one_vehicle() -> None:
    assert told(*vehicles(9, trips=1000)) == {}


def test_small_models_are_merged_into_the_brands_other() -> None:
    found = told(*vehicles(10), *vehicles(6, model="E2"), *vehicles(5, model="E3"))
    assert {name: total.vehicles for name, total in found.items()} == {("Aurora", "E1"): 10, ("Aurora", OTHER): 10}
    assert found["Aurora", OTHER].distance_km == 11_000


def test_small_brands_are_merged_into_the_other_of_all_and_what_is_too_small_even_there_is_left_out() -> None:
    found = told(*vehicles(6, model="E2"), *vehicles(5, brand="Boreas", model="B1"))
    assert {name: total.vehicles for name, total in found.items()} == {(OTHER, OTHER): 10}
    assert told(*vehicles(5, model="E2"), *vehicles(4, brand="Boreas", model="B1")) == {}
    assert list(told(*vehicles(12), *vehicles(4, brand="Boreas", model="B1"))) == [("Aurora", "E1")]


def test_a_figure_that_few_vehicles_have_is_not_told_of_many() -> None:
    total = told(*vehicles(9, fuel_l=50.0), *vehicles(40, energy_kwh=150.0))["Aurora", "E1"]
    assert total.fuel_l is None
    assert total.energy_kwh == 6000
    assert told(*vehicles(10, fuel_l=50.0), *vehicles(40))["Aurora", "E1"].fuel_l == 500


def test_a_figure_of_which_one_vehicle_makes_up_half_is_that_vehicles() -> None:
    lonely = vehicles(9, distance_km=100.0)
    assert told(*lonely, *vehicles(1, distance_km=900.0))["Aurora", "E1"].distance_km is None
    assert told(*lonely, *vehicles(1, distance_km=899.0))["Aurora", "E1"].distance_km == 1800
    assert told(*lonely, *vehicles(1, distance_km=900.0))["Aurora", "E1"].trips == 300


def test_figures_are_rounded_to_two_digits_and_vehicles_down_to_fives() -> None:
    def figures(count: int) -> FleetTotal:
        return told(*vehicles(count, trips=20, eco_points_km=70_400.0, eco_of_km=1000.0))["Aurora", "E1"]

    assert (figures(142).vehicles, figures(142).distance_km, figures(142).harsh_events) == (140, 140_000, 570)
    assert figures(14).vehicles == 10
    assert figures(142).eco_score == 70


def test_what_all_of_them_have_not_done_is_not_told() -> None:
    assert told(*vehicles(20, harsh_events=0))["Aurora", "E1"].harsh_events is None


def test_no_result_has_room_for_a_vehicle() -> None:
    fields = set(msgspec.structs.asdict(told(*vehicles(10))["Aurora", "E1"]))
    assert not {field for field in fields if "id" in field.split("_") or "vehicle_id" in field}
    assert {"month", "brand", "model", "vehicles"} < fields


parts = st.lists(
    st.tuples(
        st.tuples(st.sampled_from("AB"), st.sampled_from(["x", "y", "z", OTHER])),
        st.builds(
            driven,
            distance_km=st.floats(0.01, 20_000),
            fuel_l=st.none() | st.floats(0, 900),
            energy_kwh=st.none() | st.floats(-5, 900),
        ).map(fleet_totals.figures),
    ),
    max_size=80,
)


@given(parts, st.randoms(use_true_random=False), st.integers(1, 5))
def test_sums_of_sums_are_the_same_in_any_order_and_division(found: list[Any], chance: Any, shards: int) -> None:
    whole = fleet_totals.sum_up(found)
    shuffled = list(found)
    chance.shuffle(shuffled)
    sums = [fleet_totals.sum_up(shuffled[start::shards]) for start in range(shards)]
    assert fleet_totals.sum_up(cell for each in sums for cell in each.items()) == whole


@given(parts)
def test_nothing_is_told_of_fewer_than_ten_vehicles_and_none_is_counted_twice(found: list[Any]) -> None:
    totals = told(*found).values()
    assert all(total.vehicles >= MIN_VEHICLES for total in totals)
    assert sum(total.vehicles for total in totals) <= len(found)
    fuelled = [cell["fuel_ml"] for _, cell in found if "fuel_ml" in cell]
    assert len(fuelled) >= MIN_VEHICLES or all(total.fuel_l is None for total in totals)


def test_a_sum_counts_adds_and_knows_the_largest() -> None:
    assert Sum(1, 5, 5) + Sum(2, -3, 7) == Sum(3, 2, 7)


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2026-05-05T11:59:59", "2026-03"),
        ("2026-05-05T12:00:00", "2026-04"),
        ("2026-05-31T23:00:00", "2026-04"),
        ("2026-01-06T03:30:00", "2025-12"),
        ("2026-01-05T03:30:00", "2025-11"),
    ],
)
def test_a_month_is_settled_four_days_after_it_ended_where_it_ends_last(now: str, month: str) -> None:
    assert fleet_totals.settled_month(datetime.fromisoformat(now).replace(tzinfo=UTC)) == month
