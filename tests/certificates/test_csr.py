"""Which requests are acceptable, and why others are not."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.certificates import csr
from functions.certificates.csr import Applicant
from functions.certificates.profile import key_fingerprint
from functions.certificates.rotation import KeyUse
from shared.errors import Rejected
from tests.certificates.car import make_csr, new_key, to_pem

VEHICLE_ID = "veh-1"
CURRENT = new_key()
APPLICANT = Applicant(VEHICLE_ID, key_fingerprint(CURRENT.public_key()))
KEY = new_key()
GOOD = make_csr(KEY, VEHICLE_ID)
HEADER, FOOTER = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"


def der(pem: str) -> bytes:
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


def pem_of(body: bytes) -> str:
    return f"{HEADER}\n{base64.encodebytes(body).decode()}{FOOTER}\n"


def refusal(pem: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        csr.check(pem, APPLICANT)
    return caught.value


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=["P-256", "P-384"])
@pytest.mark.parametrize("names", [(), (VEHICLE_ID,)], ids=["no subject", "own id"])
@pytest.mark.parametrize("alternatives", [(), (x509.DNSName(VEHICLE_ID),)], ids=["no SAN", "own SAN"])
def test_a_request_in_the_callers_own_name_or_in_none_is_acceptable(
    curve: ec.EllipticCurve, names: tuple[str, ...], alternatives: tuple[x509.GeneralName, ...]
) -> None:
    key = new_key(curve)
    accepted = csr.check(make_csr(key, *names, alternatives=alternatives), APPLICANT)
    assert key_fingerprint(accepted) == key_fingerprint(key.public_key())


def test_what_is_asked_for_beside_the_key_is_ignored() -> None:
    """A wish to be a CA does no harm: the profile decides."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    csr.check(to_pem(builder.sign(KEY, hashes.SHA256())), APPLICANT)


@pytest.mark.parametrize(
    "key",
    [
        new_key(ec.SECP521R1()),
        new_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
    ids=["P-521", "secp256k1", "RSA", "Ed25519", "DSA"],
)
def test_other_keys_are_refused(key: Any) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    assert refusal(to_pem(builder.sign(key, digest))).code == "csr-bad-key"


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "no PEM",
        "\x00\udfff",
        f"{HEADER}\n{FOOTER}\n",
        pem_of(b"\x30\x00"),
        pem_of(der(GOOD)[:-1]),
        GOOD.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
    ],
    ids=["empty", "text", "not encodable", "hollow", "other DER", "cut off", "other label"],
)
def test_what_does_not_parse_is_refused(pem: str) -> None:
    assert refusal(pem).code == "bad-csr"


def test_a_huge_request_is_not_even_parsed() -> None:
    assert refusal(GOOD + " " * csr.MAX_BYTES).code == "csr-too-large"


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    """Somebody who wants a certificate for a key that is not theirs."""
    body, victim = der(GOOD), new_key()
    own, foreign = (_point(key.public_key()) for key in (KEY, victim))
    assert refusal(pem_of(body.replace(own, foreign))).code == "csr-bad-signature"


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


@pytest.mark.parametrize("digest", [hashes.SHA224(), hashes.SHA3_256()], ids=["SHA-224", "SHA3-256"])
def test_a_signature_with_an_unwanted_hash_is_refused(digest: hashes.HashAlgorithm) -> None:
    assert refusal(make_csr(KEY, VEHICLE_ID, digest=digest)).code == "csr-weak-hash"


@pytest.mark.parametrize(
    "subject",
    [
        [(NameOID.COMMON_NAME, "veh-2")],
        [(NameOID.COMMON_NAME, VEHICLE_ID.upper())],
        [(NameOID.COMMON_NAME, VEHICLE_ID), (NameOID.COMMON_NAME, VEHICLE_ID)],
        [(NameOID.COMMON_NAME, VEHICLE_ID), (NameOID.ORGANIZATION_NAME, "Cars")],
        [(NameOID.ORGANIZATION_NAME, VEHICLE_ID)],
    ],
    ids=["another", "another case", "twice", "more", "not a CN"],
)
def test_a_subject_that_is_not_just_the_caller_is_refused(subject: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(KEY, hashes.SHA256())
    assert refusal(to_pem(request)).code == "csr-foreign-subject"


@pytest.mark.parametrize(
    "names",
    [
        (x509.DNSName("veh-2"),),
        (x509.DNSName(VEHICLE_ID), x509.DNSName("veh-2")),
        (x509.RFC822Name(VEHICLE_ID),),
    ],
    ids=["another", "one more", "not a DNS name"],
)
def test_an_alternative_name_that_is_not_just_the_caller_is_refused(names: tuple[x509.GeneralName, ...]) -> None:
    assert refusal(make_csr(KEY, VEHICLE_ID, alternatives=names)).code == "csr-foreign-alternative-name"


def test_the_key_of_the_present_certificate_is_refused() -> None:
    assert refusal(make_csr(CURRENT, VEHICLE_ID)).code == "csr-current-key"


def test_a_key_belongs_to_its_first_use() -> None:
    first = KeyUse(VEHICLE_ID, "rotation 1")
    csr.check_first_use(first, first)
    with pytest.raises(Rejected, match="key-of-another-vehicle"):
        csr.check_first_use(first, KeyUse("veh-2", "rotation 1"))
    with pytest.raises(Rejected, match="key-used-before"):
        csr.check_first_use(first, KeyUse(VEHICLE_ID, "rotation 2"))


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(der(GOOD)) - 1), bit=st.integers(0, 7))
def test_a_damaged_request_is_refused(position: int, bit: int) -> None:
    """Except where the damage is in the padding of the signature, which nobody signs."""
    damaged = bytearray(der(GOOD))
    damaged[position] ^= 1 << bit
    try:
        key = csr.check(pem_of(bytes(damaged)), APPLICANT)
    except Rejected:
        return
    assert key == KEY.public_key()
    assert csr.parse(pem_of(bytes(damaged))).tbs_certrequest_bytes == csr.parse(GOOD).tbs_certrequest_bytes


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=400) | st.binary(max_size=400).map(pem_of))
def test_anything_else_is_refused_with_a_reason(text: str) -> None:
    assert len(refusal(text).detail) < 200
