"""How a trip was driven: harsh events, the kind of road, and the eco score. Pure; docs/trips.md has the figures' story.

Thresholds of harsh driving. Telematics services publish, for accelerations that follow from speed at about 1 Hz:

| m/s²                                       | braking | acceleration | cornering |
| ------------------------------------------ | ------- | ------------ | --------- |
| Sentiance, "Driving Events and Scores"      | 3.0     | 2.25         | 3.5       |
| Zendrive (Track24, "Trip Details FAQ")      | 3.1     | 3.1          | 3.6       |
| DriveQuant, "abrupt" level, from GPS speed  | 2.4     | 2.5          | 2.3       |
| Progressive Snapshot (7 mph in one second)  | 3.1     |              |           |

Accelerometers at 100 Hz see peaks that the mean over a second does not show, so their thresholds are higher: Digital
Matter 4.4, 4.4 and 5.5; naturalistic driving studies 0.45 g, 0.35 g and 0.50 g (Simons-Morton et al., Am J Epidemiol
175(10), 2012). Acceleration from speed at 1 Hz correlates with a 40 Hz accelerometer by 0.81 (Wallace et al., IEEE
MeMeA 2015). No second of the WLTC, UDDS or HWFET reaches 1.7 m/s².
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

# Commission Regulation (EU) 2017/1151, annex IIIA, 6.3 to 6.5: real driving emissions. Up to, and including.
URBAN_KMH: Final = 60.0
RURAL_KMH: Final = 90.0

# A speed that is compared over less than about a second is mostly its sensor's resolution and its clock's jitter.
SHORTEST_MS: Final = 800
# Harsh moments that follow each other more closely are one event.
EVENT_MS: Final = 3000

SMOOTHNESS_POINTS: Final = 40
IDLING_POINTS: Final = 20
SPEED_POINTS: Final = 40
HARSH_PER_100_KM: Final = 50.0  # one every two kilometres: nothing is left of the points for smoothness
HARSH_OVER_KM: Final = 10.0  # a shorter trip is judged as if it were so long: one event is not a habit
IDLE_SHARE: Final = 0.5  # of the duration: nothing is left of the points for idling
EFFICIENT_KMH: Final = RURAL_KMH
WASTEFUL_KMH: Final = 130.0
UNKNOWN_MOTORWAY_KMH: Final = 110.0

SpeedClass = Literal["urban", "rural", "motorway"]


class Harshness(NamedTuple):
    """From which acceleration on driving is harsh, in m/s², each positive."""

    braking: float = 3.0
    acceleration: float = 2.5
    cornering: float = 3.5


class Pace(NamedTuple):
    """A speed, and when it was first reported."""

    kmh: float
    since_ms: int


class Shares(NamedTuple):
    """Of the distance, by road-speed class; they add up to one."""

    urban: float
    rural: float
    motorway: float


class EcoScore(NamedTuple):
    """Points of 100, and what they are made of. More is better, in all of them."""

    score: int  # the sum
    smoothness: int  # of 40
    idling: int  # of 20
    speed: int  # of 40


def accelerations(
    times_ms: Sequence[int], speeds_kmh: Sequence[float], before: Pace | None = None
) -> tuple[list[tuple[int, float]], Pace | None]:
    """Accelerations along the road, in m/s², at the moments at which a new speed was reported; and the latest pace,
    with which the next samples go on.

    A bus repeats a value until there is a new one. So a change is measured from when the value before was first
    reported: it may have begun then. Taken from one sample to the next, the recorded drives of a 13 kW car have tens of
    accelerations of up to 11 m/s²; taken so, none above 3.7 m/s². What is braked or accelerated out of a constant speed
    shows from its second sample on.
    """
    found = list[tuple[int, float]]()
    if not times_ms:
        return found, before
    kmh, since_ms = Pace(speeds_kmh[0], times_ms[0]) if before is None else before
    for moment_ms, latest_kmh in zip(times_ms, speeds_kmh, strict=True):
        if latest_kmh != kmh and moment_ms - since_ms >= SHORTEST_MS:
            found.append((moment_ms, (latest_kmh - kmh) / 0.0036 / (moment_ms - since_ms)))
            kmh, since_ms = latest_kmh, moment_ms
    return found, Pace(kmh, since_ms)


def speed_class(speed_kmh: float) -> SpeedClass:
    """The kind of road that a speed stands for, as emission law sees it."""
    if speed_kmh <= URBAN_KMH:
        return "urban"
    return "rural" if speed_kmh <= RURAL_KMH else "motorway"


def shares(urban: float, rural: float, motorway: float) -> Shares | None:
    """Shares of the distance, from the distances in any unit; None if there is none."""
    total = urban + rural + motorway
    if total <= 0.0:
        return None
    return Shares(round(urban / total, 4), round(rural / total, 4), round(motorway / total, 4))


def eco_score(
    *,
    distance_km: float,
    duration_s: float,
    idle_s: float,
    harsh_events: int,
    motorway_share: float | None,
    motorway_kmh: float | None = None,
    rated_from_km: float = 1.0,
) -> EcoScore | None:
    """How much the driving itself saves: three parts, each a straight line between its bounds.

    - smoothness: 40 points without a harsh event, 0 from 50 of them per 100 km on;
    - idling: 20 points without standing still, 0 from half of the duration on;
    - speed: 40 points, less what was driven above 90 km/h, weighted by how far above: `motorway_kmh` is the mean speed
      on that part (110 if unknown), and counts from 90 (not at all) to 130 km/h (in full).

    Weights follow what driving costs: aggressive driving 10 to 40 % of the mileage (fueleconomy.gov, "Driving More
    Efficiently"); 80 instead of 50 mph 36 % of the mileage (ORNL, in US DOE fact 772); an idling engine 0.6 l/h (US DOE
    fact 861). None below `rated_from_km`, and without speed (`motorway_share` None).
    """
    if motorway_share is None or distance_km < rated_from_km or duration_s <= 0.0:
        return None
    per_100_km = 100.0 * harsh_events / max(distance_km, HARSH_OVER_KM)
    above_kmh = (UNKNOWN_MOTORWAY_KMH if motorway_kmh is None else motorway_kmh) - EFFICIENT_KMH
    haste = _bounded(motorway_share) * _bounded(above_kmh / (WASTEFUL_KMH - EFFICIENT_KMH))
    smoothness = round(SMOOTHNESS_POINTS * (1.0 - _bounded(per_100_km / HARSH_PER_100_KM)))
    idling = round(IDLING_POINTS * (1.0 - _bounded(idle_s / duration_s / IDLE_SHARE)))
    speed = round(SPEED_POINTS * (1.0 - haste))
    return EcoScore(smoothness + idling + speed, smoothness, idling, speed)


def _bounded(share: float) -> float:
    return min(1.0, max(0.0, share))
