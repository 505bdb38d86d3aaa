"""What a consumer may say when it settles a message; the effects are seen through @azure/service-bus."""

from typing import Any

import pytest

from localcloud.broker.delivery import Outcome, Settlement
from localcloud.broker.settlements import parse_changes, parse_settlement
from localcloud.broker.wire.amqp_types import Described, Symbol, Timestamp, ULong
from localcloud.broker.wire.performatives import MODIFIED, REJECTED


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ([True], Outcome.ABANDONED),
        ([True, False, {Symbol("step"): 2}], Outcome.ABANDONED),
        ([True, True], Outcome.DEFERRED),
        ([True, True, {Symbol("step"): 2}], Outcome.DEFERRED),
    ],
)
def test_who_abandons_or_defers_may_change_application_properties(fields: list[Any], outcome: Outcome) -> None:
    changes = {"step": 2} if len(fields) == 3 else {}
    assert parse_settlement(Described(ULong(MODIFIED), fields)) == Settlement(outcome, changes)


def test_a_dead_letter_has_reasons_and_other_properties() -> None:
    """A reason may be any text that AMQP has; none is no property."""
    info = {Symbol("DeadLetterReason"): b"why", Symbol("DeadLetterErrorDescription"): None, "when": Timestamp(7)}
    error = Described(ULong(0x1D), [Symbol("com.microsoft:dead-letter"), None, info])
    expected = Settlement(Outcome.DEAD_LETTERED, {"DeadLetterReason": "why", "when": Timestamp(7)})
    assert parse_settlement(Described(ULong(REJECTED), [error])) == expected
    assert parse_settlement(Described(ULong(REJECTED), [])) == Settlement(Outcome.DEAD_LETTERED)


@pytest.mark.parametrize("changes", [None, 5, [], {"list": [1]}, {"map": {}}, {"large": 2**63}])
def test_what_cannot_be_an_application_property_is_left_out(changes: Any) -> None:
    assert parse_changes(changes) == {}
