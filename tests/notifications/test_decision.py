"""Who is told what by which channel."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.notifications import decision
from functions.notifications.decision import MUTABLE, OF_USE_FOR, Category, Channel, Recipient
from shared.errors import Rejected
from tests.notifications.examples import NOW, person, theft, trip, update, week

categories = st.sampled_from(Category)
people = st.lists(
    st.builds(
        person,
        recipient_id=st.sampled_from("abcdefgh"),
        email=st.none() | st.just("someone@example.com"),
        in_car=st.booleans(),
        muted=st.lists(categories, unique=True).map(tuple),
    ),
    unique_by=lambda recipient: recipient.recipient_id,
)


def chosen(category: Category, *recipients: Recipient) -> list[tuple[str, str]]:
    return [(recipient.recipient_id, channel) for recipient, channel in decision.decide(category, recipients)]


def test_a_trip_is_told_by_mail_alone() -> None:
    assert chosen(Category.TRIP, person()) == [("anna", "email")]


def test_a_week_is_told_by_mail_alone_unless_it_is_muted() -> None:
    assert chosen(Category.DIGEST, person(), person("bea", muted=(Category.DIGEST,))) == [("anna", "email")]
    assert chosen(Category.TRIP, person(muted=(Category.DIGEST,))) == [("anna", "email")]


def test_an_update_is_told_by_mail_and_in_the_car() -> None:
    assert chosen(Category.UPDATE, person()) == [("anna", "email"), ("anna", "in_car")]


def test_a_theft_is_not_told_to_the_thief() -> None:
    assert chosen(Category.SECURITY, person()) == [("anna", "email")]


def test_who_has_no_address_gets_no_mail() -> None:
    assert chosen(Category.UPDATE, person(email=None)) == [("anna", "in_car")]
    assert chosen(Category.SECURITY, person(email=None)) == []


def test_who_wants_nothing_in_the_car_gets_mail() -> None:
    assert chosen(Category.UPDATE, person(in_car=False)) == [("anna", "email")]


def test_a_vehicle_shows_one_message_once_whoever_its_recipients_are() -> None:
    recipients = person("carl"), person("anna", in_car=False), person("bea")
    assert chosen(Category.UPDATE, *recipients) == [
        ("anna", "email"),
        ("bea", "email"),
        ("carl", "email"),
        ("bea", "in_car"),
    ]


@given(categories, people)
def test_nobody_is_told_what_they_muted_but_for_security(category: Category, recipients: list[Recipient]) -> None:
    for recipient, _ in decision.decide(category, recipients):
        assert category not in recipient.muted or category is Category.SECURITY


@given(people)
def test_whoever_has_an_address_hears_of_a_theft(recipients: list[Recipient]) -> None:
    told = [recipient for recipient, _ in decision.decide(Category.SECURITY, recipients)]
    assert sorted(told, key=hash) == sorted((person for person in recipients if person.email), key=hash)


@given(categories, people)
def test_each_person_is_told_at_most_once_by_a_channel_whatever_their_order(
    category: Category, recipients: list[Recipient]
) -> None:
    decided = chosen(category, *recipients)
    assert len(set(decided)) == len(decided)
    assert decided == chosen(category, *reversed(recipients))


@given(categories, people)
def test_what_is_decided_still_holds_when_it_is_sent(category: Category, recipients: list[Recipient]) -> None:
    assert all(recipient.takes(category, channel) for recipient, channel in decision.decide(category, recipients))


def test_security_cannot_be_muted() -> None:
    assert Category.SECURITY not in MUTABLE
    assert set(Category) > MUTABLE


def test_every_category_has_a_way_and_a_time() -> None:
    for category in Category:
        assert Channel.EMAIL in OF_USE_FOR[category]
        assert all(life > timedelta() for life in OF_USE_FOR[category].values())


def test_the_same_fact_is_the_same_notification_and_others_are_others() -> None:
    told = [
        decision.notification(vehicle_id, facts, known_at).notification_id
        for vehicle_id in ("car-1", "car-2")
        for facts in (trip(), trip(trip_id="spring"), week(), week(monday=date(2026, 5, 4)), update(), theft())
        for known_at in (NOW, NOW + timedelta(days=1))
    ]
    assert len(set(told)) == len(told) / 2
    assert told[0].startswith("trip-")


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        (trip(started_at_ms=-1), "started_at_ms"),
        (trip(ended_at_ms=10**18), "ended_at_ms"),
        (week(monday=date(9999, 12, 27)), "monday"),
        (week(distance_km=1e300), "distance_km"),
        (week(l_100km=float("inf")), "l_100km"),
        (week(trips=10**13), "trips"),
        (update(title="x" * 501), "title"),
        (update(version="x" * 501), "version"),
    ],
)
def test_facts_that_cannot_be_are_rejected_by_name(facts: decision.Facts, field: str) -> None:
    with pytest.raises(Rejected, match=field):
        decision.notification("car-1", facts, NOW)


def test_a_vehicle_that_cannot_be_is_rejected() -> None:
    with pytest.raises(Rejected, match="bad-vehicle-id"):
        decision.notification("no/car", trip(), NOW)
