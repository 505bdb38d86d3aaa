"""Facts become words: templates in each language, filled with what is formatted as the recipient writes it.

Templates stand in `templates/{language}/{kind of facts}/`: `subject.txt`, `letter.txt`, `letter.html` for e-mail,
`title.txt` and `body.txt` for the car. They get strings only, the same in every language, and one that they do not
know is an error; what they may do is confined by a sandbox, since one day others may write them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, select_autoescape
from jinja2.sandbox import SandboxedEnvironment

from functions.notifications.alerts import TheftAlarm
from functions.notifications.decision import Facts
from functions.notifications.formats import Formats, locale
from functions.notifications.letters import Letter, Notice
from shared.messaging.contracts import TripCompleted, UpdateAvailable, WeeklyDigestReady

TEMPLATES = Path(__file__).with_name("templates")
LANGUAGES = ("de", "en")
LETTER_PARTS = ("subject.txt", "letter.txt", "letter.html")
NOTICE_PARTS = ("title.txt", "body.txt")
_WORTH_TELLING_S = 60  # a shorter stand is a traffic light

View = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom it is written. `vehicle` is what the person knows the vehicle as, if that is known."""

    name: str
    formats: Formats
    vehicle: str | None = None

    @property
    def language(self) -> str:
        return self.formats.locale.language


def reader(
    name: str, language: str, zone: tzinfo | None, vehicle: str | None = None, *, default_language: str
) -> Reader:
    """The reader by language tag and zone; languages without templates fall back to the default, no zone to UTC."""
    return Reader(name, Formats(locale(language, LANGUAGES, default_language), zone or UTC), vehicle)


def letter(facts: Facts, to: Reader) -> Letter:
    """The e-mail that tells these facts."""
    subject, text, html = (_render(part, facts, to) for part in LETTER_PARTS)
    return Letter(to.language, _one_line(subject), text.strip() + "\n", html)


def notice(facts: Facts, to: Reader) -> Notice:
    """What the vehicle's screen shows of these facts."""
    title, body = (_render(part, facts, to) for part in NOTICE_PARTS)
    return Notice(to.language, _one_line(title), _one_line(body))


def view(facts: Facts, to: Reader) -> View:
    """What the templates of these facts are given."""
    common: View = {"language": to.language, "name": to.name, "vehicle": to.vehicle}
    match facts:
        case TripCompleted():
            return common | _trip(facts, to.formats)
        case WeeklyDigestReady():
            return common | _week(facts, to.formats)
        case UpdateAvailable():
            return common | {"title": facts.title, "version": facts.version}
        case TheftAlarm():
            return common | {
                "date": to.formats.date(facts.raised_at_ms),
                "time": to.formats.time(facts.raised_at_ms),
            }


def _trip(trip: TripCompleted, formats: Formats) -> View:
    """The top speed is left out: who drove need not be who reads."""
    same_day = formats.same_day(trip.started_at_ms, trip.ended_at_ms)
    charge_known = trip.soc_start_pct is not None and trip.soc_end_pct is not None
    return {
        "distance": formats.distance(trip.distance_km),
        "duration": formats.duration(trip.duration_s),
        "date": formats.date(trip.started_at_ms),
        "departure": formats.time(trip.started_at_ms),
        "arrival": formats.time(trip.ended_at_ms) if same_day else formats.date_and_time(trip.ended_at_ms),
        "idle": formats.duration(trip.idle_s) if trip.idle_s >= _WORTH_TELLING_S else None,
        "charge_start": formats.share(trip.soc_start_pct or 0.0) if charge_known else None,
        "charge_end": formats.share(trip.soc_end_pct or 0.0) if charge_known else None,
        "fuel": None if trip.fuel_l is None else formats.volume(trip.fuel_l),
    }


def _week(week: WeeklyDigestReady, formats: Formats) -> View:
    """Harsh events and driving by night are left out: who drove need not be who reads."""

    def known(figure: float | None, written: Callable[[float], str]) -> str | None:
        return None if figure is None else written(figure)

    return {
        "first_day": formats.day(week.monday),
        "last_day": formats.day(week.monday + timedelta(days=6)),
        "trips": formats.whole(week.trips),
        "distance": formats.distance(week.distance_km),
        "driving_time": formats.duration(week.driving_s),
        "idle": formats.duration(week.idle_s) if week.idle_s >= _WORTH_TELLING_S else None,
        "energy": known(week.energy_kwh, formats.energy),
        "electric_consumption": known(week.kwh_100km, formats.electric_consumption),
        "fuel": known(week.fuel_l, formats.volume),
        "fuel_consumption": known(week.l_100km, formats.fuel_consumption),
        "co2": known(week.co2_kg, formats.mass),
        "eco_score": known(week.eco_score, formats.whole),
    }


def _render(part: str, facts: Facts, to: Reader) -> str:
    template = environment().get_template(f"{to.language}/{type(facts).__name__}/{part}")
    return template.render(view(facts, to))


def _one_line(text: str) -> str:
    """Also keeps a line break in a title from starting a new header of the mail."""
    return " ".join(text.split())


@cache
def environment() -> SandboxedEnvironment:
    """The templates' environment; only the HTML is escaped."""
    return SandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("html",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
