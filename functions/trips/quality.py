"""How far a trip's summary can be trusted: a grade from A to D, and why it is not an A.

Each rule looks at one thing and has steps; the highest step that is reached gives its reason and its demerits. Demerits
add up to the grade. So more faults never make a better grade, and the same evidence always makes the same one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

DistanceSource = Literal["odometer", "speed", "gps"]
Grade = Literal["A", "B", "C", "D"]

# The worst demerits of each grade.
GRADES: Final[tuple[tuple[int, Grade], ...]] = ((0, "A"), (2, "B"), (4, "C"))
WORST: Final[Grade] = "D"

CLOCK: Final = "clock"  # in `dropped`: samples whose time cannot be right
TELEPORT: Final = "teleport"  # in `dropped`: positions that the route leaves out; their samples were used
# Sources of a short trip's distance may differ by so much without meaning anything.
NEGLIGIBLE_KM: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a trip's data. `dropped` counts by reason what could not be used."""

    samples: int
    duration_s: float
    distance_km: float
    distance_source: DistanceSource
    disagreement_pct: float | None = None  # of the distance, between its sources; None: there is only one
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    longest_silence_s: float = 0.0
    silent_s: float = 0.0  # all silences within the trip together
    missing_messages: int = 0
    has_speed: bool = True
    has_position: bool = True  # measured, whether or not it may be kept


class Quality(NamedTuple):
    """The grade, and the codes of its reasons in the order of the rules."""

    grade: Grade
    reasons: tuple[str, ...]


class Step(NamedTuple):
    """A reason: from which measure on it is given, and what it costs."""

    at_least: float
    code: str  # stable: readers rely on it
    demerits: int
    meaning: str


class Rule(NamedTuple):
    """Something to look at, and its steps, ascending."""

    measure: Callable[[Evidence], float]
    steps: tuple[Step, ...]


def _dropped_share(evidence: Evidence) -> float:
    lost = sum(count for reason, count in evidence.dropped.items() if reason != TELEPORT)
    return lost / max(1, evidence.samples + lost)


def _silent_share(evidence: Evidence) -> float:
    return evidence.silent_s / evidence.duration_s if evidence.duration_s > 0 else 0.0


def _seconds_per_sample(evidence: Evidence) -> float:
    return max(0.0, evidence.duration_s - evidence.silent_s) / max(1, evidence.samples)


def _disagreement_pct(evidence: Evidence) -> float:
    pct = evidence.disagreement_pct or 0.0
    return pct if pct / 100 * evidence.distance_km >= NEGLIGIBLE_KM else 0.0


RULES: Final = (
    Rule(
        _dropped_share,
        (
            Step(0.01, "samples-dropped", 1, "from 1 % of the samples on could not be used"),
            Step(0.10, "many-samples-dropped", 3, "from 10 % of the samples on could not be used"),
        ),
    ),
    Rule(
        lambda evidence: evidence.dropped.get(CLOCK, 0),
        (Step(1, "clock-faults", 1, "samples had a time that cannot be right"),),
    ),
    Rule(
        lambda evidence: evidence.dropped.get(TELEPORT, 0),
        (Step(1, "teleports", 1, "positions were too far away for a car to have been there"),),
    ),
    Rule(
        lambda evidence: evidence.missing_messages,
        (
            Step(1, "messages-missing", 1, "messages of the trip never came"),
            Step(10, "many-messages-missing", 3, "ten of them or more"),
        ),
    ),
    Rule(
        lambda evidence: evidence.longest_silence_s,
        (
            Step(60, "silence", 1, "nothing was measured for a minute or more"),
            Step(600, "long-silence", 2, "nothing was measured for ten minutes or more"),
        ),
    ),
    Rule(
        _silent_share,
        (
            Step(0.10, "gaps", 1, "nothing was measured for a tenth of the duration or more"),
            Step(0.33, "large-gaps", 3, "nothing was measured for a third of the duration or more"),
        ),
    ),
    Rule(
        _seconds_per_sample,
        (
            Step(5, "slow-sampling", 1, "a sample every five seconds or fewer: harsh driving may go unseen"),
            Step(20, "very-slow-sampling", 2, "a sample every twenty seconds or fewer: corners are cut"),
        ),
    ),
    Rule(
        lambda evidence: not evidence.has_speed,
        (Step(1, "no-speed", 2, "no speed: no idle time, maximum, harsh driving, road classes or eco score"),),
    ),
    Rule(
        lambda evidence: not evidence.has_position,
        (Step(1, "no-position", 1, "no position: no places and no line"),),
    ),
    Rule(
        lambda evidence: evidence.distance_source == "gps",
        (Step(1, "distance-by-gps", 1, "the distance is the length of the line between positions"),),
    ),
    Rule(
        lambda evidence: evidence.disagreement_pct is None,
        (Step(1, "distance-unchecked", 1, "the distance has one source, and nothing to compare it with"),),
    ),
    Rule(
        _disagreement_pct,
        (
            Step(10, "sources-disagree", 2, "sources of the distance differ by 10 % or more, and by 200 m"),
            Step(30, "sources-contradict", 4, "sources of the distance differ by 30 % or more, and by 200 m"),
        ),
    ),
)


def grade(evidence: Evidence) -> Quality:
    """The quality of a trip's data."""
    given = [step for rule in RULES if (step := _reached(rule, evidence)) is not None]
    demerits = sum(step.demerits for step in given)
    return Quality(_graded(demerits), tuple(step.code for step in given))


def _reached(rule: Rule, evidence: Evidence) -> Step | None:
    value = rule.measure(evidence)
    return next((step for step in reversed(rule.steps) if value >= step.at_least), None)


def _graded(demerits: int) -> Grade:
    return next((name for most, name in GRADES if demerits <= most), WORST)
