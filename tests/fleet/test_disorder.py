"""Messages out of order: none lost, none invented, the same from the same seed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.fleet.disorder import Disorder, scramble

counts = st.integers(0, 300)
seeds = st.integers(0, 2**64)


@given(counts, seeds, st.floats(0, 1))
def test_every_message_is_sent_and_the_wanted_fraction_twice(count: int, seed: int, fraction: float) -> None:
    sent = scramble(range(count), Disorder(seed, duplicates=fraction))
    copies = Counter(sent.messages)
    assert set(copies) == set(range(count))
    assert set(copies.values()) <= {1, 2}
    assert sum(copies.values()) - count == sent.duplicated == round(fraction * count)


@given(counts, seeds)
def test_the_same_seed_does_the_same(count: int, seed: int) -> None:
    assert scramble(range(count), Disorder(seed)) == scramble(range(count), Disorder(seed))


@given(counts, seeds)
def test_reordered_counts_the_messages_that_others_overtook(count: int, seed: int) -> None:
    sent = scramble(range(count), Disorder(seed))
    first_copies = list(dict.fromkeys(sent.messages))
    overtaken = [index for place, index in enumerate(first_copies) if any(n > index for n in first_copies[:place])]
    assert sent.reordered == len(overtaken)


@given(counts, seeds)
def test_nothing_falls_behind_farther_than_the_window(count: int, seed: int) -> None:
    disorder = Disorder(seed, duplicates=0, window=5, far=0)
    for place, index in enumerate(scramble(range(count), disorder).messages):
        assert abs(place - index) <= 5


def test_some_messages_come_from_far_behind() -> None:
    order = scramble(range(1000), Disorder(1)).messages
    assert max(place - index for place, index in enumerate(dict.fromkeys(order))) > 20


def test_a_fifth_is_duplicated_unless_told_otherwise() -> None:
    assert scramble(range(100), Disorder(7)).duplicated == 20


def test_without_delays_the_order_stays() -> None:
    calm = Disorder(1, duplicates=0, window=0, far=0)
    assert scramble(range(50), calm).messages == list(range(50))
    assert scramble(range(50), calm).reordered == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_far_delays_are_bounded(seed: int) -> None:
    order = scramble(range(2000), Disorder(seed)).messages
    assert max(place - index for place, index in enumerate(dict.fromkeys(order))) <= 60
