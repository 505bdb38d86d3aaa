"""Totals of a vehicle's driving by local day, ISO week and month: pure, from the rows of its trips.

A trip belongs, whole, to the day on which it starts by the clock of the place where it starts (`start_time_zone`; UTC
where that is not known), and to the week (ISO 8601, from Monday) and the month of that day. So a day has 23, 24 or 25
hours as it comes, and a trip over midnight is not torn apart. What the vehicle was carried (ferry, train, tow truck)
is no driving and counts nowhere.

A day's totals are a function of the set of its trips, a week's and a month's of those of their days: neither the order
of the trips nor the way in which they came about (revisions, withdrawals) can be seen in them, and a month stays right
when the trips of its first days are removed for their age. Sums are exact before they are rounded (`math.fsum`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from math import fsum
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from shared.clock import from_epoch_ms, to_epoch_ms

Kind = Literal["day", "week", "month"]
DRIVEN = "driven"
# Between them lie all clocks of the world: https://www.iana.org/time-zones (Etc/GMT+12 and Pacific/Kiritimati).
WESTERNMOST, EASTERNMOST = timedelta(hours=-12), timedelta(hours=14)
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """What a roll-up needs of a trip's row. No position: what is not read cannot leak."""

    started_at_ms: int
    ended_at_ms: int
    distance_km: float
    duration_s: float
    idle_s: float = 0.0
    kind: str = DRIVEN
    odo_start_km: float | None = None
    energy_kwh: float | None = None
    recuperated_kwh: float | None = None
    fuel_l: float | None = None
    fuel_start_pct: float | None = None
    fuel_end_pct: float | None = None
    co2_kg: float | None = None
    harsh_brakings: int = 0
    harsh_accelerations: int = 0
    harsh_cornerings: int = 0
    eco_score: float | None = None
    night_share: float | None = None
    start_time_zone: str | None = None
    brand: str | None = None
    model: str | None = None

    @property
    def local_day(self) -> date:
        """The day on which it starts, where it starts."""
        return from_epoch_ms(self.started_at_ms).astimezone(time_zone(self.start_time_zone)).date()


class Period(NamedTuple):
    """A day, a week or a month by the vehicle's own clock. Sorts by time."""

    first_day: date
    kind: Kind

    @property
    def next_first_day(self) -> date:
        """The first day that does not belong to it any more."""
        match self.kind:
            case "day":
                return self.first_day + _DAY
            case "week":
                return self.first_day + _WEEK
            case "month":
                return (self.first_day.replace(day=28) + 4 * _DAY).replace(day=1)


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What was driven in a period: sums only, so that sums of them can be made. None: no trip says so.

    `driving_s` is the time from start to end of the trips, `idle_s` the part of it without moving. A mean is kept as
    the sum of what was weighted and the sum of the weights, of those trips that have it.
    """

    trips: int
    distance_km: float
    driving_s: float
    idle_s: float
    harsh_events: int
    energy_kwh: float | None = None
    energy_of_km: float | None = None
    recuperated_kwh: float | None = None
    fuel_l: float | None = None
    fuel_of_km: float | None = None
    co2_kg: float | None = None
    eco_points_km: float | None = None
    eco_of_km: float | None = None
    night_s: float | None = None
    night_of_s: float | None = None

    @property
    def kwh_100km(self) -> float | None:
        return _ratio(self.energy_kwh, self.energy_of_km, 100, digits=2)

    @property
    def l_100km(self) -> float | None:
        return _ratio(self.fuel_l, self.fuel_of_km, 100, digits=2)

    @property
    def eco_score(self) -> float | None:
        """0…100, weighted by distance."""
        return _ratio(self.eco_points_km, self.eco_of_km, digits=1)

    @property
    def night_share(self) -> float | None:
        """0…1, weighted by time."""
        return _ratio(self.night_s, self.night_of_s, digits=4)


def time_zone(name: str | None) -> tzinfo:
    """The zone of this name (IANA); UTC if it is not known."""
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # also for names that are no file names, or folders
        return UTC


def periods_of(day: date) -> tuple[Period, Period, Period]:
    """The day, the week and the month to which a local day belongs."""
    return Period(day, "day"), Period(monday_of(day), "week"), Period(day.replace(day=1), "month")


def monday_of(day: date) -> date:
    """Of the day's week."""
    return day - day.weekday() * _DAY


def days_touched(started_at_ms: int) -> set[date]:
    """The days to which a trip that starts then may belong or have belonged, whatever is known of its zone."""
    start = from_epoch_ms(started_at_ms)
    return {(start + offset).date() for offset in (WESTERNMOST, timedelta(), EASTERNMOST)}


