"""Whether a vehicle is carried: its place changes although its wheels stand still."""

import msgspec

from functions.trips.geodesy import distance_m
from functions.trips.route import MAX_SPEED_M_S

STEP_M = 100.0  # a receiver at rest wanders less
STEPS = 3
AWAY_M = 300.0


class Rest(msgspec.Struct, array_like=True):
    """Where the wheels stand still, and how far the vehicle was carried since."""

    lat: float
    lon: float
    start_lat: float
    start_lon: float
    since_ms: int  # until when it was seen where it came to rest
    moved_ms: int
    seen_ms: int  # where it is now
    steps: int = 0
    moved_m: float = 0.0

    @classmethod
    def at(cls, lat: float, lon: float, t: int) -> "Rest":
        return cls(lat, lon, lat, lon, t, t, t)

    @property
    def is_back(self) -> bool:
        """Where it came to rest: it was not away at all."""
        return distance_m(self.start_lat, self.start_lon, self.lat, self.lon) < STEP_M

    @property
    def is_carried(self) -> bool:
        """Not by a receiver that errs once, nor by one that wanders to and fro."""
        away_m = distance_m(self.start_lat, self.start_lon, self.lat, self.lon)
        return self.steps >= STEPS and away_m >= AWAY_M

    def look(self, lat: float, lon: float, t: int) -> bool:
        """Whether the vehicle has moved since the latest look."""
        step_m = distance_m(self.lat, self.lon, lat, lon)
        if step_m < STEP_M:
            if self.steps == 0:
                self.since_ms = t
            self.seen_ms = t
            return False
        if step_m > STEP_M + MAX_SPEED_M_S * (t - self.seen_ms) / 1000:
            return False  # nothing is carried so fast
        self.lat, self.lon, self.moved_ms, self.seen_ms = lat, lon, t, t
        self.steps, self.moved_m = self.steps + 1, self.moved_m + step_m
        return True
