"""What a vehicle saw last, and what a silence after it means: a tunnel, a charge, a ferry, or an end."""

from bisect import bisect_right
from typing import Any, NamedTuple

import msgspec

from functions.trips.geodesy import distance_m
from functions.trips.route import MAX_SPEED_M_S
from functions.trips.samples import Run

DRIVING_KMH = 10.0
CHARGED_PCT = 2.0  # more than a battery that warms up seems to win, however long it takes
CHARGED_ON_THE_WAY_PCT = 5.0  # more than a long way downhill wins
LONGEST_CHARGE_MS = 72 * 3_600_000  # without a gain: at a household socket the largest battery is full in two days
CARRIED_M = 1000.0
LOOK_AHEAD_MS = 60_000  # behind a silence not all instruments speak at once
FRESH_MS = 60_000  # an older odometer or position tells of more than the silence


class Seen(msgspec.Struct, array_like=True):
    """The latest known values, since the trip began."""

    t: int | None = None
    lat: float | None = None
    lon: float | None = None
    odo_km: float | None = None
    soc_pct: float | None = None
    speed_kmh: float | None = None
    odo_ms: int = 0  # when odometer and position were seen
    fix_ms: int = 0
    since_ms: int = 0  # whoever looks from here on knows the same, and cuts no record in two

    def note(self, run: Run, first: int, beyond: int) -> None:
        """The latest values are known now."""
        self.t = run.t[beyond - 1]
        if not self.since_ms:
            self.since_ms = run.t[first]
        if run.odo_km:
            self.odo_km = _last(run, run.odo_km, first, beyond, self.odo_km)
            self.odo_ms = _last_ms(run, run.odo_km, first, beyond, self.odo_ms)
        if run.soc_pct:
            self.soc_pct = _last(run, run.soc_pct, first, beyond, self.soc_pct)
        if run.speed_kmh:
            self.speed_kmh = _last(run, run.speed_kmh, first, beyond, self.speed_kmh)
        if run.lat:
            self.lat = _last(run, run.lat, first, beyond, self.lat)
            self.lon = _last(run, run.lon, first, beyond, self.lon)
            self.fix_ms = _last_ms(run, run.lat, first, beyond, self.fix_ms)

    @classmethod
    def first_of(cls, run: Run, first: int, beyond: int) -> "Seen":
        """The earliest values of a piece, within `LOOK_AHEAD_MS`."""
        within = bisect_right(run.t, run.t[first] + LOOK_AHEAD_MS, first, beyond)
        return cls(run.t[first], *(_first(getattr(run, name)[first:within]) for name in _NAMES))


_NAMES = ("lat", "lon", "odo_km", "soc_pct", "speed_kmh")


def _first(values: list[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _last(run: Run, column: list[Any], first: int, beyond: int, before: Any) -> Any:
    if run.whole or column[beyond - 1] is not None:
        return column[beyond - 1]
    return next((value for value in reversed(column[first:beyond]) if value is not None), before)


def _last_ms(run: Run, column: list[Any], first: int, beyond: int, before: int) -> int:
    if run.whole or column[beyond - 1] is not None:
        return run.t[beyond - 1]
    return next((run.t[index] for index in range(beyond - 1, first - 1, -1) if column[index] is not None), before)


class Silence(NamedTuple):
    """Between what was seen last before and first after it."""

    before: Seen
    after: Seen

    @property
    def is_bridged(self) -> bool:
        """Whether nothing that was seen before it matters any more."""
        return all(
            getattr(self.before, name) is None or getattr(self.after, name) is not None
            for name in ("lat", "odo_km", "soc_pct")
        )

    @property
    def start_ms(self) -> int:
        assert self.before.t is not None
        return self.before.t

    @property
    def end_ms(self) -> int:
        assert self.after.t is not None
        return self.after.t

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms

    @property
    def driven_m(self) -> float | None:
        """By the odometer."""
        if self.before.odo_km is None or self.after.odo_km is None:
            return None
        return (self.after.odo_km - self.before.odo_km) * 1000

    @property
    def away_m(self) -> float | None:
        """In a straight line."""
        before, after = self.before, self.after
        if before.lat is None or before.lon is None or after.lat is None or after.lon is None:
            return None
        return distance_m(before.lat, before.lon, after.lat, after.lon)

    @property
    def went_m(self) -> float | None:
        return self.away_m if self.driven_m is None else self.driven_m

    @property
    def gain_pct(self) -> float:
        """By how much the battery is fuller."""
        if self.before.soc_pct is None or self.after.soc_pct is None:
            return 0.0
        return self.after.soc_pct - self.before.soc_pct

    def is_away(self, moved_m: float) -> bool:
        """Whether the vehicle has moved."""
        return self.went_m is not None and self.went_m >= moved_m

    def was_charged(self, moved_m: float) -> bool:
        """A battery that is fuller was charged, unless the way may have been downhill."""
        return self.gain_pct >= (CHARGED_ON_THE_WAY_PCT if self.is_away(moved_m) else CHARGED_PCT)

    def may_have_been_charged(self, moved_m: float) -> bool:
        """Also if it is fuller by less, and the next silences have to tell."""
        return self.was_charged(moved_m) or (self.gain_pct > 0.0 and not self.is_away(moved_m))

    def was_carried(self) -> bool:
        """Far away without having turned a wheel."""
        if self.away_m is None or self.driven_m is None:
            return False
        return max(CARRIED_M, 4 * abs(self.driven_m)) <= self.away_m <= self._farthest_m

    def was_on_its_way(self, tunnel_ms: int, moved_m: float) -> bool:
        """Driving on meanwhile, as through a tunnel."""
        if self.duration_ms > tunnel_ms:
            return False
        if self.driven_m is not None:
            return moved_m <= self.driven_m <= self._farthest_m
        if self.away_m is not None and self.away_m <= self._farthest_m:
            return self.away_m >= moved_m
        return min(self.before.speed_kmh or 0.0, self.after.speed_kmh or 0.0) >= DRIVING_KMH

    def bridge_m(self) -> float:
        """The way driven meanwhile: by the odometer, else straight on, else at the speed before and after."""
        if self.driven_m is not None and self.start_ms - self.before.odo_ms <= FRESH_MS:
            return self.driven_m
        is_fresh = self.start_ms - self.before.fix_ms <= FRESH_MS
        if self.away_m is not None and is_fresh and self.away_m <= self._farthest_m:
            return self.away_m
        return ((self.before.speed_kmh or 0.0) + (self.after.speed_kmh or 0.0)) / 7.2 * self.duration_ms / 1000

    @property
    def _farthest_m(self) -> float:
        """Beyond it no car could have gone: a position there is wrong."""
        return MAX_SPEED_M_S * self.duration_ms / 1000
