"""Pages of a query over many twins. Here without a network: it takes more devices than a test should register."""

from collections.abc import Iterator

import pytest

from localcloud.iothub.twin import Document
from localcloud.iothub.twin_query import parse_twin_query

DEVICES = 1000


class Twins:
    """Those of many devices, and how many of them were looked at."""

    def __init__(self) -> None:
        self.looked_at = 0

    def behind(self, device_id: str) -> Iterator[Document]:
        for number in range(DEVICES):
            if (name := f"car-{number:04}") > device_id:
                self.looked_at += 1
                yield {"deviceId": name, "tags": {"even": number % 2 == 0}}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT * FROM devices", DEVICES),
        ("SELECT * FROM devices WHERE tags.even = true", DEVICES // 2),
        ("SELECT TOP 250 * FROM devices", 250),
        ("SELECT TOP 200 * FROM devices", 200),
        ("SELECT TOP 0 * FROM devices", 0),
    ],
)
def test_all_pages_together_look_at_each_twin_about_once(query: str, expected: int) -> None:
    """A fleet that is read page by page costs as much as it has devices, not its square."""
    twins, continuation, found, pages = Twins(), None, [], 0
    while True:
        page = parse_twin_query(query).page(twins.behind, 100, continuation)
        found += [twin["deviceId"] for twin in page.items]
        pages += 1
        continuation = page.continuation
        if continuation is None:
            break
    assert len(found) == expected
    assert found == sorted(set(found))
    assert pages == max(1, -(-expected // 100))
    assert twins.looked_at <= DEVICES + 2 * pages
