"""Retry policies: how many delays, and how long."""

from datetime import timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.errors import Misconfigured
from localcloud.host.retries import FOREVER, RetryPolicy, parse_retry_policy


def test_a_fixed_delay_is_always_the_same_and_ends() -> None:
    policy = parse_retry_policy({"strategy": "fixed_delay", "max_retry_count": "3", "delay_interval": "00:00:05"})
    assert list(policy.delays_s(lambda: 0.9)) == [5.0, 5.0, 5.0]


def test_minus_one_never_gives_up() -> None:
    policy = RetryPolicy(FOREVER, timedelta(seconds=1), timedelta(seconds=60))
    assert list(islice(policy.delays_s(lambda: 0.5), 5000))[-1] == 60.0


def test_a_growing_delay_doubles_between_its_bounds() -> None:
    policy = parse_retry_policy(
        {
            "strategy": "exponential_backoff",
            "max_retry_count": "6",
            "minimum_interval": "00:00:02",
            "maximum_interval": "00:00:20",
        }
    )
    assert list(policy.delays_s(lambda: 0.5)) == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 100), st.integers(0, 100))
def test_no_delay_leaves_the_bounds(chance: float, one: int, other: int) -> None:
    lowest, highest = sorted((one, other))
    policy = RetryPolicy(20, timedelta(seconds=lowest), timedelta(seconds=highest))
    assert all(lowest <= delay_s <= highest for delay_s in policy.delays_s(lambda: chance))


def test_an_exponential_policy_has_the_defaults_of_the_worker() -> None:
    policy = parse_retry_policy({"strategy": "exponential_backoff", "max_retry_count": "1"})
    assert policy == RetryPolicy(1, timedelta(), timedelta(seconds=2**31 - 1))


def test_a_delay_that_the_worker_cannot_read_fails_in_its_words() -> None:
    with pytest.raises(ValueError, match="time data 'soon' does not match format"):
        parse_retry_policy({"strategy": "fixed_delay", "max_retry_count": "1", "delay_interval": "soon"})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"strategy": "never"}, "'never' is no retry strategy"),
        ({"strategy": "fixed_delay", "max_retry_count": "1"}, "lacks delay_interval"),
        ({"strategy": "fixed_delay", "max_retry_count": "-2", "delay_interval": "00:00:01"}, "-1 or more, not -2"),
    ],
)
def test_a_wrong_policy_is_named(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        parse_retry_policy(settings)
