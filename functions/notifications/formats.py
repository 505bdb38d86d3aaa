"""Numbers, times and lengths of time as a person writes them: in their locale and their time zone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from datetime import date as Day  # noqa: N812 - `date` is what it is written as here
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

from shared.clock import from_epoch_ms

_ONE_DECIMAL = "#,##0.0"


def locale(tag: str, languages: Collection[str], default: str) -> Locale:
    """The locale of a language tag, else of its language, else of `default`, so that it is one of `languages`.

    Text and numbers of one message are of one language: there are no French dates in an English sentence.
    """
    parts = tag.replace("_", "-")
    for candidate in (parts, parts.partition("-")[0]):
        try:
            found = Locale.parse(candidate, sep="-")
        except (ValueError, UnknownLocaleError):
            continue
        if found.language in languages:
            return found
    return Locale.parse(default)


def time_zone(name: str) -> tzinfo | None:
    """The IANA time zone, or None if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # also for names that are no file names, or folders
        return None


@dataclass(frozen=True, slots=True)
class Formats:
    """How one person writes."""

    locale: Locale
    zone: tzinfo = UTC

    def distance(self, km: float) -> str:
        return format_unit(km, "length-kilometer", length="short", format=_ONE_DECIMAL, locale=self.locale)

    def volume(self, litres: float) -> str:
        return format_unit(litres, "volume-liter", length="long", format=_ONE_DECIMAL, locale=self.locale)

    def fuel_consumption(self, l_100km: float) -> str:
        unit = "consumption-liter-per-100-kilometer"
        return format_unit(l_100km, unit, length="short", format=_ONE_DECIMAL, locale=self.locale)

    def energy(self, kwh: float) -> str:
        return format_unit(kwh, "energy-kilowatt-hour", length="short", format=_ONE_DECIMAL, locale=self.locale)

    def electric_consumption(self, kwh_100km: float) -> str:
        """The locale data has no such unit; its symbols are the same in all languages."""
        return f"{format_decimal(kwh_100km, format=_ONE_DECIMAL, locale=self.locale)} kWh/100 km"

    def mass(self, kg: float) -> str:
        return format_unit(kg, "mass-kilogram", length="short", format=_ONE_DECIMAL, locale=self.locale)

    def whole(self, number: float) -> str:
        return format_decimal(round(number), locale=self.locale)

    def share(self, percent: float) -> str:
        return format_percent(percent / 100, format=None, locale=self.locale)

    def duration(self, seconds: float) -> str:
        """In hours and minutes; in seconds only if it is less than a minute."""
        minutes = round(seconds / 60)
        if minutes == 0:
            return self._whole(round(seconds), "duration-second")
        hours, minutes = divmod(minutes, 60)
        parts = ((hours, "duration-hour"), (minutes, "duration-minute"))
        return " ".join(self._whole(count, unit) for count, unit in parts if count)

    def _whole(self, count: int, unit: str) -> str:
        return format_unit(count, unit, length="long", locale=self.locale)

    def date(self, epoch_ms: int) -> str:
        return self.day(self._local(epoch_ms).date())

    def day(self, day: Day) -> str:
        """Of a calendar, not of a moment: the same in all zones."""
        return format_date(day, "long", locale=self.locale)

    def time(self, epoch_ms: int) -> str:
        """Hours and minutes. Names the zone if it is UTC, by which nobody lives."""
        text = format_time(self._local(epoch_ms), "short", tzinfo=self.zone, locale=self.locale)
        return f"{text} UTC" if self._local(epoch_ms).tzname() == "UTC" else text

    def date_and_time(self, epoch_ms: int) -> str:
        return f"{self.date(epoch_ms)}, {self.time(epoch_ms)}"

    def same_day(self, one_ms: int, other_ms: int) -> bool:
        return self._local(one_ms).date() == self._local(other_ms).date()

    def _local(self, epoch_ms: int) -> datetime:
        return from_epoch_ms(epoch_ms).astimezone(self.zone)
