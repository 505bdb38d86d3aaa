"""What the issuing CA signs, judged by OpenSSL; and what may be enrolled."""

import base64
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from functions.certificates import authority, enrolment, profile, proof
from functions.certificates.authority import Authority
from functions.certificates.rotation import Issued, Phase, Rotation
from localcloud.pki import Pki, ensure_pki, issue_device_certificate
from shared.errors import Misconfigured, Rejected
from tests.certificates.car import new_key, to_pem

NOW = datetime.now(UTC)
VALIDITY = timedelta(days=90)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return ensure_pki(tmp_path_factory.mktemp("pki"), ["localhost"])


@pytest.fixture(scope="module")
def ca(pki: Pki) -> Authority:
    return authority.load(pki.issuing, pki.issuing_key)


def sign(ca: Authority, key: ec.EllipticCurvePrivateKey, validity: timedelta = VALIDITY) -> x509.Certificate:
    return ca.sign("veh-1", key.public_key(), now=NOW, validity=validity)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the OpenSSL command is not installed")
@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=["P-256", "P-384"])
def test_openssl_accepts_the_certificate_strictly_and_for_clients_only(
    ca: Authority, pki: Pki, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    leaf = tmp_path / "leaf.pem"
    leaf.write_text(to_pem(sign(ca, new_key(curve))))
    assert "OK" in openssl_verify(pki, leaf, "sslclient").stdout
    assert openssl_verify(pki, leaf, "sslserver").returncode != 0


def openssl_verify(pki: Pki, leaf: Path, purpose: str) -> subprocess.CompletedProcess[str]:
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose]
    trust = ["-CAfile", str(pki.root), "-untrusted", str(pki.issuing)]
    return subprocess.run([*command, *trust, str(leaf)], capture_output=True, text=True, check=False, timeout=30)


def test_the_certificate_says_what_the_profile_says(ca: Authority) -> None:
    key = new_key()
    certificate = sign(ca, key)
    assert certificate.subject.rfc4514_string() == "CN=veh-1"
    assert certificate.issuer == ca.certificate.subject
    assert certificate.public_key() == key.public_key()
    assert 0 < certificate.serial_number < 1 << 159
    extensions = {type(extension.value): extension for extension in certificate.extensions}
    assert set(extensions) == {
        *(x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage),
        *(x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier),
    }
    assert extensions[x509.BasicConstraints].critical
    assert extensions[x509.BasicConstraints].value == x509.BasicConstraints(ca=False, path_length=None)
    assert extensions[x509.KeyUsage].critical
    assert list(extensions[x509.ExtendedKeyUsage].value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_certificate_is_valid_from_an_hour_ago_for_its_days(ca: Authority) -> None:
    certificate = sign(ca, new_key())
    now = NOW.replace(microsecond=0)
    assert certificate.not_valid_before_utc == now - timedelta(hours=1)
    assert certificate.not_valid_after_utc == now + VALIDITY


def test_the_certificate_never_outlives_its_issuer(ca: Authority) -> None:
    certificate = sign(ca, new_key(), timedelta(days=100_000))
    assert certificate.not_valid_after_utc == ca.certificate.not_valid_after_utc


def test_serials_do_not_repeat(ca: Authority) -> None:
    key = new_key()
    assert len({sign(ca, key).serial_number for _ in range(50)}) == 50


def test_an_expired_authority_signs_nothing(ca: Authority) -> None:
    later = ca.certificate.not_valid_after_utc
    with pytest.raises(Misconfigured, match="expired"):
        ca.sign("veh-1", new_key().public_key(), now=later, validity=VALIDITY)


def test_the_chain_is_delivered_with_everything_in_the_file(pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "chain.pem"
    file.write_bytes(pki.issuing.read_bytes() + pki.root.read_bytes())
    assert authority.load(file, pki.issuing_key).chain_pem.count("BEGIN CERTIFICATE") == 2


def test_a_chain_that_no_twin_could_hold_is_refused_at_the_start(pki: Pki, tmp_path: Path) -> None:
    """Found out only when a certificate is delivered, it would leave every rotation of the fleet unfinished."""
    chain = tmp_path / "chain.pem"
    chain.write_text(pki.issuing.read_text() + pki.root.read_text() * 8)
    with pytest.raises(Misconfigured, match="chain"):
        authority.load(chain, pki.issuing_key)


def test_files_that_make_no_sense_are_named_as_such(pki: Pki, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    with pytest.raises(Misconfigured, match="cannot be read"):
        authority.load(tmp_path / "absent.pem", pki.issuing_key)
    with pytest.raises(Misconfigured, match="cannot be read"):
        authority.load(rubbish, pki.issuing_key)
    with pytest.raises(Misconfigured, match="does not belong"):
        authority.load(pki.root, pki.issuing_key)


def test_a_factory_certificate_of_our_own_authority_is_enrolled(pki: Pki, ca: Authority) -> None:
    certificate = _factory(pki, "veh-1")
    assert enrolment.check(to_pem(certificate), "veh-1", ca.certificate) == certificate


def test_other_certificates_are_not_enrolled(pki: Pki, ca: Authority, tmp_path: Path) -> None:
    stranger = _factory(ensure_pki(tmp_path, ["localhost"]), "veh-1")
    for pem, code in [
        (to_pem(stranger), "foreign-issuer"),
        (to_pem(_factory(pki, "veh-2")), "foreign-certificate"),
        ("rubbish", "bad-certificate"),
    ]:
        with pytest.raises(Rejected, match=code):
            enrolment.check(pem, "veh-1", ca.certificate)


def _factory(pki: Pki, vehicle_id: str) -> x509.Certificate:
    key = new_key().public_key()
    return issue_device_certificate(pki, vehicle_id, key, not_before=NOW, not_after=NOW + VALIDITY)


def _issued_rotation(ca: Authority, key: ec.EllipticCurvePrivateKey) -> Rotation:
    certificate = sign(ca, key)
    described = profile.describe(certificate, NOW)
    issued = Issued(certificate=described, pem=to_pem(certificate), issuer_pem="", nonce="n0nce")
    return Rotation(rotation_id="r1", attempt=1, phase=Phase.ISSUED, issued=issued)


def test_a_proof_is_the_new_keys_signature_over_rotation_and_nonce(ca: Authority) -> None:
    key, other = new_key(), new_key()
    rotation = _issued_rotation(ca, key)
    good = key.sign(b"r1.n0nce", ec.ECDSA(hashes.SHA256()))
    proof.check(rotation, base64.b64encode(good).decode())
    wrong = [
        base64.b64encode(other.sign(b"r1.n0nce", ec.ECDSA(hashes.SHA256()))).decode(),
        base64.b64encode(key.sign(b"r1.another", ec.ECDSA(hashes.SHA256()))).decode(),
        base64.b64encode(key.sign(b"r1.n0nce", ec.ECDSA(hashes.SHA384()))).decode(),
        base64.b64encode(good[:-1]).decode(),
        "not base64!",
        "ß",
        "",
        "A" * 100_000,
    ]
    for signature in wrong:
        with pytest.raises(Rejected, match="bad-proof"):
            proof.check(rotation, signature)


def test_a_key_has_one_fingerprint_however_it_was_encoded() -> None:
    key = new_key().public_key()
    compressed = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    again = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), compressed)
    assert profile.key_fingerprint(again) == profile.key_fingerprint(key)
