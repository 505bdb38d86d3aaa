"""Alerts from vehicles, good and bad."""

import json
from datetime import timedelta
from typing import Any

import pytest

from functions.notifications import alerts
from shared.clock import to_epoch_ms
from shared.errors import Rejected
from tests.notifications.examples import NOW


def body(**changes: Any) -> bytes:
    alert = {"v": 1, "alarm_id": "a1", "kind": "theft", "at": to_epoch_ms(NOW), "lat": None, "lon": None}
    return json.dumps(alert | changes).encode()


def raised_at_ms(**changes: Any) -> int:
    return alerts.theft_alarm(alerts.decode(body(**changes)), NOW).raised_at_ms


def test_an_alarm_is_raised_when_the_vehicle_says() -> None:
    at = to_epoch_ms(NOW - timedelta(hours=5))
    assert raised_at_ms(at=at) == at


@pytest.mark.parametrize("at", [0, -1, to_epoch_ms(NOW + timedelta(hours=1)), 2**63, 10**30])
def test_a_clock_that_makes_no_sense_costs_no_alarm(at: int) -> None:
    assert raised_at_ms(at=at) == to_epoch_ms(NOW)


@pytest.mark.parametrize("position", [{"lat": 200, "lon": "east"}, {"lat": 48.1, "lon": 11.5}, {"lat": [[]]}])
def test_a_position_is_not_read(position: dict[str, Any]) -> None:
    assert alerts.decode(body(**position)) == alerts.decode(body())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 5_000_000, "not an alert"),
        (b'{"v": 1, "alarm_id": "a1", "kind": "theft", "at": NaN}', "malformed"),
        (body(v=2), "v"),
        (body(alarm_id=""), "alarm_id"),
        (body(alarm_id="x" * 129), "alarm_id"),
        (body(at="now"), "at"),
        (body(kind=7), "kind"),
        (body(vehicle_id=7), "vehicle_id"),
    ],
)
def test_what_is_no_alert_is_rejected_with_the_field_at_fault(given: bytes, field: str) -> None:
    with pytest.raises(Rejected, match=field) as refusal:
        alerts.decode(given)
    assert refusal.value.code == "bad-alert"


def test_an_unknown_kind_is_rejected() -> None:
    with pytest.raises(Rejected, match="'fire' is not an alert"):
        alerts.theft_alarm(alerts.decode(body(kind="fire")), NOW)
