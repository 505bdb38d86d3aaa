"""How far a trip's summary can be trusted, and why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips.quality import RULES, Evidence, Quality, grade

FLAWLESS = Evidence(samples=1800, duration_s=1800.0, distance_km=23.0, distance_source="odometer", disagreement_pct=2.0)
CODES = [step.code for rule in RULES for step in rule.steps]

whole_seconds = st.integers(0, 100_000).map(float)
pieces = st.fixed_dictionaries(
    {
        "samples": st.integers(0, 100_000),
        "duration_s": whole_seconds,
        "distance_km": st.floats(0, 2000),
        "distance_source": st.sampled_from(["odometer", "speed", "gps"]),
        "disagreement_pct": st.none() | st.floats(0, 1000),
        "dropped": st.dictionaries(st.sampled_from(["clock", "position", "speed", "teleport"]), st.integers(0, 10_000)),
        "longest_silence_s": st.floats(0, 2000),
        "silent_s": whole_seconds,
        "missing_messages": st.integers(0, 100),
        "has_speed": st.booleans(),
        "has_position": st.booleans(),
    }
)


def test_a_flawless_trip_is_an_a_without_reasons() -> None:
    assert grade(FLAWLESS) == Quality("A", ())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dropped": {"speed": 17}}, Quality("A", ())),
        ({"dropped": {"speed": 19}}, Quality("B", ("samples-dropped",))),
        ({"dropped": {"speed": 200}}, Quality("C", ("many-samples-dropped",))),
        ({"dropped": {"clock": 1}}, Quality("B", ("clock-faults",))),
        ({"dropped": {"teleport": 900}}, Quality("B", ("teleports",))),
        ({"missing_messages": 1}, Quality("B", ("messages-missing",))),
        ({"missing_messages": 10}, Quality("C", ("many-messages-missing",))),
        ({"longest_silence_s": 60.0}, Quality("B", ("silence",))),
        ({"longest_silence_s": 600.0}, Quality("B", ("long-silence",))),
        ({"silent_s": 180.0}, Quality("B", ("gaps",))),
        ({"silent_s": 600.0}, Quality("C", ("large-gaps",))),
        ({"samples": 360}, Quality("B", ("slow-sampling",))),
        ({"samples": 90}, Quality("B", ("very-slow-sampling",))),
        ({"has_speed": False}, Quality("B", ("no-speed",))),
        ({"has_position": False}, Quality("B", ("no-position",))),
        ({"distance_source": "gps"}, Quality("B", ("distance-by-gps",))),
        ({"distance_source": "speed"}, Quality("A", ())),
        ({"disagreement_pct": None}, Quality("B", ("distance-unchecked",))),
        ({"disagreement_pct": 10.0}, Quality("B", ("sources-disagree",))),
        ({"disagreement_pct": 30.0}, Quality("C", ("sources-contradict",))),
        ({"disagreement_pct": 50.0, "distance_km": 0.3}, Quality("A", ())),
    ],
)
def test_each_fault_costs_what_the_table_says(changes: dict[str, Any], expected: Quality) -> None:
    assert grade(replace(FLAWLESS, **changes)) == expected


def test_faults_add_up_in_the_order_of_the_rules() -> None:
    evidence = replace(FLAWLESS, has_speed=False, distance_source="gps", disagreement_pct=None, dropped={"clock": 5})
    assert grade(evidence) == Quality("D", ("clock-faults", "no-speed", "distance-by-gps", "distance-unchecked"))


def test_a_slowly_sampled_trip_is_not_blamed_for_its_silences() -> None:
    assert grade(replace(FLAWLESS, samples=1700, silent_s=100.0)) == Quality("A", ())


def test_steps_rise_and_codes_are_unique() -> None:
    assert len(set(CODES)) == len(CODES)
    for rule in RULES:
        assert [step.at_least for step in rule.steps] == sorted({step.at_least for step in rule.steps})
        assert [step.demerits for step in rule.steps] == sorted({step.demerits for step in rule.steps})


def test_every_reason_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "trips.md").read_text(encoding="utf-8")
    for rule in RULES:
        for step in rule.steps:
            row = next(line for line in page.splitlines() if line.startswith(f"| `{step.code}` "))
            assert [cell.strip() for cell in row.strip("|").split("|")][1:] == [str(step.demerits), step.meaning]


@given(pieces)
def test_no_evidence_makes_it_raise_and_only_an_a_or_better_has_no_reasons(evidence: dict[str, Any]) -> None:
    found = grade(Evidence(**evidence))
    assert found == grade(Evidence(**evidence))
    assert (found.grade == "A") == (not found.reasons)
    assert set(found.reasons) <= set(CODES)
    assert sorted(found.reasons, key=CODES.index) == list(found.reasons)


@given(pieces, whole_seconds, st.integers(0, 10_000))
def test_more_faults_never_make_a_better_grade(evidence: dict[str, Any], seconds: float, count: int) -> None:
    before = grade(Evidence(**evidence)).grade
    worse: list[dict[str, Any]] = [
        {"dropped": evidence["dropped"] | {"clock": evidence["dropped"].get("clock", 0) + count}},
        {"dropped": evidence["dropped"] | {"teleport": evidence["dropped"].get("teleport", 0) + count}},
        {"longest_silence_s": evidence["longest_silence_s"] + seconds},
        {"missing_messages": evidence["missing_messages"] + count},
        {"duration_s": evidence["duration_s"] + seconds, "silent_s": evidence["silent_s"] + seconds},
        {"has_speed": False},
        {"has_position": False},
        {"distance_source": "gps"},
    ]
    if (disagreement_pct := evidence["disagreement_pct"]) is not None:
        worse.append({"disagreement_pct": disagreement_pct + seconds})
    for changes in worse:
        assert grade(Evidence(**(evidence | changes))).grade >= before
