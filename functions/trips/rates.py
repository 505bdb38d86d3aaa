"""Rates over time, as speed, power and fuel are: values, the steps between them, and areas by the trapezoid rule."""

from itertools import pairwise
from operator import add, mul
from typing import Any

from functions.trips.driving import Pace
from functions.trips.samples import Run


class Rate:
    """The values of a piece, after the last one before if there was no silence between. Times are milliseconds."""

    __slots__ = ("silence_ms", "step_ms", "steps", "t", "values")

    def __init__(self, t: list[int], steps: list[int], step_ms: int, values: list[float], silence_ms: int) -> None:
        self.t, self.steps, self.values = t, steps, values
        self.step_ms = step_ms  # of all steps, shorter than a silence; or 0
        self.silence_ms = silence_ms

    def area(self) -> float:
        """Twice the area. Nothing was measured in a silence."""
        values = self.values
        if self.step_ms:
            return self.step_ms * (2 * sum(values) - values[0] - values[-1])
        return sum(self.areas())

    def areas(self) -> list[float]:
        """The same of each step."""
        steps, values = self.steps, self.values
        if not self.step_ms and steps and max(steps) >= self.silence_ms:
            steps = [step if step < self.silence_ms else 0 for step in steps]
        return list(map(mul, steps, map(add, values, values[1:])))

    def measured_ms(self) -> int:
        """The time without silences."""
        return sum(step for step in self.steps if step < self.silence_ms)

    def below_ms(self, limit: float) -> int:
        """How long the value was below: it holds until the next one."""
        steps = zip(self.steps, self.values, strict=False)
        return sum(step for step, value in steps if value < limit and step < self.silence_ms)

    def latest_pace(self, before: Pace) -> Pace:
        """The latest value, and since when it was reported; for steps that are long enough to be compared."""
        values, t = self.values[-len(self.t) :], self.t
        index = len(values) - 1
        while index > 0 and values[index - 1] == values[index]:
            index -= 1
        return before if index == 0 and values[0] == before.kmh else Pace(values[index], t[index])


def rate(
    run: Run, column: list[Any], first: int, beyond: int, silence_ms: int, edge_ms: int, edge: float | None
) -> Rate | None:
    """The samples that have a value, if there are any, after the value `edge` of the moment before."""
    if run.whole:
        if beyond - first == len(run.t):
            t, steps, values = run.t, run.steps, column
        else:
            t, steps, values = run.t[first:beyond], run.steps[first : beyond - 1], column[first:beyond]
        step_ms = run.step_ms
    else:
        known = [index for index in range(first, beyond) if column[index] is not None]
        if not known:
            return None
        t, values = [run.t[index] for index in known], [column[index] for index in known]
        steps, step_ms = [b - a for a, b in pairwise(t)], 0
    if edge is not None and (step := t[0] - edge_ms) < silence_ms:
        steps, values = [step, *steps], [edge, *values]
        step_ms = step if step == step_ms or len(steps) == 1 else 0
    return Rate(t, steps, step_ms if step_ms < silence_ms else 0, values, silence_ms)
