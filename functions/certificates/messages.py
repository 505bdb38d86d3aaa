"""What this job says, to itself and to others. The id of a message is made of what it tells, so that it is the same
whenever the same fact is told again.
"""

import hashlib
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from functions.certificates.rotation import Credentials
from shared.clock import to_epoch_ms
from shared.identity.vehicle import ShardRange
from shared.messaging.contracts import CertificateRotated, Message, to_envelope
from shared.messaging.envelope import Envelope

SOURCE = "certificates"


class ScanShards(Message, frozen=True, kw_only=True):
    """Attend to what is due in one part of the fleet: shards that start with the digit `part`.

    A part with more than one message should do is scanned in rounds.
    """

    scan_id: str
    part: Annotated[str, Meta(pattern=r"^[0-9a-f]\Z")]
    round: int = 1


def scan_id(command: Envelope) -> str:
    """The id of the scan that a command starts. Hashed, because message ids, of any length, are made of it."""
    return f"scan-{hashlib.sha256(command.id.encode()).hexdigest()[:32]}"


def scan_shards(scan_id: str, part: ShardRange, now: datetime, *, round_: int = 1) -> Envelope:
    message = ScanShards(scan_id=scan_id, part=part.digit, round=round_)
    return to_envelope(
        message,
        message_id=f"{scan_id}-{part.digit}-{round_}",
        source=SOURCE,
        subject=part.digit,
        time_ms=to_epoch_ms(now),
    )


def certificate_rotated(before: Credentials, after: Credentials, now: datetime) -> Envelope:
    """That `after` has retired what was current `before`."""
    assert after.rotation is not None
    message = CertificateRotated(
        vehicle_id=after.vehicle_id,
        rotation_id=after.rotation.rotation_id,
        serial=after.current.serial,
        retired_serial=before.current.serial,
    )
    return to_envelope(
        message,
        message_id=f"CertificateRotated-{message.rotation_id}",
        source=SOURCE,
        subject=after.vehicle_id,
        time_ms=to_epoch_ms(now),
    )
