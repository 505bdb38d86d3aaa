"""What people read: complete in both languages, in their formats, safe whatever the facts contain."""

import re
from datetime import UTC
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError, meta
from jinja2.exceptions import SecurityError

from functions.notifications import formats, rendering
from functions.notifications.decision import OF_USE_FOR, Channel, Facts, notification
from functions.notifications.formats import Formats
from functions.notifications.rendering import LANGUAGES, LETTER_PARTS, NOTICE_PARTS, TEMPLATES, Reader
from tests.notifications.examples import (
    ARRIVAL_MS,
    DEPARTURE_MS,
    NOW,
    electric_trip,
    hybrid_week,
    theft,
    trip,
    update,
    week,
)

BERLIN = ZoneInfo("Europe/Berlin")
FACTS = [
    *(trip(), electric_trip(), trip(fuel_l=1.3, idle_s=0.0, ended_at_ms=ARRIVAL_MS + 86_400_000)),
    *(week(), hybrid_week(), week(trips=1, energy_kwh=-0.5, eco_score=0.0)),
    *(update(), theft()),
]
HOSTILE = """"><script>alert('x')</script>&{{ 7*7 }}\r\nBcc: all@example.com"""


def reader(language: str = "de", vehicle: str | None = "Aurora E1", zone: str = "Europe/Berlin") -> Reader:
    return rendering.reader("Anna Müller", language, ZoneInfo(zone), vehicle, default_language="en")


def parts(facts: Facts) -> tuple[str, ...]:
    in_car = Channel.IN_CAR in OF_USE_FOR[notification("car-1", facts, NOW).category]
    return LETTER_PARTS + (NOTICE_PARTS if in_car else ())


def variables(template: Path) -> set[str]:
    """What a template and those that it extends ask for."""
    environment = rendering.environment()
    tree = environment.parse(template.read_text())
    extended = [TEMPLATES / name for name in meta.find_referenced_templates(tree) if name]
    return meta.find_undeclared_variables(tree).union(*map(variables, extended)) - {"fact", "self"}


