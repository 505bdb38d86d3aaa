"""What a vehicle's certificate contains (RFC 5280): its name, what its key may do, and for how long."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from functions.certificates.rotation import Certificate

BACKDATED = timedelta(hours=1)  # for vehicles whose clock runs slow


def leaf(
    vehicle_id: str,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    *,
    serial: int,
    now: datetime,
    validity: timedelta,
) -> x509.CertificateBuilder:
    """The certificate before its signature. It is valid from an hour ago and never outlives its issuer.

    `serial` is positive and at most 20 octets (RFC 5280, 4.1.2.2). Raises `ValueError` if the issuer has expired.
    """
    issuer_key = issuer.public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, vehicle_id)]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + validity, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNS_ONLY, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_issuer_key_identifier(issuer, issuer_key), critical=False)
    )


def describe(certificate: x509.Certificate, renew_at: datetime) -> Certificate:
    """What the rotation needs to know of a certificate."""
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        thumbprint=certificate.fingerprint(hashes.SHA256()).hex().upper(),
        key=key_fingerprint(certificate.public_key()),
        not_after=certificate.not_valid_after_utc,
        renew_at=renew_at,
    )


def key_fingerprint(key: CertificatePublicKeyTypes) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo, hex: the same however the key was encoded where it came from."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(encoded)
    return digest.finalize().hex()


def _issuer_key_identifier(issuer: x509.Certificate, key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    """The issuer's own identifier where it has one, since it need not be the hash of its key (RFC 5280, 4.2.1.1)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


_SIGNS_ONLY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
