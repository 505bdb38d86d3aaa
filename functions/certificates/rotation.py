"""The rotation of a vehicle's certificate: a state machine without I/O.

Rules
1. At every moment the vehicle can connect with something that it holds durably: the new certificate is accepted before
   the vehicle gets it, and the old one is refused only after the vehicle has proved the new one.
2. A rotation only moves forward: offered → (refused →) issued → proven → completed. What comes late changes nothing.
   One that cannot get on (refused) is followed by another attempt, with another id.
3. A rotation's id follows from what it replaces and the attempt, so deciding twice offers once.
4. The same key gets the same certificate, however often it asks. A key that the vehicle gave up never comes back.
5. What waits for a vehicle, or was cut short by a crash, is taken up again at `attend_at`, later each time.
"""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from shared.clock import to_epoch_ms
from shared.errors import Rejected

FIRST_REMINDER = timedelta(minutes=5)
LAST_REMINDER = timedelta(days=1)  # a parked car reads the twin when it wakes: more often would help nobody
NEXT_ATTEMPT = timedelta(days=1)  # after a refusal
MAX_LOST_KEYS = 8  # a vehicle that loses more keys in one rotation has to wait for the next
ENROLMENT = "enrolment"
_TOO_MANY_KEYS = "too-many-keys"


class Phase(StrEnum):
    OFFERED = "offered"  # the vehicle shall send a CSR
    REFUSED = "refused"  # its CSR was not acceptable; a better one still is
    ISSUED = "issued"  # old and new certificate are accepted
    PROVEN = "proven"  # the vehicle has signed with the new key; the old one is being retired
    COMPLETED = "completed"  # only the new one is accepted


class KeyVerdict(StrEnum):
    """What a CSR's key means for a rotation that is open."""

    NEW = "new"
    KNOWN = "known"  # it has its certificate already
    LATE = "late"  # the vehicle has moved on to another key since


class KeyUse(msgspec.Struct, frozen=True):
    """The first use of a public key in the whole fleet: by which vehicle, and for what."""

    vehicle_id: str
    purpose: str  # a rotation's id, or `ENROLMENT` and its time


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What matters about a vehicle's certificate. `thumbprint` (upper-case hex) and `key` are SHA-256."""

    serial: str
    thumbprint: str
    key: str  # of the public key's SubjectPublicKeyInfo
    not_after: datetime
    renew_at: datetime


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate on its way to the vehicle, and the nonce that proves its arrival."""

    certificate: Certificate
    pem: str
    issuer_pem: str
    nonce: str


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """The rotation that is under way, or the last one."""

    rotation_id: str
    attempt: int
    phase: Phase
    issued: Issued | None = None  # from `ISSUED` on
    lost_keys: tuple[str, ...] = ()
    reason: str | None = None  # of a refusal

    @property
    def pending(self) -> Issued:
        """The new certificate. Only from `ISSUED` on."""
        assert self.issued is not None
        return self.issued


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle's certificates: the one that it has, and the one that it is getting."""

    vehicle_id: str
    current: Certificate
    enrolled_at: datetime
    attend_at: datetime  # when a scan shall look at them next
    reminders: int = 0
    rotation: Rotation | None = None

    @property
    def under_way(self) -> Rotation:
        """The present rotation. Only where there is one."""
        assert self.rotation is not None
        return self.rotation

    def find(self, rotation_id: str) -> Rotation:
        """The rotation of this id. Raises `Rejected` if it is not this vehicle's present one."""
        if self.rotation is None or self.rotation.rotation_id != rotation_id:
            raise Rejected("unknown-rotation", "this vehicle has no such rotation, or a newer one")
        return self.rotation


def enrol(
    known: Credentials | None, vehicle_id: str, certificate: Certificate, sent_at: datetime
) -> Credentials | None:
    """The credentials with a certificate that was given to the vehicle by other means; None if nothing changes.

    Of several enrolments the one that was sent last holds, in whatever order and however often they arrive.
    """
    if known and (known.current.thumbprint == certificate.thumbprint or sent_at <= known.enrolled_at):
        return None
    return Credentials(vehicle_id=vehicle_id, current=certificate, enrolled_at=sent_at, attend_at=certificate.renew_at)


def renewal_time(not_after: datetime, renew_before: timedelta, not_before: datetime | None = None) -> datetime:
    """When a certificate shall be replaced.

    With `not_before`, not before half of its life is over: otherwise one whose life the issuer's own end cut short
    would be due as soon as it is issued, and so would its successor.
    """
    if not_before is not None:
        renew_before = min(renew_before, (not_after - not_before) / 2)
    return not_after - renew_before


def attend(credentials: Credentials, now: datetime) -> Credentials | None:
    """What a scan makes of the credentials, or None if nothing is due: a rotation offered or a reminder noted."""
    if now < credentials.attend_at:
        return None
    rotation = credentials.rotation
    if rotation is None or rotation.phase is Phase.COMPLETED:
        return _offer(credentials, 1, now)
    if rotation.phase is Phase.REFUSED:
        return _offer(credentials, rotation.attempt + 1, now)
    reminders = credentials.reminders + 1
    return msgspec.structs.replace(credentials, reminders=reminders, attend_at=now + _pause(reminders))


