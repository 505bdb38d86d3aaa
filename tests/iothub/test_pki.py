"""The certificates of the local cloud."""

import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from localcloud.pki import Pki, ensure_pki, issue_device_certificate


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return ensure_pki(tmp_path / "pki", ["hub.example", "127.11.0.1"])


def contents(pki: Pki) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(pki.directory.iterdir())}


def issue(pki: Pki, directory: Path, device_id: str = "car-1", days: int = 90) -> Path:
    now = datetime.now(UTC)
    certificate = issue_device_certificate(
        pki,
        device_id,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(days=days),
    )
    path = directory / "device.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path


def verify(pki: Pki, purpose: str, certificate: Path) -> str:
    """What OpenSSL's command says by its strict rules."""
    chain = ("-CAfile", str(pki.root), "-untrusted", str(pki.issuing))
    command = ("openssl", "verify", "-x509_strict", "-purpose", purpose, *chain, str(certificate))
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def names(pki: Pki) -> set[str]:
    certificate = x509.load_pem_x509_certificate(pki.server.read_bytes())
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in alternatives}


def test_certificates_pass_the_strict_rules_of_openssl(pki: Pki, tmp_path: Path) -> None:
    assert verify(pki, "sslserver", pki.server).endswith("OK\n")
    assert verify(pki, "sslclient", issue(pki, tmp_path)).endswith("OK\n")
    assert not verify(pki, "sslserver", issue(pki, tmp_path)).endswith("OK\n")


def test_doing_it_again_changes_nothing(pki: Pki) -> None:
    before = contents(pki)
    assert contents(ensure_pki(pki.directory, ["localhost", "hub.example"])) == before


def test_a_new_host_name_renews_the_server_certificate_only(pki: Pki) -> None:
    before = contents(pki)
    ensure_pki(pki.directory, ["other.example"])
    changed = {name for name, content in contents(pki).items() if before[name] != content}
    assert changed == {"server.pem", "server.key"}
    assert names(pki) == {"localhost", "127.0.0.1", "127.11.0.1", "hub.example", "other.example"}


@pytest.mark.parametrize("lost", ["issuing.key", "issuing.pem", "server.pem", "server.key"])
def test_what_is_lost_is_made_again_and_the_root_stays(pki: Pki, lost: str) -> None:
    root = pki.root.read_bytes()
    (pki.directory / lost).unlink()
    ensure_pki(pki.directory, [])
    assert pki.root.read_bytes() == root
    assert verify(pki, "sslserver", pki.server).endswith("OK\n")


def test_a_broken_root_renews_everything_below(pki: Pki, tmp_path: Path) -> None:
    (pki.directory / "root.key").write_text("not a key")
    ensure_pki(pki.directory, [])
    assert verify(pki, "sslserver", pki.server).endswith("OK\n")
    assert verify(pki, "sslclient", issue(pki, tmp_path)).endswith("OK\n")


def test_keys_are_for_their_owner_only(pki: Pki) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in pki.directory.glob("*.key")}
    assert modes == {"root.key": 0o600, "issuing.key": 0o600, "server.key": 0o600}


def test_the_bundle_has_the_roots_of_the_system_and_the_local_one(pki: Pki) -> None:
    bundle = x509.load_pem_x509_certificates(pki.ca_bundle.read_bytes())
    assert x509.load_pem_x509_certificate(pki.root.read_bytes()) == bundle[-1]
    assert len(bundle) > 50
    assert ssl.create_default_context(cafile=pki.ca_bundle).cert_store_stats()["x509_ca"] == len(bundle)


def test_a_device_certificate_has_the_profile_of_a_vehicle(pki: Pki, tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(issue(pki, tmp_path, "car-1").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=car-1"
    assert certificate.serial_number > 0
    found = {extension.oid: extension for extension in certificate.extensions}
    oids = ExtensionOID
    assert found.keys() == {
        oids.BASIC_CONSTRAINTS,
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.SUBJECT_KEY_IDENTIFIER,
        oids.AUTHORITY_KEY_IDENTIFIER,
    }
    assert found[oids.BASIC_CONSTRAINTS].critical
    assert found[oids.KEY_USAGE].critical


def test_a_device_certificate_never_outlives_its_issuer(pki: Pki, tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(issue(pki, tmp_path, days=36_500).read_bytes())
    issuer = x509.load_pem_x509_certificate(pki.issuing.read_bytes())
    assert certificate.not_valid_after_utc == issuer.not_valid_after_utc
