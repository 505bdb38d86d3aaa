"""Which messages of a boot have arrived."""

from hypothesis import given
from hypothesis import strategies as st

from functions.trips.reception import MAX_RANGES, Reception


@given(st.lists(st.integers(0, 40)))
def test_it_is_a_set_of_numbers_that_waits_while_one_is_missing(numbers: list[int]) -> None:
    reception, received = Reception(), set[int]()
    for number in numbers:
        reception.add(number)
        received.add(number)
        assert {n for n in range(42) if reception.has(n)} == received
        assert reception.is_waiting == (len(received) != max(received) + 1)
        assert all(a[1] + 1 < b[0] for a, b in zip(reception.ranges, reception.ranges[1:], strict=False))


@given(st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 60)))
def test_what_was_waived_is_not_awaited_but_still_not_received(before: set[int], after: set[int]) -> None:
    reception = Reception()
    for number in before:
        reception.add(number)
    reception.waive()
    assert not reception.is_waiting
    for number in after:
        assert reception.has(number) == (number in before)
    for number in after:
        reception.add(number)
    everything = before | after
    highest = max(everything)
    expected = any(n not in everything for n in range(max(before) + 1, highest))
    assert reception.is_waiting == expected


def test_too_many_gaps_are_given_up_and_forgotten_not_taken_for_received() -> None:
    reception = Reception()
    for number in range(1, 4 * MAX_RANGES, 2):
        reception.add(number)
    assert len(reception.ranges) == MAX_RANGES
    assert not reception.has(0)
    assert not reception.has(1)
    assert reception.has(4 * MAX_RANGES - 1)
    reception.add(0)
    assert len(reception.ranges) == MAX_RANGES