def judge_key(rotation: Rotation, key: str) -> KeyVerdict:
    """What a CSR's key means for the rotation. Raises `Rejected` if the vehicle has used up its keys."""
    if rotation.phase in {Phase.PROVEN, Phase.COMPLETED} or key in rotation.lost_keys:
        return KeyVerdict.LATE
    if rotation.issued is not None and rotation.issued.certificate.key == key:
        return KeyVerdict.KNOWN
    if len(rotation.lost_keys) >= MAX_LOST_KEYS:
        raise Rejected(_TOO_MANY_KEYS, f"the vehicle asked with more than {MAX_LOST_KEYS + 1} keys in one rotation")
    return KeyVerdict.NEW


def issue(credentials: Credentials, issued: Issued, now: datetime) -> Credentials:
    """The rotation with a certificate for a `NEW` key; one that was issued before gives way."""
    rotation = credentials.under_way
    lost = () if rotation.issued is None else (rotation.issued.certificate.key,)
    return _moved(
        credentials,
        msgspec.structs.replace(
            rotation, phase=Phase.ISSUED, issued=issued, lost_keys=rotation.lost_keys + lost, reason=None
        ),
        now + FIRST_REMINDER,
    )


def refuse(credentials: Credentials, reason: Rejected, now: datetime) -> Credentials | None:
    """The rotation with a CSR refused; None where that changes nothing.

    A bad CSR does not take back a certificate that was issued, except when the vehicle has lost too many keys: then
    the rotation starts over with the next attempt.
    """
    rotation = credentials.under_way
    match rotation.phase:
        case Phase.OFFERED:
            attend_at = now + NEXT_ATTEMPT
        case Phase.REFUSED:
            attend_at = credentials.attend_at  # however many bad CSRs follow, the next attempt comes in time
        case Phase.ISSUED if reason.code == _TOO_MANY_KEYS:
            attend_at = now + NEXT_ATTEMPT
        case _:
            return None
    refused = msgspec.structs.replace(rotation, phase=Phase.REFUSED, issued=None, reason=reason.detail)
    return _moved(credentials, refused, attend_at)


def prove(credentials: Credentials, now: datetime) -> Credentials:
    """The issued rotation after the vehicle has signed its nonce."""
    return _moved(credentials, msgspec.structs.replace(credentials.under_way, phase=Phase.PROVEN), now + FIRST_REMINDER)


def complete(credentials: Credentials) -> Credentials:
    """The proven rotation after the old certificate was retired."""
    rotation = credentials.under_way
    current = rotation.pending.certificate
    completed = msgspec.structs.replace(rotation, phase=Phase.COMPLETED)
    return _moved(msgspec.structs.replace(credentials, current=current), completed, current.renew_at)


def accepted(credentials: Credentials) -> tuple[str, str | None] | None:
    """Thumbprints that the IoT Hub shall accept, primary and secondary; None where a phase does not change them."""
    rotation = credentials.under_way
    match rotation.phase:
        case Phase.ISSUED:
            return credentials.current.thumbprint, rotation.pending.certificate.thumbprint
        case Phase.PROVEN | Phase.COMPLETED:
            return rotation.pending.certificate.thumbprint, None
        case _:
            return None


def desired(credentials: Credentials) -> dict[str, Any]:
    """The twin's desired property `certificate`, as docs/vehicle-protocol.md has it; null removes a property."""
    rotation = credentials.under_way
    issued = rotation.issued if rotation.phase is Phase.ISSUED else None
    return {
        "rotation_id": rotation.rotation_id,
        # What is proven to the cloud is completed for the vehicle.
        "phase": Phase.COMPLETED if rotation.phase is Phase.PROVEN else rotation.phase,
        "certificate": issued and issued.pem,
        "issuer": issued and issued.issuer_pem,
        "nonce": issued and issued.nonce,
        "reason": rotation.reason,
    }


def _offer(credentials: Credentials, attempt: int, now: datetime) -> Credentials:
    offered = Rotation(rotation_id=_rotation_id(credentials, attempt), attempt=attempt, phase=Phase.OFFERED)
    return _moved(credentials, offered, now + FIRST_REMINDER)


def _rotation_id(credentials: Credentials, attempt: int) -> str:
    replaced = (credentials.vehicle_id, to_epoch_ms(credentials.enrolled_at), credentials.current.serial, attempt)
    return hashlib.sha256("|".join(map(str, replaced)).encode()).hexdigest()[:32]


def _moved(credentials: Credentials, rotation: Rotation, attend_at: datetime) -> Credentials:
    return msgspec.structs.replace(credentials, rotation=rotation, reminders=0, attend_at=attend_at)


def _pause(reminders: int) -> timedelta:
    # The exponent is bounded because a timedelta is.
    return min(LAST_REMINDER, FIRST_REMINDER * (1 << min(reminders, 16)))
