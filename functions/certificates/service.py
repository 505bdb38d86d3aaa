"""The rotation of vehicles' certificates, from the scan that finds what is due to the proof that retires the old one.

State is written before its effects on the IoT Hub and the twin. The effects follow from the state alone, so whoever
meets the state again (a redelivered message, the next scan) can carry them out again.
"""

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from functions.certificates import messages, reports, rotation, store
from functions.certificates.messages import ScanShards
from functions.certificates.reports import CsrSent, ProofSent
from functions.certificates.rotation import ENROLMENT, Credentials, Issued, KeyUse, KeyVerdict, Phase
from functions.certificates.store import Stored
from shared.clock import Clock, to_epoch_ms, utc_now
from shared.conflicts import decided
from shared.errors import Conflict, Rejected
from shared.identity.vehicle import SHARD_RANGES, ShardRange, check_vehicle_id
from shared.messaging import device_messages, publisher, vehicle_link
from shared.messaging.contracts import EnrolCertificate, Message, RotateCertificates, decode
from shared.messaging.device_messages import DeviceMessage
from shared.messaging.envelope import Envelope
from shared.messaging.parking import Origin
from shared.messaging.publisher import Outgoing
from shared.messaging.vehicle_link import Thumbprints
from shared.settings import CERTIFICATE_COMMANDS, DOMAIN_EVENTS, settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

log = logging.getLogger(__name__)
_headway = set[Origin]()

SCAN_LIMIT = 500  # vehicles for one message, so that it is done well within its lock
_DECISIONS = 4  # so often a decision is made anew when someone else was faster


# --- From the factory


async def _enrol(command: EnrolCertificate, sent_at: datetime) -> None:
    from functions.certificates import enrolment, profile
    from functions.certificates.authority import authority
    from functions.certificates.csr import check_owner

    vehicle_id = check_vehicle_id(command.vehicle_id)
    certificate = enrolment.check(command.certificate, vehicle_id, authority().certificate)
    renew_at = rotation.renewal_time(certificate.not_valid_after_utc, _renew_before())
    described = profile.describe(certificate, renew_at)
    stored = await store.load(vehicle_id)
    credentials = rotation.enrol(stored.credentials if stored else None, vehicle_id, described, sent_at)
    if credentials is None:
        log.info("certificates: an enrolment changed nothing")
        return
    use = KeyUse(vehicle_id, f"{ENROLMENT} {to_epoch_ms(sent_at)}")
    first = await store.claim_key(described.key, use)
    check_owner(first, vehicle_id)
    if stored and first != use and described.key != stored.credentials.current.key:
        # The hub refuses it by now: taken for the current one it would stop every rotation.
        raise Rejected("key-given-up", "the vehicle had a certificate for this key before and has given it up")
    await store.save(credentials, stored.etag if stored else None)


# --- What is due


async def start_scan(scan_id: str | None = None, *, clock: Clock = utc_now) -> None:
    """Attends to the whole fleet, its parts side by side. Raises `Unavailable`."""
    now = clock()
    scan_id = scan_id or f"scan-{to_epoch_ms(now)}"
    scans = [messages.scan_shards(scan_id, part, now) for part in SHARD_RANGES]
    await publisher.send([Outgoing(CERTIFICATE_COMMANDS, scan) for scan in scans])


async def obey(envelope: Envelope, *, clock: Clock = utc_now) -> None:
    """Handles a command of the job's queue. Raises `Rejected`, `Conflict`, `Unavailable`."""
    command: Message = decode(envelope, EnrolCertificate, RotateCertificates, ScanShards)
    match command:
        case EnrolCertificate():
            await _enrol(command, envelope.time)
        case RotateCertificates():
            await start_scan(messages.scan_id(envelope), clock=clock)
        case ScanShards():
            await _scan(command, clock)


async def _scan(scan: ScanShards, clock: Clock) -> None:
    part = ShardRange(scan.part)
    due = await store.due(part, clock(), SCAN_LIMIT)
    for stored in due:
        try:
            await _attend(stored, clock())
        except Conflict:
            log.info("certificates: someone else attended to a vehicle at the same time")
        except Rejected as reason:
            log.warning("certificates: a rotation does not get on: %s", reason.code)
    if len(due) == SCAN_LIMIT:
        following = messages.scan_shards(scan.scan_id, part, clock(), round_=scan.round + 1)
        await publisher.send([Outgoing(CERTIFICATE_COMMANDS, following)])


async def _attend(stored: Stored, now: datetime) -> None:
    attended = rotation.attend(stored.credentials, now)
    if attended is not None:
        await _carry_out(await store.save(attended, stored.etag), now)


# --- What vehicles say


async def hear(batch: Sequence[DeviceMessage], *, clock: Clock = utc_now) -> None:
    """Handles a batch of vehicles' messages. Raises `Unavailable` and, rarely, `Conflict`."""
    await device_messages.handle_each(batch, partial(_hear, clock=clock), headway=_headway)


async def _hear(message: DeviceMessage, clock: Clock) -> None:
    report = reports.decode(message.body)
    message.caller.must_be(report.vehicle_id)
    vehicle_id = message.caller.vehicle_id
    match report:
        case CsrSent():
            await decided(lambda: _answer_request(vehicle_id, report, clock()), attempts=_DECISIONS)
        case ProofSent():
            await decided(lambda: _accept_proof(vehicle_id, report, clock()), attempts=_DECISIONS)


