"""What a person may be told by: the checks of the command that sets a recipient.

Reasons name the field and never its value, because they are logged and listed, and the values are personal.
"""

import re
from datetime import datetime
from typing import Final

from functions.notifications.decision import MUTABLE, Category, Recipient
from shared.clock import to_epoch_ms
from shared.errors import Rejected
from shared.identity.vehicle import check_vehicle_id
from shared.messaging.contracts import SetRecipient

_RECIPIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# Dot-string and domain of RFC 5321, section 4.1.2: what every mail server takes. Other domains have an ASCII form.
_ADDRESS: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART_LENGTH: Final = 64  # RFC 5321, section 4.5.3.1
_ADDRESS_LENGTH: Final = 254
_NAME_LENGTH: Final = 100
_TAG_LENGTH: Final = 64


def recipient(command: SetRecipient, sent_at: datetime) -> Recipient:
    """The recipient that the command sets. Raises `Rejected`, naming the field at fault."""
    name = command.name.strip()
    _check(bool(_RECIPIENT_ID.fullmatch(command.recipient_id)), "recipient_id", "1 to 64 of A-Z a-z 0-9 . _ -")
    _check(_is_line(name, _NAME_LENGTH), "name", f"a line of 1 to {_NAME_LENGTH} characters")
    _check(command.email is None or is_address(command.email), "email", "an address such as name@example.com, in ASCII")
    _check(_is_line(command.language, _TAG_LENGTH), "language", "a language tag such as de or en-GB")
    _check(_is_line(command.time_zone, _TAG_LENGTH), "time_zone", "an IANA time zone such as Europe/Berlin")
    mutable = ", ".join(sorted(MUTABLE))
    _check(set(command.muted) <= MUTABLE, "muted", f"categories that may be muted: {mutable}")
    return Recipient(
        vehicle_id=check_vehicle_id(command.vehicle_id),
        recipient_id=command.recipient_id,
        name=name,
        email=command.email,
        language=command.language,
        time_zone=command.time_zone,
        in_car=command.in_car,
        muted=tuple(Category(category) for category in sorted(set(command.muted))),
        set_at_ms=to_epoch_ms(sent_at),
    )


def is_address(text: str) -> bool:
    """Whether mail can be sent there, as far as its form tells."""
    local_part = text.partition("@")[0]
    return len(text) <= _ADDRESS_LENGTH and len(local_part) <= _LOCAL_PART_LENGTH and bool(_ADDRESS.fullmatch(text))


def _is_line(text: str, length: int) -> bool:
    return 0 < len(text) <= length and text.isprintable()


def _check(holds: bool, field: str, expected: str) -> None:
    if not holds:
        raise Rejected("bad-recipient", f"SetRecipient: {field} must be {expected}")
