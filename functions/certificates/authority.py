"""The issuing CA: its certificate and key, and the signature of vehicles' certificates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.certificates import profile
from shared.errors import Misconfigured
from shared.settings import settings

# A text in a twin has at most 4 KB: https://learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins.
MAX_CHAIN_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA with its key in memory. `chain` is its certificate, followed by those above it if it was given them."""

    chain: Sequence[x509.Certificate]
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def chain_pem(self) -> str:
        return "".join(pem(certificate) for certificate in self.chain)

    def sign(
        self, vehicle_id: str, key: ec.EllipticCurvePublicKey, *, now: datetime, validity: timedelta
    ) -> x509.Certificate:
        """A new certificate for the vehicle's key. Raises `Misconfigured` if the CA has expired."""
        if self.certificate.not_valid_after_utc <= now:
            raise Misconfigured("the issuing CA's certificate has expired")
        serial = x509.random_serial_number()
        unsigned = profile.leaf(vehicle_id, key, self.certificate, serial=serial, now=now, validity=validity)
        return unsigned.sign(self.key, hashes.SHA384() if self.key.key_size > 256 else hashes.SHA256())


def authority() -> Authority:
    """The issuing CA of the settings. Raises `Misconfigured` if its files make no sense."""
    return load(settings().issuing_ca_certificate_file, settings().issuing_ca_key_file)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@cache
def load(certificate_file: Path, key_file: Path) -> Authority:
    """The issuing CA in these PEM files, read once. Raises `Misconfigured` if they make no sense."""
    try:
        chain = x509.load_pem_x509_certificates(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Misconfigured(f"the issuing CA's files cannot be read: {type(error).__name__}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Misconfigured("the issuing CA's key is no elliptic-curve key")
    if chain[0].public_key() != key.public_key():
        raise Misconfigured("the issuing CA's key does not belong to its certificate")
    loaded = Authority(chain, key)
    if len(loaded.chain_pem) > MAX_CHAIN_LENGTH:
        raise Misconfigured(f"the issuing CA's chain has more than {MAX_CHAIN_LENGTH} characters, too many for a twin")
    return loaded
