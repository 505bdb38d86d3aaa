"""How fast cars go: phases of the official cycles one after the other, or what chance makes up."""

from itertools import pairwise
from random import Random
from typing import Final

from localcloud.fleet.cycles import CycleName, load_cycle

Speeds = tuple[float, ...]
"""km/h, one a second, from standstill to standstill."""

# The seconds at which the phases of each cycle begin and end, all at standstill.
_PHASE_BORDERS_S: Final = {
    CycleName.WLTC_CLASS_3B: (0, 589, 1022, 1477, 1800),
    CycleName.UDDS: (0, 505, 1369),
    CycleName.HWFET: (0, 765),
}
_CRUISES_KMH: Final = (30.0, 50.0, 70.0, 100.0, 130.0)


def some_drive(random: Random) -> Speeds:
    """A whole cycle, up to three phases of several, or a drive of no regulation; 2 km at least."""
    return random.choice((_whole_cycle, _phases, _made_up))(random)


def distances_km(speeds: Speeds) -> list[float]:
    """What was covered since the start, by second, at constant acceleration in between."""
    covered = [0.0]
    for before_kmh, after_kmh in pairwise(speeds):
        covered.append(covered[-1] + (before_kmh + after_kmh) / 2 / 3600)
    return covered


def _whole_cycle(random: Random) -> Speeds:
    return load_cycle(random.choice(list(CycleName))).speeds_kmh


def _phases(random: Random) -> Speeds:
    known = [
        load_cycle(name).speeds_kmh[first : last + 1]
        for name, borders in _PHASE_BORDERS_S.items()
        for first, last in pairwise(borders)
    ]
    return tuple(speed for phase in random.choices(known, k=random.randint(1, 3)) for speed in phase)


def _made_up(random: Random) -> Speeds:
    """Some legs, each at a speed of its own, between stops."""
    speeds = [0.0] * random.randint(3, 15)
    for _ in range(random.randint(3, 8)):
        cruise_kmh = random.choice(_CRUISES_KMH)
        gain_kmh, loss_kmh = random.uniform(3, 7), random.uniform(4, 8)  # a second
        speeds += [second * gain_kmh for second in range(1, int(cruise_kmh / gain_kmh))]
        speeds += [cruise_kmh + random.uniform(-3, 3) for _ in range(random.randint(90, 300))]
        speeds += [second * loss_kmh for second in range(int(cruise_kmh / loss_kmh), 0, -1)]
        speeds += [0.0] * random.randint(3, 60)
    return tuple(speeds)