class WellFormed(HTMLParser):
    """Fails at a tag that is not closed, or not where it was opened."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def parsed(html: str) -> WellFormed:
    parser = WellFormed()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def test_every_language_has_the_same_templates_with_the_same_variables() -> None:
    found = {
        language: {path.relative_to(TEMPLATES / language) for path in (TEMPLATES / language).rglob("*.*")}
        for language in LANGUAGES
    }
    assert sorted(path.name for path in TEMPLATES.iterdir() if path.is_dir()) == sorted(LANGUAGES)
    assert len({frozenset(names) for names in found.values()}) == 1
    for name in found[LANGUAGES[0]]:
        asked = {frozenset(variables(TEMPLATES / language / name)) for language in LANGUAGES}
        assert len(asked) == 1, name


@pytest.mark.parametrize("facts", [trip(), week(), update(), theft()], ids=lambda facts: type(facts).__name__)
def test_every_kind_has_the_templates_of_its_channels_and_no_others(facts: Facts) -> None:
    for language in LANGUAGES:
        folder = TEMPLATES / language / type(facts).__name__
        assert sorted(path.name for path in folder.iterdir()) == sorted(parts(facts))
        asked = set[str]().union(*(variables(path) for path in folder.iterdir()))
        assert asked == set(rendering.view(facts, reader(language)))


@pytest.mark.parametrize("vehicle", ["Aurora E1", None])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: type(facts).__name__)
def test_every_template_renders_whatever_is_known(facts: Facts, language: str, vehicle: str | None) -> None:
    letter = rendering.letter(facts, reader(language, vehicle))
    for text in (letter.subject, letter.text, letter.html):
        assert text
        assert "None" not in text
        assert "{" not in re.sub(r"\s", "", text)
    assert "\n\n\n" not in letter.text
    page = parsed(letter.html)
    assert ("html", {"lang": language}) in page.seen
    assert (vehicle or "Aurora") in letter.text or vehicle is None
    if Channel.IN_CAR in OF_USE_FOR[notification("car-1", facts, NOW).category]:
        notice = rendering.notice(facts, reader(language, vehicle))
        assert notice.title
        assert notice.body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: type(facts).__name__)
def test_html_is_accessible_and_loads_nothing(facts: Facts, language: str) -> None:
    page = parsed(rendering.letter(facts, reader(language)).html)
    tags = [tag for tag, _ in page.seen]
    assert tags.count("h1") == tags.count("title") == 1
    assert not {"img", "script", "link", "style", "iframe", "form"} & set(tags)
    assert not [attributes for _, attributes in page.seen if {"src", "href", "background"} & set(attributes)]
    assert all(attributes.get("scope") == "row" for tag, attributes in page.seen if tag == "th")
    assert not re.search(r"https?:|url\(", str(page.seen))


def test_letters_say_in_both_forms_and_languages_what_happened() -> None:
    german, english = (rendering.letter(electric_trip(), reader(language)) for language in ("de-DE", "en-GB"))
    assert german.subject == "Ihre Fahrt über 12,4 km"
    assert english.subject == "Your trip of 12.4 km"
    for said in (german.text, parsed(german.html).said):
        for words in ("Anna Müller", "30. Juni 2021", "23 Minuten", "14:32", "14:55", "81\xa0%", "3 Minuten"):
            assert words in said
    for said in (english.text, parsed(english.html).said):
        for words in ("Anna Müller", "30 June 2021", "23 minutes", "14:32", "14:55", "81%", "3 minutes"):
            assert words in said


def test_a_week_is_told_by_its_days_and_figures_in_the_readers_formats() -> None:
    german, english = (rendering.letter(hybrid_week(), reader(language)) for language in ("de-DE", "en-GB"))
    assert german.subject == "Ihre Woche: 182,4 km"
    assert english.subject == "Your week: 182.4 km"
    expected = {
        german: (
            *("Anna Müller", "27. April 2026", "3. Mai 2026", "12", "5 Stunden 10 Minuten", "20 Minuten"),
            *("30,2 kWh", "16,6 kWh/100 km", "4,1 Liter", "2,2 l/100", "9,5 kg", "78 von 100"),
        ),
        english: (
            *("Anna Müller", "27 April 2026", "3 May 2026", "12", "5 hours 10 minutes", "20 minutes"),
            *("30.2 kWh", "16.6 kWh/100 km", "4.1 litres", "2.2 l/100", "9.5 kg", "78 of 100"),
        ),
    }
    for letter, phrases in expected.items():
        for said in (letter.text, parsed(letter.html).said):
            plain = said.replace("\xa0", " ").replace("\u202f", " ").replace("L/100", "l/100")
            for words in phrases:
                assert words in plain, words


def test_a_week_does_not_tell_on_who_drove() -> None:
    for language in LANGUAGES:
        same = rendering.letter(
            msgspec.structs.replace(hybrid_week(), harsh_events=0, night_share=0.0), reader(language)
        )
        assert rendering.letter(hybrid_week(), reader(language)) == same


def test_a_week_is_the_same_days_in_every_zone() -> None:
    letters = {rendering.letter(week(), reader("en", zone=zone)).text for zone in ("Pacific/Kiritimati", "Etc/GMT+12")}
    assert len(letters) == 1


def test_a_theft_alarm_says_when_and_not_where() -> None:
    letter = rendering.letter(theft(), reader("de"))
    assert letter.subject == "Diebstahlalarm Ihres Fahrzeugs um 14:32"
    assert "30. Juni 2021" in letter.text


def test_an_update_in_the_car_is_short() -> None:
    notice = rendering.notice(update(), reader("en"))
    assert notice.title == "Update available"
    assert notice.body == "Better maps (version 2.0.0). Your vehicle downloads the update by itself."


def test_hostile_facts_stay_text() -> None:
    for language in LANGUAGES:
        to = rendering.reader(HOSTILE, language, BERLIN, HOSTILE, default_language="en")
        for facts in (trip(), update(title=HOSTILE, version=HOSTILE), theft()):
            letter = rendering.letter(facts, to)
            page = parsed(letter.html)
            assert "script" not in [tag for tag, _ in page.seen]
            assert "<script>alert('x')</script>" in page.said
            assert "{{ 7*7 }}" in letter.text
            assert letter.subject.splitlines() == [letter.subject]
        notice = rendering.notice(update(title=HOSTILE, version=HOSTILE), to)
        assert [notice.title, notice.body] == [*notice.title.splitlines(), *notice.body.splitlines()]


def test_templates_are_confined_and_must_not_ask_for_the_unknown() -> None:
    environment = rendering.environment()
    with pytest.raises(SecurityError):
        environment.from_string("{{ name.__class__.__mro__ }}").render(name="Anna")
    with pytest.raises(UndefinedError):
        environment.from_string("{{ nmae }}").render(name="Anna")


@pytest.mark.parametrize(
    ("tag", "default", "expected"),
    [
        ("de", "en", "de"),
        ("DE", "en", "de"),
        ("de-AT", "en", "de_AT"),
        ("de_CH", "en", "de_CH"),
        ("en-GB", "de", "en_GB"),
        ("de-XX", "en", "de"),
        ("de-DE-x-mine", "en", "de"),
        ("fr", "en", "en"),
        ("fr-FR", "de", "de"),
        ("!!", "de", "de"),
        ("", "en", "en"),
    ],
)
def test_language_falls_back_from_exact_to_language_to_default(tag: str, default: str, expected: str) -> None:
    assert str(formats.locale(tag, LANGUAGES, default)) == expected


@given(st.text(max_size=64))
def test_any_tag_has_a_locale_with_templates(tag: str) -> None:
    assert formats.locale(tag, LANGUAGES, "en").language in LANGUAGES


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_zones_are_known_by_name(name: str) -> None:
    assert str(formats.time_zone(name)) == name


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Base", "../../etc/passwd", "/etc/passwd", "\x00", "ä", "x" * 64])
def test_what_is_no_zone_is_unknown(name: str) -> None:
    assert formats.time_zone(name) is None


@given(st.text(max_size=64))
def test_any_name_of_a_zone_is_answered(name: str) -> None:
    formats.time_zone(name)


def test_who_lives_nowhere_reads_utc_by_name() -> None:
    to = rendering.reader("Anna", "en-GB", None, default_language="en")
    assert to.formats.zone is UTC
    assert "Departure: 12:32 UTC" in rendering.letter(trip(), to).text


@pytest.mark.parametrize(
    ("seconds", "german", "english"),
    [
        (0.0, "0 Sekunden", "0 seconds"),
        (29.6, "30 Sekunden", "30 seconds"),
        (60.0, "1 Minute", "1 minute"),
        (3599.0, "1 Stunde", "1 hour"),
        (5400.0, "1 Stunde 30 Minuten", "1 hour 30 minutes"),
        (90_000.0, "25 Stunden", "25 hours"),
    ],
)
def test_durations_read_well(seconds: float, german: str, english: str) -> None:
    assert reader("de").formats.duration(seconds) == german
    assert reader("en").formats.duration(seconds) == english


def test_numbers_and_times_follow_the_locale_and_not_only_the_language() -> None:
    def formatted(tag: str) -> tuple[str, str, str]:
        """Which apostrophe and which space it is differs between editions of the locale data (CLDR)."""
        locale = formats.locale(tag, LANGUAGES, "en")
        own = Formats(locale, BERLIN)
        time = own.time(DEPARTURE_MS).replace("\u202f", " ")
        return own.distance(1234.56).replace("’", "'"), own.date(DEPARTURE_MS), time

    assert formatted("de-DE") == ("1.234,6 km", "30. Juni 2021", "14:32")
    assert formatted("de-CH") == ("1'234.6 km", "30. Juni 2021", "14:32")
    assert formatted("en-US") == ("1,234.6 km", "June 30, 2021", "2:32 PM")


def test_times_follow_the_summer_time_of_the_zone() -> None:
    own = reader("de").formats
    before, after = 1_774_745_940_000, 1_774_746_000_000  # 2026-03-29, 00:59 and 01:00 UTC
    assert (own.time(before), own.time(after)) == ("01:59", "03:00")


def test_an_arrival_on_another_day_has_its_date() -> None:
    late = trip(started_at_ms=DEPARTURE_MS, ended_at_ms=DEPARTURE_MS + 10 * 3_600_000)
    assert "Ankunft: 1. Juli 2021, 00:32" in rendering.letter(late, reader("de")).text
