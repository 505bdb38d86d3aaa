"""The benchmark of the local cloud works; what it measures is no matter for a test."""

from benchmarks.broker import LOADS, STAMPED, Size, rows


def test_each_load_is_measured_beside_its_limit() -> None:
    """Every row has positive figures, and telemetry that the hub acknowledges is in the Event Hub."""
    loads = LOADS[:2]
    found = rows(Size(messages=300, vehicles=10, messages_each=3, rounds=1), loads)
    assert all(row.value > 0 and row.limit > 0 for row in found)
    for load in (*loads, STAMPED):
        assert [row.unit for row in found if row.claim.startswith(load.claim)] == ["µs/message", "messages/s"]
    assert sum(row.claim.startswith("IoT Hub") for row in found) == 2
