"""What a consumer decides on a delivery, read from a delivery state (OASIS AMQP 1.0, part 3, section 3.4)."""

from typing import Any, Final
from uuid import UUID

from localcloud.broker.delivery import Outcome, Settlement
from localcloud.broker.wire.amqp_types import Described, Encoded
from localcloud.broker.wire.performatives import ACCEPTED, MODIFIED, REJECTED, RELEASED, delivery_state_code, text

REASON: Final = "DeadLetterReason"
DESCRIPTION: Final = "DeadLetterErrorDescription"


def parse_settlement(state: Described) -> Settlement | None:
    """What a terminal delivery state decides; None for a state that is not terminal. Raises Malformed."""
    fields: list[Any] = state.value if isinstance(state.value, list) else []
    fields = fields + [None] * (3 - len(fields))
    code = delivery_state_code(state)
    if code == ACCEPTED:
        return Settlement(Outcome.COMPLETED)
    if code == RELEASED:
        return Settlement(Outcome.RELEASED)
    if code == MODIFIED:
        _, undeliverable_here, changes = fields[:3]
        return Settlement(Outcome.DEFERRED if undeliverable_here else Outcome.ABANDONED, parse_changes(changes))
    if code == REJECTED:
        return Settlement(Outcome.DEAD_LETTERED, _of_dead_letter(fields[0]))
    return None


def parse_changes(changes: Any) -> dict[str, Any]:
    """The application properties that a settlement adds or replaces; what cannot be one is left out. Raises Malformed.

    SDKs call them "properties to modify" and send them as annotations.
    """
    if not isinstance(changes, dict):
        return {}
    return {text(key) or "": value for key, value in changes.items() if _is_simple(value)}


def with_reasons(changes: dict[str, Any], reason: str | None, description: str | None) -> dict[str, Any]:
    """The properties of a dead letter with those of its reasons that there are."""
    given = {REASON: reason, DESCRIPTION: description}
    return changes | {key: value for key, value in given.items() if value is not None}


def _of_dead_letter(error: Any) -> dict[str, Any]:
    if not isinstance(error, Described) or not isinstance(error.value, list) or len(error.value) < 3:
        return {}
    changes = parse_changes(error.value[2])
    return with_reasons(changes, text(changes.pop(REASON, None)), text(changes.pop(DESCRIPTION, None)))


def _is_simple(value: Any) -> bool:
    """Whether it is of a type that application properties have, in a form that can be sent on."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str | bytes | float | UUID | Encoded)
