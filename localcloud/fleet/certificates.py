"""Changing the certificate without ever being without one.

The new certificate is stored before it is used, used before it is proven, and the old one goes only when the cloud says
that the proof has arrived. Each step may be repeated, and the vehicle may lose its power between any two.
"""

import asyncio
import base64
import itertools
import logging
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localcloud.clock import Clock
from localcloud.fleet.garage import Garage, PendingRotation
from localcloud.fleet.identity import (
    Credential,
    certificate_to_pem,
    key_from_pem,
    key_to_pem,
    new_key,
    signing_request,
)
from localcloud.fleet.link import HubLink, MessageType

_log = logging.getLogger(__name__)


class CertificateWish(msgspec.Struct, frozen=True):
    """The desired property `certificate`."""

    rotation_id: str
    phase: Literal["offered", "issued", "completed", "refused"]
    certificate: str | None = None
    issuer: str | None = None
    nonce: str | None = None
    reason: str | None = None


class UnacceptableCertificateError(Exception):
    """The cloud issued a certificate that is not for this vehicle's key and name, or not good now."""


class CertificateRotation:
    """Fulfils the cloud's wishes about the certificate."""

    def __init__(
        self,
        garage: Garage,
        link: HubLink,
        clock: Clock,
        *,
        first_retry_s: float,
        longest_retry_s: float,
    ) -> None:
        self._garage = garage
        self._link = link
        self._clock = clock
        self._first_retry_s = first_retry_s
        self._longest_retry_s = longest_retry_s

    async def react(self, desired: Mapping[str, Any]) -> None:
        """Raises `msgspec.ValidationError` for a wish that makes no sense, `HubUnreachableError`."""
        wish = msgspec.convert(desired, CertificateWish)
        match wish.phase:
            case "offered":
                await self._request(wish.rotation_id)
            case "issued":
                await self._take(wish)
            case "completed":
                self._complete(wish.rotation_id)
            case "refused":
                self._give_up(wish)

    async def _request(self, rotation_id: str) -> None:
        rotation = self._pending(rotation_id)
        if rotation is None:
            key = new_key()
            csr = signing_request(key, self._garage.vehicle_id)
            rotation = PendingRotation(rotation_id, key_to_pem(key).decode(), csr)
            self._garage.keep_rotation(rotation)
        await self._send({"kind": "csr", "rotation_id": rotation_id, "csr": rotation.csr})

    async def _take(self, wish: CertificateWish) -> None:
        rotation = self._pending(wish.rotation_id)
        if rotation is None:  # its disk was replaced meanwhile: the certificate is of no use without the key
            await self._request(wish.rotation_id)
            return
        key = key_from_pem(rotation.key.encode())
        try:
            issuer, certificate = self._check(wish, key)
        except UnacceptableCertificateError as error:
            _log.warning("the issued certificate is not acceptable: %s", error)
            return
        await self._use(key, certificate, issuer)
        signature = key.sign(f"{wish.rotation_id}.{wish.nonce}".encode("ascii"), ec.ECDSA(hashes.SHA256()))
        proof = base64.b64encode(signature).decode()
        await self._send({"kind": "proof", "rotation_id": wish.rotation_id, "signature": proof})

    def _check(
        self, wish: CertificateWish, key: ec.EllipticCurvePrivateKey
    ) -> tuple[x509.Certificate, x509.Certificate]:
        """Issuer and certificate, if they are good for this vehicle."""
        if not (wish.certificate and wish.issuer and wish.nonce and wish.nonce.isascii()):
            raise UnacceptableCertificateError("certificate, issuer or nonce is missing")
        try:
            certificate = x509.load_pem_x509_certificate(wish.certificate.encode())
            issuer = x509.load_pem_x509_certificate(wish.issuer.encode())
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise UnacceptableCertificateError(f"it is not what its issuer signed: {error}") from error
        if certificate.public_key() != key.public_key():
            raise UnacceptableCertificateError("it is for another key")
        names = [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [self._garage.vehicle_id]:
            raise UnacceptableCertificateError("it is for another vehicle")
        if not certificate.not_valid_before_utc <= self._clock() <= certificate.not_valid_after_utc:
            raise UnacceptableCertificateError("it is not valid now")
        return issuer, certificate

    async def _use(
        self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> None:
        """Returns when the vehicle is connected with the certificate. As long as the hub refuses that, the link falls
        back to the old one, and this tries again, ever more seldom.
        """
        if not any(known.certificate == certificate for known in self._garage.credentials()):
            pem = key_to_pem(key) + certificate_to_pem(certificate) + certificate_to_pem(issuer)
            self._garage.keep_next_identity(pem, in_use=self._link.credential)
        for attempt in itertools.count():
            if _is_in_use(certificate, self._link.credential):
                return
            if attempt:
                await asyncio.sleep(min(self._longest_retry_s, self._first_retry_s * 2 ** (attempt - 1)))
            await self._link.reconnect()

    def _complete(self, rotation_id: str) -> None:
        if self._pending(rotation_id) is not None:
            self._garage.adopt_next_identity()
            self._garage.drop_rotation()

    def _give_up(self, wish: CertificateWish) -> None:
        if self._pending(wish.rotation_id) is not None:
            _log.warning("the certificate request was refused: %s", wish.reason)
            self._garage.drop_rotation()

    def _pending(self, rotation_id: str) -> PendingRotation | None:
        rotation = self._garage.pending_rotation()
        return rotation if rotation is not None and rotation.rotation_id == rotation_id else None

    async def _send(self, message: Mapping[str, str]) -> None:
        await self._link.send(MessageType.CERTIFICATE, msgspec.json.encode({"v": 1, **message}))


def _is_in_use(certificate: x509.Certificate, credential: Credential | None) -> bool:
    return credential is not None and credential.certificate == certificate