async def _answer_request(vehicle_id: str, report: CsrSent, now: datetime) -> None:
    from functions.certificates import csr
    from functions.certificates.csr import Applicant
    from functions.certificates.profile import key_fingerprint

    stored = await _load(vehicle_id)
    current = stored.credentials.find(report.rotation_id)
    if current.phase in {Phase.PROVEN, Phase.COMPLETED}:
        await _late(stored, now)
        return
    try:
        key = csr.check(report.csr, Applicant(vehicle_id, stored.credentials.current.key))
        fingerprint = key_fingerprint(key)
        verdict = rotation.judge_key(current, fingerprint)
        if verdict is KeyVerdict.NEW:
            wanted = KeyUse(vehicle_id, report.rotation_id)
            csr.check_first_use(await store.claim_key(fingerprint, wanted), wanted)
    except Rejected as reason:
        await _refuse(stored, reason, now)
        raise
    match verdict:
        case KeyVerdict.NEW:
            issued = rotation.issue(stored.credentials, _sign(vehicle_id, key, now), now)
            await _carry_out(await store.save(issued, stored.etag), now)
        case KeyVerdict.KNOWN:
            await _carry_out(stored, now)
        case KeyVerdict.LATE:
            await _late(stored, now)


async def _refuse(stored: Stored, reason: Rejected, now: datetime) -> None:
    """Lets the vehicle know, unless it has a certificate already."""
    refused = rotation.refuse(stored.credentials, reason, now)
    if refused is not None:
        await _carry_out(await store.save(refused, stored.etag), now)


def _sign(vehicle_id: str, key: "EllipticCurvePublicKey", now: datetime) -> Issued:
    from functions.certificates import profile
    from functions.certificates.authority import authority, pem

    issuer = authority()
    validity = timedelta(days=settings().certificate_validity_days)
    certificate = issuer.sign(vehicle_id, key, now=now, validity=validity)
    renew_at = rotation.renewal_time(certificate.not_valid_after_utc, _renew_before(), certificate.not_valid_before_utc)
    return Issued(
        certificate=profile.describe(certificate, renew_at),
        pem=pem(certificate),
        issuer_pem=issuer.chain_pem,
        nonce=secrets.token_urlsafe(32),
    )


async def _accept_proof(vehicle_id: str, report: ProofSent, now: datetime) -> None:
    from functions.certificates import proof

    stored = await _load(vehicle_id)
    current = stored.credentials.find(report.rotation_id)
    match current.phase:
        case Phase.OFFERED | Phase.REFUSED:
            raise Rejected("nothing-to-prove", "no certificate was issued in this rotation yet")
        case Phase.ISSUED:
            proof.check(current, report.signature)
            await _carry_out(await store.save(rotation.prove(stored.credentials, now), stored.etag), now)
        case Phase.PROVEN | Phase.COMPLETED:
            await _late(stored, now)


async def _late(stored: Stored, now: datetime) -> None:
    """A message that changes nothing; but the one before it may have been cut short."""
    log.info("certificates: a late message changed nothing")
    if stored.credentials.under_way.phase is Phase.PROVEN:
        await _carry_out(stored, now)
    else:
        await store.flush(stored.credentials.vehicle_id)


# --- What follows from the state


async def _carry_out(stored: Stored, now: datetime) -> None:
    """Makes the hub and the twin what the state says. Raises `Conflict`, `Unavailable`, `Rejected` by the hub.

    If the state has moved on meanwhile, its newer effects may have come before these: they get the last word.
    """
    while True:
        vehicle_id = stored.credentials.vehicle_id
        await _accept(stored.credentials)
        await vehicle_link.set_desired(vehicle_id, {"certificate": rotation.desired(stored.credentials)})
        if stored.credentials.under_way.phase is Phase.PROVEN:
            await _complete(stored, now)
            return
        latest = await store.load(vehicle_id)
        if latest is None or latest.etag == stored.etag or latest.credentials.rotation is None:
            return
        stored = latest


async def _accept(credentials: Credentials) -> None:
    accepted = rotation.accepted(credentials)
    if accepted is None:
        return
    wanted = Thumbprints(*accepted)
    known = await vehicle_link.thumbprints(credentials.vehicle_id)
    if wanted.secondary and wanted.primary not in {known.primary.upper(), (known.secondary or "").upper()}:
        # Going on would shut out a vehicle that connects with something that we know nothing of.
        raise Rejected("foreign-identity", "the IoT Hub accepts another certificate than the one that was enrolled")
    await vehicle_link.allow_certificates(credentials.vehicle_id, wanted)


async def _complete(stored: Stored, now: datetime) -> None:
    after = rotation.complete(stored.credentials)
    event = messages.certificate_rotated(stored.credentials, after, now)
    await store.save(after, stored.etag, [Outgoing(DOMAIN_EVENTS, event)])
    await store.flush(after.vehicle_id)


async def _load(vehicle_id: str) -> Stored:
    stored = await store.load(vehicle_id)
    if stored is None:
        raise Rejected("not-enrolled", "no certificate of this vehicle is known")
    return stored


def _renew_before() -> timedelta:
    return timedelta(days=settings().certificate_renew_before_days)
