"""Vehicle ids, shards, callers and tokens."""

from collections import Counter
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Rejected
from shared.identity.caller import Caller, caller
from shared.identity.sas import service_token
from shared.identity.vehicle import SHARD_RANGES, check_vehicle_id, shard

STAMPED = {"connection-device-id": "car-1", "connection-auth-generation-id": "638"}


def test_the_caller_is_what_the_hub_stamped() -> None:
    assert caller(STAMPED) == Caller("car-1", "638")


@pytest.mark.parametrize("stamped", [{}, {"connection-device-id": None}, {"connection-device-id": 5}])
def test_a_message_without_a_stamp_has_no_caller(stamped: dict[str, object]) -> None:
    with pytest.raises(Rejected) as error:
        caller(stamped)
    assert error.value.code == "no-caller"


def test_a_body_cannot_claim_another_vehicle() -> None:
    sender = caller(STAMPED)
    sender.must_be(None)
    sender.must_be("car-1")
    with pytest.raises(Rejected) as error:
        sender.must_be("car-2")
    assert error.value.code == "foreign-vehicle"


@pytest.mark.parametrize("bad", ["", "-a", "a/b", "a#b", "a?b", "a|b", "a b", "ä", "a\n", "x" * 65, "~inbox"])
def test_an_id_that_is_unsafe_in_a_key_is_rejected(bad: str) -> None:
    with pytest.raises(Rejected):
        check_vehicle_id(bad)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_every_vehicle_is_in_exactly_one_part_of_the_fleet(vehicle_id: str) -> None:
    check_vehicle_id(vehicle_id)
    parts = [part for part in SHARD_RANGES if part.first <= shard(vehicle_id) < part.before]
    assert len(parts) == 1


def test_vehicles_spread_evenly() -> None:
    counts = Counter(shard(f"vehicle-{number}") for number in range(40_960))
    assert len(counts) > 4090
    assert max(counts.values()) < 40


def test_a_shard_never_changes() -> None:
    """It is in the keys of everything that is stored."""
    assert shard("vehicle-1") == "a06"


def test_a_service_token_names_its_resource_and_end() -> None:
    token = service_token("hub.example:8443", "iothubowner", "a2V5", datetime(2026, 1, 1, tzinfo=UTC))
    kind, _, fields = token.partition(" ")
    parts = dict(field.split("=", 1) for field in fields.split("&"))
    assert kind == "SharedAccessSignature"
    assert unquote(parts["sr"]) == "hub.example:8443"
    assert parts["se"] == "1767225600"
    assert parts["skn"] == "iothubowner"
