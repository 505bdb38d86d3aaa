"""One delivery: claimed by one, tried until its time is over, never back from an end."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from functions.notifications import delivery
from functions.notifications.channels import email
from functions.notifications.decision import Channel
from functions.notifications.delivery import ENDS, LEASE, LONGEST_PAUSE_S, Delivery, Status
from shared.clock import from_epoch_ms
from shared.errors import Unavailable
from tests.notifications.examples import NOW, begun, theft, trip, update

DAY = timedelta(days=1)


def test_a_claim_counts_the_attempt_before_it_is_made() -> None:
    claimed = delivery.claim(begun(), NOW)
    assert (claimed.status, claimed.attempts) == (Status.SENDING, 1)
    assert from_epoch_ms(claimed.lease_until_ms) == NOW + LEASE


def test_nobody_else_can_claim_until_the_lease_is_over() -> None:
    claimed = delivery.claim(begun(), NOW)
    with pytest.raises(Unavailable) as refusal:
        delivery.claim(claimed, NOW + timedelta(seconds=30))
    assert refusal.value.retry_after_s == LEASE.total_seconds() - 30
    assert delivery.claim(claimed, NOW + LEASE).attempts == 2


def test_a_lease_outlives_every_attempt() -> None:
    """Else a second instance could send while the first still does."""
    assert LEASE.total_seconds() > 2 * email.ATTEMPT_S


def test_a_lease_protects_an_attempt_that_began_just_in_time() -> None:
    claimed = delivery.claim(begun(), NOW + DAY - timedelta(seconds=1))
    with pytest.raises(Unavailable):
        delivery.claim(claimed, NOW + DAY)


def test_after_its_time_it_expires_and_is_not_sent() -> None:
    expired = delivery.claim(begun(), NOW + DAY)
    assert (expired.status, expired.attempts) == (Status.EXPIRED, 0)


@pytest.mark.parametrize(
    ("begun_with", "life"),
    [
        (begun(trip()), DAY),
        (begun(update()), 3 * DAY),
        (begun(update(), Channel.IN_CAR), timedelta(hours=1)),
        (begun(theft()), timedelta(hours=3)),
    ],
)
def test_how_long_it_is_of_use(begun_with: Delivery, life: timedelta) -> None:
    assert from_epoch_ms(begun_with.expires_at_ms) == NOW + life


@pytest.mark.parametrize(
    "ended",
    [
        delivery.delivered(begun(), NOW),
        delivery.failed(begun(), "no such mailbox"),
        delivery.expired(begun(), None),
    ],
)
def test_an_end_is_final(ended: Delivery) -> None:
    assert ended.status in ENDS
    assert delivery.claim(ended, NOW + 10 * DAY) is ended


def test_a_release_lets_the_next_attempt_begin_at_once() -> None:
    released = delivery.released(delivery.claim(begun(), NOW), "offline")
    assert (released.status, released.reason) == (Status.SENDING, "offline")
    assert delivery.claim(released, NOW).attempts == 2


def test_ids_are_made_of_what_is_delivered_and_sort_the_newest_first() -> None:
    assert begun().delivery_id == begun().delivery_id
    ids = [
        begun(update(), Channel.IN_CAR).delivery_id,
        begun(update()).delivery_id,
        begun(trip()).delivery_id,
    ]
    assert len(set(ids)) == len(ids)
    assert begun(known_at=NOW + timedelta(seconds=1)).delivery_id < begun().delivery_id


@given(
    attempts=st.integers(1, 10_000),
    passed_s=st.floats(0, 86_400),
    asked_s=st.none() | st.floats(0, 100_000),
    chance=st.floats(0, 1),
    channel=st.sampled_from(Channel),
)
def test_the_next_attempt_is_later_and_of_use(
    attempts: int, passed_s: float, asked_s: float | None, chance: float, channel: Channel
) -> None:
    tried = replace(begun(update(), channel), attempts=attempts)
    now = NOW + timedelta(seconds=passed_s)
    later = delivery.next_attempt_at(tried, now, first_pause_s=2.0, asked_s=asked_s, chance=chance)
    if later is None:
        assert now + timedelta(seconds=max(asked_s or 0, 1.25 * LONGEST_PAUSE_S[channel])) >= from_epoch_ms(
            tried.expires_at_ms
        )
    else:
        assert now + timedelta(seconds=max(asked_s or 0, 1.0)) <= later < from_epoch_ms(tried.expires_at_ms)


def test_pauses_double_up_to_the_longest() -> None:
    def pause_s(attempts: int, channel: Channel) -> float:
        tried = replace(begun(update(), channel), attempts=attempts)
        later = delivery.next_attempt_at(tried, NOW, first_pause_s=2.0, asked_s=None, chance=0.5)
        assert later is not None
        return (later - NOW).total_seconds()

    assert [pause_s(attempts, Channel.EMAIL) for attempts in (1, 2, 3, 8, 9, 50)] == [2, 4, 8, 256, 300, 300]
    assert pause_s(50, Channel.IN_CAR) == 900


def test_an_offline_vehicle_is_asked_a_few_times_an_hour() -> None:
    tried, now = begun(update(), Channel.IN_CAR), NOW
    while True:
        tried = delivery.claim(tried, now)
        later = delivery.next_attempt_at(tried, now, first_pause_s=2.0, asked_s=None, chance=0.5)
        if later is None:
            break
        tried, now = delivery.released(tried, "offline"), later
    assert tried.attempts == 12
    assert now > NOW + timedelta(minutes=45)
