"""A vehicle whose trips are rolled up, and the commands that do it."""

import pytest

from localcloud.services import LocalCloud
from shared.identity.vehicle import shard
from tests.trips.rollups import (
    Owned,
    RollUps,
    patched,
)


@pytest.fixture
def car(local_services: LocalCloud) -> Owned:
    return Owned()


@pytest.fixture
def roll_ups(car: Owned, monkeypatch: pytest.MonkeyPatch) -> RollUps:
    return patched(monkeypatch, shard(car.vehicle_id))
