"""Parameters by brand, model and market, out of one setting."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips.driving import Harshness
from functions.trips.parameters import SETTING, ParameterBook, Parameters
from shared.errors import Misconfigured

NAMES = ("VW", "Skoda", None)
MODELS = ("ID.3", "Golf", None)
MARKETS = ("DE", "FR", None)


def book(rules: dict[str, dict[str, Any]], base: Parameters | None = None) -> ParameterBook:
    return ParameterBook.parse(json.dumps(rules), base)


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_without_a_setting_the_defaults_hold_for_everybody(text: str | None) -> None:
    base = Parameters(silence_s=90, flicker_s=15)
    assert ParameterBook.parse(text, base).for_vehicle("VW", "ID.3", "DE") == base
    assert ParameterBook.parse(text).for_vehicle(None, None, None) == Parameters()


def test_the_most_specific_key_counts_field_by_field() -> None:
    found = book(
        {
            "VW/ID.3/DE": {"grid_co2_g_kwh": 363},
            "*": {"fuzz_m": 200, "silence_s": 100, "battery_kwh": 10},
            "VW/*/DE": {"silence_s": 150},
            "VW": {"silence_s": 140, "park_s": 200},
            "VW/ID.3": {"battery_kwh": 58},
        }
    ).for_vehicle("VW", "ID.3", "DE")
    assert found == Parameters(fuzz_m=200.0, silence_s=150, park_s=200, battery_kwh=58.0, grid_co2_g_kwh=363.0)


def test_the_brand_counts_before_the_model_and_the_model_before_the_market() -> None:
    rules = {"*/*/DE": {"park_s": 1, "tunnel_s": 1}, "*/Golf": {"park_s": 2, "tunnel_s": 2}, "VW": {"park_s": 3}}
    found = book(rules).for_vehicle("VW", "Golf", "DE")
    assert (found.park_s, found.tunnel_s) == (3, 2)


def test_one_key_for_all_markets_of_a_country_needs_no_brand() -> None:
    markets = book({"*/*/DE": {"grid_co2_g_kwh": 363}, "*/*/FR": {"grid_co2_g_kwh": 50}})
    assert markets.for_vehicle("Audi", "A3", "FR").grid_co2_g_kwh == 50
    assert markets.for_vehicle("Audi", "A3", "SE").grid_co2_g_kwh == Parameters().grid_co2_g_kwh


def test_names_are_compared_without_case_and_space_around() -> None:
    assert book({"vw / id.3": {"battery_kwh": 58}}).for_vehicle("VW", "ID.3", None).battery_kwh == 58


def test_what_is_not_known_of_a_vehicle_takes_no_key_that_names_it() -> None:
    rules = book({"VW": {"park_s": 100}, "VW/ID.3": {"park_s": 50}})
    assert rules.for_vehicle("VW", None, "DE").park_s == 100
    assert rules.for_vehicle(None, "ID.3", "DE").park_s == Parameters().park_s


def test_null_takes_a_value_back() -> None:
    found = book({"VW": {"tank_l": 50, "fuel": "petrol"}, "VW/ID.3": {"tank_l": None, "fuel": None}})
    assert found.for_vehicle("VW", "ID.3", "DE") == Parameters()


def test_the_same_vehicles_share_one_object() -> None:
    rules = book({"VW": {"park_s": 100}})
    assert rules.for_vehicle("VW", "ID.3", "DE") is rules.for_vehicle("vw", "Golf", None)
    assert rules.for_vehicle("Audi", "A3", "DE") is rules.for_vehicle(None, None, None)


def test_whole_numbers_become_fractions_where_fractions_are_meant() -> None:
    assert isinstance(book({"*": {"fuzz_m": 200}}).for_vehicle(None, None, None).fuzz_m, float)


def test_harshness_is_one_value() -> None:
    found = book({"VW": {"harsh_braking_ms2": 3.5}}).for_vehicle("VW", None, None)
    assert found.harshness == Harshness(braking=3.5)
    assert Parameters().harshness == Harshness()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"silense_s": 120}, "silense_s"),
        ({"silence_s": 0}, "silence_s"),
        ({"silence_s": 120.5}, "silence_s"),
        ({"silence_s": "120"}, "silence_s"),
        ({"silence_s": True}, "silence_s"),
        ({"silence_s": None}, "silence_s"),
        ({"flicker_s": 3601}, "flicker_s"),
        ({"standstill_s": 59}, "standstill_s"),
        ({"tunnel_s": -1}, "tunnel_s"),
        ({"moved_m": 9}, "moved_m"),
        ({"min_distance_km": 11}, "min_distance_km"),
        ({"rated_from_km": 0}, "rated_from_km"),
        ({"harsh_braking_ms2": -3}, "harsh_braking_ms2"),
        ({"harsh_acceleration_ms2": 16}, "harsh_acceleration_ms2"),
        ({"harsh_cornering_ms2": 0.4}, "harsh_cornering_ms2"),
        ({"fuzz_m": 10_001}, "fuzz_m"),
        ({"battery_kwh": 0}, "battery_kwh"),
        ({"tank_l": -50}, "tank_l"),
        ({"fuel": "coal"}, "fuel"),
        ({"grid_co2_g_kwh": 2001}, "grid_co2_g_kwh"),
        ({"charging_efficiency": 1.1}, "charging_efficiency"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Misconfigured, match=rf"{SETTING}, VW/ID\.3: .*{field}"):
        book({"*": {"park_s": 200}, "VW/ID.3": fields})


@pytest.mark.parametrize("key", ["", "VW/ID.3/DE/2024", "VW//DE", "/", "VW/"])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(Misconfigured, match=f"{SETTING}: {key!r}"):
        book({key: {}})


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Misconfigured, match="'vw/\\*' twice"):
        book({"VW": {"park_s": 1}, "vw/*": {"park_s": 2}})


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"VW": 3}', '{"VW": {"park_s": 1e999}}', '{"a":' + "[" * 100_000])
def test_what_is_no_object_of_objects_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match=SETTING):
        ParameterBook.parse(text)


def test_defaults_out_of_their_range_are_refused() -> None:
    with pytest.raises(Misconfigured, match=r"defaults: .*silence_s"):
        ParameterBook.parse(None, Parameters(silence_s=0))


def test_every_parameter_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "trips.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(Parameters):
        default = "none" if field.default is None else f"{field.default:g}"
        assert any(line.startswith(f"| `{field.name}` | {default} |") for line in page.splitlines()), field.name


keys = st.tuples(
    st.sampled_from(["VW", "Skoda", "*"]), st.sampled_from(["ID.3", "Golf", "*"]), st.sampled_from(["DE", "FR", "*"])
)


@given(
    st.dictionaries(keys, st.integers(1, 1000), max_size=12),
    st.sampled_from(NAMES),
    st.sampled_from(MODELS),
    st.sampled_from(MARKETS),
)
def test_the_order_of_the_keys_never_matters(
    rules: dict[tuple[str, str, str], int], brand: str | None, model: str | None, market: str | None
) -> None:
    vehicle = (brand, model, market)
    fitting = [key for key in rules if all(a in ("*", b) for a, b in zip(key, vehicle, strict=True))]
    best = max(fitting, key=lambda key: [part != "*" for part in key], default=None)
    expected = Parameters().park_s if best is None else rules[best]
    for order in (list(rules), list(rules)[::-1]):
        parsed = book({"/".join(key): {"park_s": rules[key]} for key in order})
        assert parsed.for_vehicle(*vehicle).park_s == expected
