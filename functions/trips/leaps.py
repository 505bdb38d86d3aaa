"""Speeds within all limits that no car can have come to from the speeds around them.

A bus that says 0xFF for "not available" shows 255 km/h in the middle of 36; a sensor drops out to 0 in the middle of
120. No car gains speed so fast, and it takes a crash to lose it so fast.
"""

from collections.abc import Sequence
from itertools import chain
from operator import sub

from functions.trips.silence import DRIVING_KMH

GAIN_KMH_S = 54.0  # 15 m/s²: the fastest cars on sale reach some 14
LATE_MS = 1000  # clocks may tell whole seconds, and a bus repeats a value until there is a new one


def most_kmh(step_ms: int) -> float:
    """By how much a speed may change from one sample to the next.

    In the recorded drives of a car that reaches 13 km/h a second, a bus that repeats values shows gains of up to 40 and
    losses of up to 46 in one.
    """
    return GAIN_KMH_S * (step_ms + LATE_MS) / 1000


def are_plain(speeds_kmh: Sequence[float], shortest_ms: int) -> bool:
    """Whether speeds of samples that are no closer than that can be seen at once to have no leap among them."""
    limit_kmh = most_kmh(shortest_ms)
    if max(speeds_kmh) - min(speeds_kmh) <= limit_kmh:
        return True
    changes: list[float] = list(map(sub, speeds_kmh[1:], speeds_kmh))
    return max(changes) <= limit_kmh and min(changes) >= -limit_kmh


def leaps(times_ms: Sequence[int], speeds_kmh: Sequence[float | None]) -> set[int]:
    """The indices of samples whose speed cannot be true. Times never fall.

    Leaps divide the samples into parts, which are held against each other:

    - A part between two of about the same speed is wrong if these have more samples: it leaps away and back.
    - Of two with a gain between them the one with fewer samples is wrong; the faster one if they have as many.
    - A fall is a crash. But if the message begins with it, more samples follow and the car drives on, what fell was the
      end of such a part.
    """
    known = {index: kmh for index, kmh in enumerate(speeds_kmh) if kmh is not None}

    def leap_kmh(before: int, after: int) -> float:
        change_kmh = known[after] - known[before]
        return change_kmh if abs(change_kmh) > most_kmh(times_ms[after] - times_ms[before]) else 0.0

    parts = list[list[int]]()
    for index in known:
        if parts and not leap_kmh(parts[-1][-1], index):
            parts[-1].append(index)
        else:
            parts.append([index])
    credible = list[list[int]]()
    for part in _without_excursions(parts, known):
        while credible and leap_kmh(credible[-1][-1], part[0]) > 0.0 and len(credible[-1]) < len(part):
            credible.pop()
        if not credible or leap_kmh(credible[-1][-1], part[0]) <= 0.0:
            credible.append(part)
    if len(credible) > 1:
        first, second = credible[:2]
        drives_on = known[second[-1]] >= DRIVING_KMH
        if leap_kmh(first[-1], second[0]) < 0.0 and len(first) < len(second) and drives_on:
            del credible[0]
    return known.keys() - set(chain.from_iterable(credible))


def _without_excursions(parts: Sequence[list[int]], known: dict[int, float]) -> list[list[int]]:
    left = list[list[int]]()
    for part in parts:
        around = part
        while len(left) > 1 and len(left[-1]) < len(left[-2]) + len(around):
            if abs(known[around[0]] - known[left[-2][-1]]) > most_kmh(0):
                break
            left.pop()
            around = left.pop() + around
        left.append(around)
    return left
