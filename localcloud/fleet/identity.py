"""Who a vehicle is: its key and certificate, in one PEM file so that they can only change together."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and where it lies together with its key."""

    pem_file: Path
    certificate: x509.Certificate

    @classmethod
    def load(cls, pem_file: Path) -> "Credential":
        """Raises `OSError` and `ValueError` if the file is absent or holds no certificate."""
        return cls(pem_file, x509.load_pem_x509_certificate(pem_file.read_bytes()))

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    def has_same_certificate(self, other: "Credential | None") -> bool:
        return other is not None and self.certificate == other.certificate


def new_key() -> ec.EllipticCurvePrivateKey:
    """P-256: what the key vaults of the cloud and the secure elements of cars have in common."""
    return ec.generate_private_key(ec.SECP256R1())


def signing_request(key: ec.EllipticCurvePrivateKey, vehicle_id: str) -> str:
    """A PKCS #10 request (RFC 2986) in PEM, subject CN = vehicle id."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, vehicle_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_from_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Raises `ValueError` for anything but an elliptic-curve key."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("this is no elliptic-curve key")  # noqa: TRY004 - the file's content is at fault
    return key


def certificate_to_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate in upper-case hex, as the hub's registry keeps it."""
    return certificate.fingerprint(hashes.SHA256()).hex().upper()
