"""The hash that maps partition keys, against the one in Microsoft's SDK."""

from typing import Any

import pytest
from azure.eventhub._buffered_producer import _partition_resolver
from hypothesis import assume, given
from hypothesis import strategies as st

from localcloud.broker.events.partition_key import hash_code, partition_index

SDK: Any = _partition_resolver  # without type information

ASCII_KEYS = st.text(st.characters(max_codepoint=127), max_size=80)
COUNTS = st.integers(1, 1024)


@given(ASCII_KEYS)
def test_a_key_has_the_hash_that_the_sdk_computes(key: str) -> None:
    """For keys of every length, whole blocks of twelve bytes or not."""
    assert hash_code(key) == SDK.generate_hash_code(key)


@given(ASCII_KEYS, COUNTS)
def test_a_key_goes_where_the_buffered_producer_sends_it(key: str, count: int) -> None:
    """Unless its hash is negative: there Python's SDK takes another remainder than the service and all other SDKs."""
    assume(hash_code(key) >= 0)
    resolver = SDK.PartitionResolver([str(number) for number in range(count)])
    assert str(partition_index(key, count)) == resolver.get_partition_id_by_partition_key(key)


@pytest.mark.parametrize(
    ("key", "hashed", "of_four", "of_seven"),
    [
        ("", 0, 0, 0),
        ("car-1", 29105, 1, 6),
        ("car-7", -12131, 3, 0),
        ("twelve bytes", 6222, 2, 6),
        ("twenty-four bytes in all", -31727, 3, 3),
        ("vehicle-0123456789-0123456789", -31127, 3, 5),
        ("straße", 31555, 3, 6),
        ("鍵", -6216, 0, 0),
    ],
)
def test_a_key_goes_where_the_service_sends_it(key: str, hashed: int, of_four: int, of_seven: int) -> None:
    """Numbers from @azure/event-hubs 6.0.4, which unlike Python's SDK also agrees for other letters and signs."""
    assert hash_code(key) == hashed
    assert (partition_index(key, 4), partition_index(key, 7)) == (of_four, of_seven)
