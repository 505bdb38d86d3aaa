"""Which certificates a vehicle may be enrolled with: those that our own authority signed, in its name."""

from cryptography import x509
from cryptography.x509.oid import NameOID

from shared.errors import Rejected


def check(pem: str, vehicle_id: str, issuer: x509.Certificate) -> x509.Certificate:
    """The certificate. Raises `Rejected` if it is unreadable, not by this issuer or not the vehicle's."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        names = [(name.oid, name.value) for name in certificate.subject]
        certificate.public_key()
    except Exception as error:  # what is wrong with hostile bytes has many names, none of them ours
        raise Rejected("bad-certificate", f"the certificate cannot be read: {type(error).__name__}") from error
    if names != [(NameOID.COMMON_NAME, vehicle_id)]:
        raise Rejected("foreign-certificate", "the certificate's subject is not just the vehicle's id as CN")
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception as error:  # three kinds of error, all meaning no
        raise Rejected("foreign-issuer", "the certificate is not signed by our issuing CA") from error
    return certificate
