"""The benchmark of trips works; what it measures is no matter for a test."""

from pathlib import Path

import msgspec
import pytest

from benchmarks import trips_cost
from benchmarks.trips import Size, rows
from benchmarks.trips_drives import Fleet, columns, traffic
from localcloud.fleet.cycles import CycleName

FLEET = Fleet(cars=3, cycles=(CycleName.HWFET, CycleName.UDDS))
COST = trips_cost.Size(cars=4, batch=64, batches=2, fleets=1)


def test_every_claim_is_measured_beside_its_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The trips that were driven came out, or it would raise; without the peers it says how to get them."""
    found = rows(Size(FLEET, batch=16, rounds=1, cost=COST), peers_python=tmp_path / "python")
    assert "skipped: make peers" in capsys.readouterr().err
    assert [row.unit for row in found] == [
        *["samples/s"] * 3,
        *["transactions/1,000 messages"] * 2,
        "transactions",
        "transactions/trip",
        "µs/message",
        *["bytes"] * 4,
    ]
    for row in found:
        assert row.claim.startswith("trips: ")
        assert row.value > 0
        assert set(row.as_json()) == {"claim", "value", "unit", "limit", "ratio", "goal", "met"}


def test_the_same_fleet_sends_the_same_bytes_and_some_of_them_late_or_twice() -> None:
    driven = traffic(FLEET)
    assert driven == traffic(FLEET)
    assert driven.drives == 6
    bodies = [message.body for message in driven.messages]
    assert len(set(bodies)) < len(bodies)
    one_car = [message.body for message in driven.messages if message.vehicle_id == driven.messages[0].vehicle_id]
    first_times = [msgspec.json.decode(body)["t"][0] for body in dict.fromkeys(one_car)]
    assert first_times != sorted(first_times)


def test_columns_hold_steps_of_time_and_say_once_what_is_always_the_same() -> None:
    rows = [{"t": 10, "lat": 1.0, "gear": "D"}, {"t": 12, "gear": "D"}, {"t": 11, "lat": 2.0, "gear": "D"}]
    assert columns(rows) == {"t": [10, 2, -1], "lat": [1.0, None, 2.0], "gear": ["D"]}
