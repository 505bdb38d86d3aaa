"""What a vehicle says it is doing, and the parts of a run in which it says the same."""

from collections.abc import Iterator
from typing import Literal

from functions.trips.samples import Run

Mode = Literal["on", "parked", "off", "charging"]


def pieces(run: Run, silence_ms: int) -> Iterator[tuple[Mode, int, int]]:
    """The longest parts without a silence and of one mode."""
    is_uniform = not (
        (run.steps and max(run.steps) >= silence_ms) or False in run.ignition or "P" in run.gear or True in run.charging
    )
    if is_uniform:
        yield "on", 0, len(run.t)
        return
    first, before = 0, _mode(run, 0)
    for index in range(1, len(run.t)):
        mode = _mode(run, index)
        if mode != before or run.steps[index - 1] >= silence_ms:
            yield before, first, index
            first, before = index, mode
    yield before, first, len(run.t)


def _mode(run: Run, index: int) -> Mode:
    if run.charging and run.charging[index]:
        return "charging"
    if run.ignition and run.ignition[index] is False:
        return "off"
    return "parked" if run.gear and run.gear[index] == "P" else "on"
