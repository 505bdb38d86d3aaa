"""Which certificate signing requests (PKCS #10, RFC 2986) are acceptable: small checks, each with its reason.

What a request asks for beside its key is ignored: the profile alone decides what a certificate contains.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.certificates.profile import key_fingerprint
from functions.certificates.rotation import KeyUse
from shared.errors import Rejected

MAX_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks: the authenticated caller, and the key of the certificate that it has now."""

    vehicle_id: str
    current_key: str


def check(pem: str, applicant: Applicant) -> ec.EllipticCurvePublicKey:
    """The public key of an acceptable request. Raises `Rejected` with what is wrong with it."""
    request = parse(pem)
    for rule in RULES:
        rule(request, applicant)
    return _curve_key(request)


def parse(pem: str) -> x509.CertificateSigningRequest:
    """The request. Raises `Rejected` if it is too large or is none."""
    if len(pem) > MAX_BYTES:
        raise Rejected("csr-too-large", f"the CSR has {len(pem)} characters, more than {MAX_BYTES}")
    with _readable():
        return x509.load_pem_x509_csr(pem.encode())


def key_is_acceptable(request: x509.CertificateSigningRequest, _: Applicant) -> None:
    """Before the signature: verifying one by a monstrous key would be work for nothing."""
    _curve_key(request)


def signature_is_valid(request: x509.CertificateSigningRequest, _: Applicant) -> None:
    """Proof of possession: who asks has the private key."""
    with _readable():
        strong = isinstance(request.signature_hash_algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512))
        valid = strong and request.is_signature_valid
    if not strong:
        raise Rejected("csr-weak-hash", "the CSR is not signed with SHA-256, SHA-384 or SHA-512")
    if not valid:
        raise Rejected("csr-bad-signature", "the CSR's signature is not by its own key")


def subject_is_caller(request: x509.CertificateSigningRequest, applicant: Applicant) -> None:
    with _readable():
        names = [(name.oid, name.value) for name in request.subject]
    if names and names != [(NameOID.COMMON_NAME, applicant.vehicle_id)]:
        raise Rejected("csr-foreign-subject", "the CSR's subject is neither empty nor just the caller's id as CN")


def alternative_name_is_caller(request: x509.CertificateSigningRequest, applicant: Applicant) -> None:
    with _readable():
        try:
            names = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except x509.ExtensionNotFound:
            return
    if names != [x509.DNSName(applicant.vehicle_id)]:
        raise Rejected("csr-foreign-alternative-name", "the CSR's alternative name is not just the caller's id")


def key_is_new(request: x509.CertificateSigningRequest, applicant: Applicant) -> None:
    if key_fingerprint(_curve_key(request)) == applicant.current_key:
        raise Rejected("csr-current-key", "the CSR asks for the key that the vehicle has already; it needs a new one")


RULES: tuple[Callable[[x509.CertificateSigningRequest, Applicant], None], ...] = (
    key_is_acceptable,
    signature_is_valid,
    subject_is_caller,
    alternative_name_is_caller,
    key_is_new,
)


def check_owner(first: KeyUse, vehicle_id: str) -> None:
    """Raises `Rejected` if another vehicle was the first to use a key."""
    if first.vehicle_id != vehicle_id:
        raise Rejected("key-of-another-vehicle", "another vehicle has used this key: one of the two is a copy")


def check_first_use(first: KeyUse, wanted: KeyUse) -> None:
    """Raises `Rejected` if a key was used before: by another vehicle, or by this one for something else."""
    check_owner(first, wanted.vehicle_id)
    if first != wanted:
        raise Rejected("key-used-before", "the vehicle has used this key before; a rotation needs a new one")


def _curve_key(request: x509.CertificateSigningRequest) -> ec.EllipticCurvePublicKey:
    with _readable():
        key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        raise Rejected("csr-bad-key", "the CSR's key is not on the curve P-256 or P-384")
    return key


@contextmanager
def _readable() -> Iterator[None]:
    """Parts of a request are parsed when they are first looked at, and fail in many ways, all of them the sender's."""
    try:
        yield
    except Exception as error:
        raise Rejected("bad-csr", f"the CSR cannot be read: {type(error).__name__}") from error