def bounds_ms(days: Collection[date]) -> tuple[int, int]:
    """Between which moments (from, before) all trips start that may belong to one of these days."""
    return (
        max(0, to_epoch_ms(_midnight(min(days), UTC) - EASTERNMOST)),
        to_epoch_ms(_midnight(max(days) + _DAY, UTC) - WESTERNMOST),
    )


def week_end_ms(monday: date, zone: tzinfo) -> int:
    """The moment at which the week of this Monday ends there."""
    return to_epoch_ms(_midnight(monday + _WEEK, zone).astimezone(UTC))


def first_running_week(now_ms: int) -> date:
    """The Monday of the first week that is over nowhere on earth."""
    return monday_of((from_epoch_ms(now_ms) + EASTERNMOST).date())


def last_days(periods: Mapping[Period, Totals | None]) -> dict[date, date]:
    """The last day of each week, by its Monday, on which anything was driven."""
    driven = sorted(day for (day, kind), totals in periods.items() if kind == "day" and totals is not None)
    return {monday_of(day): day for day in driven}


def by_day(trips: Iterable[Trip]) -> dict[date, list[Trip]]:
    """The driven trips of each local day that has any, in the order of their starts."""
    found = defaultdict[date, list[Trip]](list)
    for trip in sorted(trips, key=lambda trip: trip.started_at_ms):
        if trip.kind == DRIVEN:
            found[trip.local_day].append(trip)
    return dict(found)


def by_period(trips: Iterable[Trip]) -> dict[Period, Totals]:
    """The totals of each period in which anything was driven."""
    return with_longer_periods({day: totals(of_day) for day, of_day in by_day(trips).items()})


def stored_range(days: Collection[date]) -> tuple[date, date]:
    """Between which first days (from, before) all periods begin that `changed` has to know to bring them up to date."""
    periods = [period for day in days for period in periods_of(day)]
    return min(periods).first_day, max(period.next_first_day for period in periods)


def changed(
    stored: Mapping[Period, Totals], days: Collection[date], trips: Iterable[Trip]
) -> dict[Period, Totals | None]:
    """What has to be stored otherwise, now that these are all trips of these days (and, maybe, of others); None: not
    any more. `stored` holds what is stored in `stored_range`.
    """
    anew = {day: totals(of_day) for day, of_day in by_day(trips).items() if day in days}
    kept = {
        period.first_day: driven
        for period, driven in stored.items()
        if period.kind == "day" and period.first_day not in days
    }
    right = with_longer_periods(kept | anew)
    touched = {period for day in days for period in periods_of(day)}
    return {period: right.get(period) for period in touched if right.get(period) != stored.get(period)}


def with_longer_periods(days: Mapping[date, Totals]) -> dict[Period, Totals]:
    """The totals of days, and of the weeks and months that they make up."""
    parts = defaultdict[Period, list[Totals]](list)
    for day, driven in days.items():
        for period in periods_of(day):
            parts[period].append(driven)
    return {period: added(of_period) for period, of_period in parts.items()}


def totals(trips: Iterable[Trip]) -> Totals:
    """The totals of these trips, all of them driven."""
    return added([_of_trip(trip) for trip in trips])


def added(parts: Sequence[Totals]) -> Totals:
    """The totals of one or more parts that have no trip in common."""
    columns = {
        name: [value for part in parts if (value := getattr(part, name)) is not None]
        for name in Totals.__struct_fields__
    }
    return msgspec.convert({name: _sum(values) for name, values in columns.items() if values}, Totals)


def _of_trip(trip: Trip) -> Totals:
    km, seconds = trip.distance_km, trip.duration_s
    return Totals(
        trips=1,
        distance_km=km,
        driving_s=seconds,
        idle_s=trip.idle_s,
        harsh_events=trip.harsh_brakings + trip.harsh_accelerations + trip.harsh_cornerings,
        energy_kwh=trip.energy_kwh,
        energy_of_km=None if trip.energy_kwh is None else km,
        recuperated_kwh=trip.recuperated_kwh,
        fuel_l=trip.fuel_l,
        fuel_of_km=None if trip.fuel_l is None else km,
        co2_kg=trip.co2_kg,
        eco_points_km=None if trip.eco_score is None else trip.eco_score * km,
        eco_of_km=None if trip.eco_score is None else km,
        night_s=None if trip.night_share is None else trip.night_share * seconds,
        night_of_s=None if trip.night_share is None else seconds,
    )


def _sum(values: Sequence[float]) -> float:
    return sum(values) if isinstance(values[0], int) else round(fsum(values), 6)


def _ratio(amount: float | None, weight: float | None, unit: float = 1, *, digits: int) -> float | None:
    return None if amount is None or not weight else round(unit * amount / weight, digits)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)
