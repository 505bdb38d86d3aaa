"""The cloud's side of a rotation, and a link to it without a network, for tests of the vehicle's side alone."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.fleet.identity import Credential, certificate_to_pem, thumbprint
from localcloud.fleet.link import CredentialSource, HubRefusedError, MessageType, Twin
from localcloud.pki import Pki, issue_device_certificate
from tests.fleet.power import PowerSwitch

NONCE = "bm9uY2U"


def issue(pki: Pki, vehicle_id: str, csr_pem: str) -> x509.Certificate:
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    assert csr.is_signature_valid
    now = datetime.now(UTC)
    not_before, not_after = now - timedelta(hours=1), now + timedelta(days=90)
    return issue_device_certificate(pki, vehicle_id, csr.public_key(), not_before=not_before, not_after=not_after)


def issued(pki: Pki, rotation_id: str, certificate: x509.Certificate) -> dict[str, Any]:
    """The desired property `certificate` that delivers one."""
    return {
        "rotation_id": rotation_id,
        "phase": "issued",
        "certificate": certificate_to_pem(certificate).decode(),
        "issuer": pki.issuing.read_text(),
        "nonce": NONCE,
    }


def check_proof(certificate: x509.Certificate, proof: Mapping[str, Any]) -> None:
    """Raises `InvalidSignature` unless the certificate's key signed id and nonce."""
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = f"{proof['rotation_id']}.{NONCE}".encode()
    key.verify(base64.b64decode(proof["signature"]), signed, ec.ECDSA(hashes.SHA256()))


class RotatingCloud:
    """Leads one vehicle through one rotation, and is strict about who may connect."""

    def __init__(self, pki: Pki, vehicle_id: str, current: x509.Certificate, rotation_id: str = "r1") -> None:
        self._pki = pki
        self._vehicle_id = vehicle_id
        self._rotation_id = rotation_id
        self.accepted = {thumbprint(current)}
        self.certificate: x509.Certificate | None = None
        self.desired: dict[str, Any] = {"rotation_id": rotation_id, "phase": "offered"}

    def receive(self, message: Mapping[str, Any], sent_with: x509.Certificate) -> None:
        assert message["v"] == 1
        assert message["rotation_id"] == self._rotation_id
        if message["kind"] == "csr" and self.desired["phase"] == "offered":
            self.certificate = issue(self._pki, self._vehicle_id, message["csr"])
            self.accepted.add(thumbprint(self.certificate))
            self.desired = issued(self._pki, self._rotation_id, self.certificate)
        elif message["kind"] == "proof" and self.desired["phase"] == "issued":
            assert self.certificate is not None
            assert sent_with == self.certificate, "the proof came over a connection with the old certificate"
            check_proof(self.certificate, message)
            self.accepted = {thumbprint(self.certificate)}
            self.desired = {"rotation_id": self._rotation_id, "phase": "completed"}


class DirectLink:
    """A `HubLink` that is a function call away from the cloud; everything is as on a real one but the network."""

    def __init__(self, cloud: RotatingCloud, credentials: CredentialSource, power: PowerSwitch | None = None) -> None:
        self.credential: Credential | None = None
        self._cloud = cloud
        self._credentials = credentials
        self._power = power or PowerSwitch()
        self.connections = 0

    async def connect(self) -> None:
        for credential in self._credentials():
            if thumbprint(credential.certificate) in self._cloud.accepted:
                self.credential = credential
                self.connections += 1
                return
        raise HubRefusedError("locked out")

    async def reconnect(self) -> None:
        await self.connect()

    async def send(self, message_type: MessageType, body: bytes) -> None:
        assert message_type == MessageType.CERTIFICATE
        assert self.credential is not None
        self._power.moment()
        self._cloud.receive(msgspec.json.decode(body), self.credential.certificate)
        self._power.moment()

    async def get_twin(self) -> Twin:
        raise NotImplementedError("not asked for here")

    async def report(self, properties: Mapping[str, Any]) -> None:
        raise NotImplementedError("not asked for here")

    async def close(self) -> None:
        self.credential = None
