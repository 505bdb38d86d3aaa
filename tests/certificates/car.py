"""A car as far as its certificates go: keys, requests, proofs, and its identity at the hub."""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localcloud.pki import Pki, issue_device_certificate
from shared.identity.caller import Caller
from shared.messaging import vehicle_link
from shared.messaging.device_messages import DeviceMessage
from shared.messaging.parking import Origin

HUB = "certificate-events"


def new_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def make_csr(key: Any, *names: str, alternatives: tuple[x509.GeneralName, ...] = (), digest: Any = None) -> str:
    """A request with these common names and alternative names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return to_pem(builder.sign(key, digest or hashes.SHA256()))


def to_pem(thing: x509.Certificate | x509.CertificateSigningRequest) -> str:
    return thing.public_bytes(serialization.Encoding.PEM).decode()


def thumbprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex().upper()


class Car:
    """A car with a factory certificate that expires in ten days."""

    def __init__(self, pki: Pki) -> None:
        self.vehicle_id = f"veh-{secrets.token_hex(8)}"
        self.key = new_key()
        now = datetime.now(UTC)
        self.certificate = issue_device_certificate(
            pki,
            self.vehicle_id,
            self.key.public_key(),
            not_before=now - timedelta(days=80),
            not_after=now + timedelta(days=10),
        )
        self._messages = 0

    async def exists(self) -> None:
        """Registers the car at the hub with its factory certificate."""
        thumbprints = {"primaryThumbprint": thumbprint(self.certificate), "secondaryThumbprint": None}
        identity = {
            "deviceId": self.vehicle_id,
            "status": "enabled",
            "authentication": {"type": "selfSigned", "x509Thumbprint": thumbprints},
        }
        await vehicle_link._call("PUT", f"/devices/{self.vehicle_id}", identity)

    def csr(self, key: ec.EllipticCurvePrivateKey) -> str:
        return make_csr(key, self.vehicle_id)

    async def told(self) -> dict[str, Any]:
        """What the twin tells the car about its certificate."""
        desired = await vehicle_link.desired(self.vehicle_id)
        found: dict[str, Any] = desired.properties.get("certificate") or {}
        return found

    async def accepted(self) -> set[str]:
        """Thumbprints of the certificates that the hub lets the car connect with."""
        known = await vehicle_link.thumbprints(self.vehicle_id)
        return {known.primary} | ({known.secondary} if known.secondary else set())

    def asks(self, rotation_id: str, key: ec.EllipticCurvePrivateKey, **changes: Any) -> DeviceMessage:
        return self.says({"kind": "csr", "rotation_id": rotation_id, "csr": self.csr(key)} | changes)

    def proves(self, told: dict[str, Any], key: ec.EllipticCurvePrivateKey, **changes: Any) -> DeviceMessage:
        signed = f"{told['rotation_id']}.{told['nonce']}".encode()
        signature = base64.b64encode(key.sign(signed, ec.ECDSA(hashes.SHA256()))).decode()
        return self.says({"kind": "proof", "rotation_id": told["rotation_id"], "signature": signature} | changes)

    def says(self, body: dict[str, Any] | bytes) -> DeviceMessage:
        self._messages += 1
        arrived_at = datetime.now(UTC)
        encoded = body if isinstance(body, bytes) else msgspec.json.encode({"v": 1} | body)
        origin = Origin(HUB, f"{self.vehicle_id}/{self._messages}", arrived_at, self.vehicle_id)
        return DeviceMessage(Caller(self.vehicle_id, "1"), encoded, arrived_at, "0", self._messages, origin)
