"""The decoder against the published contract: what the schema accepts is used whole, and what differs is said here.

A value out of range is against the schema, but costs only its sample; the lengths of columns are not in the schema.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from functions.trips.leaps import most_kmh
from functions.trips.telemetry import decode
from shared.errors import Rejected
from shared.identity.caller import Caller
from tests.contract import CONTRACT, SCHEMA

START_MS = 1_750_000_000_000
ARRIVED_MS = START_MS + 3_600_000
NOT_USED = "alt_m"
COLUMNS = {name: field for name, field in SCHEMA["properties"].items() if "$ref" in field and name != NOT_USED}
TYPES = {name: field["items"].get("type", ["string", "null"]) for name, field in COLUMNS.items()}
_SHAPES = {name: field | {"items": {"type": TYPES[name]}} for name, field in COLUMNS.items()}
SHAPE = Draft202012Validator(SCHEMA | {"properties": SCHEMA["properties"] | _SHAPES})
"""The contract without ranges: what this refuses is wrong with a message as a whole."""

_junk: st.SearchStrategy[Any] = st.none() | st.text("aZ-/ü ", max_size=3) | st.floats(0.1, 0.9) | st.just({})


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Messages of credible times with columns of the right lengths, some with values out of range."""
    steps = draw(st.lists(st.integers(-5_000, 50_000), max_size=20))
    body = {"v": 1, "boot": "b-1", "seq": draw(st.integers(0, 9_999_999_999)), "t": [START_MS, *steps]}
    excess = draw(st.sampled_from([0, 0.5]))
    for name in draw(st.sets(st.sampled_from(sorted(COLUMNS)))):
        length = draw(st.sampled_from([1, len(steps) + 1]))
        body[name] = draw(st.lists(_values(name, excess), min_size=length, max_size=length))
    return body


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """The same with anything in the place of one field."""
    name = draw(st.sampled_from(["v", "boot", "seq", "t", *COLUMNS]))
    return draw(bodies()) | {name: draw(_junk | st.lists(_junk, min_size=1, max_size=3))}


def _values(name: str, excess: float) -> st.SearchStrategy[Any]:
    items = COLUMNS[name]["items"]
    if "enum" in items:
        return st.sampled_from([*items["enum"], "X"] if excess else items["enum"])
    if "boolean" in items["type"]:
        return st.none() | st.booleans()
    low, high = items["minimum"], items["maximum"]
    margin = excess * (high - low)
    if name == "speed_kmh":  # those in range may follow each other at one moment
        too_fast = st.floats(high, high + margin, exclude_min=True) if margin else st.nothing()
        return st.none() | st.floats(low - margin, most_kmh(0)) | too_fast
    return st.none() | st.floats(low - margin, high + margin)


def outcome(body: dict[str, Any]) -> str:
    """The code of the refusal, or whether all of the message is used."""
    try:
        message = decode(json.dumps(body).encode(), Caller("car", ""), ARRIVED_MS)
    except Rejected as reason:
        return reason.code
    return "partly" if message.dropped else "whole"


@given(bodies())
def test_what_keeps_the_contract_is_used_whole_and_a_value_out_of_range_costs_only_its_sample(
    body: dict[str, Any],
) -> None:
    assert outcome(body) in ({"whole"} if CONTRACT.is_valid(body) else {"partly", "no-usable-sample"})


@given(damaged())
def test_a_message_of_another_shape_is_refused(body: dict[str, Any]) -> None:
    fits = SHAPE.is_valid(body) and all(len(body[name]) in {1, len(body["t"])} for name in COLUMNS if name in body)
    assert (outcome(body) == "bad-telemetry") is not fits


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_has_a_value_for_each_sample_or_one_for_all(name: str) -> None:
    value = {"gear": "D", "ignition": True, "charging": True}.get(name, 1)
    body = {"v": 1, "boot": "b", "seq": 0, "t": [START_MS, 1000, 1000]}
    found = [outcome(body | {name: [value] * length}) for length in (1, 2, 3, 4)]
    assert found == ["whole", "bad-telemetry", "whole", "bad-telemetry"]
