"""The local cloud's certificates: a root, an issuing CA for vehicles, and the server's own.

They are made once for each local cloud and never leave its folder; nobody else trusts them.
"""

import fcntl
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ALWAYS_COVERED: Final = ("localhost", "127.0.0.1")
BACKDATED: Final = timedelta(hours=1)  # for clocks that run slow
ROOT_LIFETIME: Final = timedelta(days=3650)
ISSUING_LIFETIME: Final = timedelta(days=1825)
SERVER_LIFETIME: Final = timedelta(days=397)
RENEW_BEFORE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the certificates and keys of one local cloud lie. All are PEM; a key lies beside its certificate."""

    directory: Path

    @property
    def root(self) -> Path:
        return self.directory / "root.pem"

    @property
    def issuing(self) -> Path:
        """The CA for vehicle certificates."""
        return self.directory / "issuing.pem"

    @property
    def issuing_key(self) -> Path:
        return self.directory / "issuing.key"

    @property
    def server(self) -> Path:
        """The server's certificate followed by its chain."""
        return self.directory / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    @property
    def ca_bundle(self) -> Path:
        """The system's roots and the local one: for `SSL_CERT_FILE` and the like."""
        return self.directory / "ca-bundle.pem"


@dataclass(frozen=True, slots=True)
class _Holder:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_pki(directory: Path, hostnames: Sequence[str]) -> Pki:
    """The certificates in `directory`, made or renewed where they are absent, broken, near expiry or do not cover
    `hostnames` (names or IP addresses; localhost and 127.0.0.1 are always covered, and so is what was before).
    """
    pki = Pki(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with _exclusive(directory):
        now = datetime.now(UTC)
        root = _load(directory, "root", now)
        if root is None:
            root = _make_root(now)
            _save(directory, "root", root)
        issuing = _load(directory, "issuing", now)
        if issuing is None or not _is_issued_by(issuing, root):
            issuing = _make_issuing(root, now)
            _save(directory, "issuing", issuing)
        server = _load(directory, "server", now)
        known = _names_of(server) if server is not None and _is_issued_by(server, root) else set[str]()
        wanted = known | {*ALWAYS_COVERED, *hostnames}
        if wanted != known:
            _save(directory, "server", _make_server(root, sorted(wanted), now), chain=root.certificate)
        _write(pki.ca_bundle, _system_roots() + _pem(root.certificate), mode=0o644)
    return pki


def issue_device_certificate(
    pki: Pki, device_id: str, public_key: CertificatePublicKeyTypes, *, not_before: datetime, not_after: datetime
) -> x509.Certificate:
    """A vehicle's first certificate, as the factory would order it: the subject is the device id and nothing else.

    Times are aware; a `not_after` past the issuing CA's own is cut to it. Raises `ValueError` for an id that is
    no common name (1 to 64 characters).
    """
    issuing = _read(pki.directory, "issuing")
    not_after = min(not_after, issuing.certificate.not_valid_after_utc)
    builder = _builder(device_id, public_key, issuing, not_before, not_after)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return builder.sign(issuing.key, hashes.SHA256())


def _make_root(now: datetime) -> _Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("Local Cloud Root", key.public_key(), None, now - BACKDATED, now + ROOT_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(digital_signature=False), critical=True)
    return _Holder(builder.sign(key, hashes.SHA256()), key)


def _make_issuing(root: _Holder, now: datetime) -> _Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    not_after = min(now + ISSUING_LIFETIME, root.certificate.not_valid_after_utc)
    builder = _builder("Local Cloud Vehicle Issuing CA", key.public_key(), root, now - BACKDATED, not_after)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(digital_signature=False), critical=True)
    return _Holder(builder.sign(root.key, hashes.SHA256()), key)


def _make_server(root: _Holder, names: Sequence[str], now: datetime) -> _Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    not_after = min(now + SERVER_LIFETIME, root.certificate.not_valid_after_utc)
    builder = _builder("Local Cloud Server", key.public_key(), root, now - BACKDATED, not_after)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return _Holder(builder.add_extension(alternatives, critical=False).sign(root.key, hashes.SHA256()), key)


def _builder(
    common_name: str,
    public_key: CertificatePublicKeyTypes,
    issuer: _Holder | None,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    issuer_key = public_key if issuer is None else issuer.certificate.public_key()
    # `cryptography` types the two ends of this differently; CAs here are always P-256.
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, digital_signature: bool) -> x509.KeyUsage:
    """A leaf signs handshakes, a CA signs certificates and lists; nobody does both."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=not digital_signature,
        crl_sign=not digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(server: _Holder) -> set[str]:
    alternatives = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in alternatives}


def _is_issued_by(holder: _Holder, issuer: _Holder) -> bool:
    try:
        holder.certificate.verify_directly_issued_by(issuer.certificate)
    except Exception:  # noqa: BLE001 - three kinds of error, all meaning no
        return False
    return True


def _load(directory: Path, stem: str, now: datetime) -> _Holder | None:
    """The pair if it is there, whole, and not about to expire."""
    try:
        holder = _read(directory, stem)
    except (OSError, ValueError):
        return None
    fits = holder.key.public_key() == holder.certificate.public_key()
    return holder if fits and holder.certificate.not_valid_after_utc - RENEW_BEFORE > now else None


def _read(directory: Path, stem: str) -> _Holder:
    certificate = x509.load_pem_x509_certificate((directory / f"{stem}.pem").read_bytes())
    key = serialization.load_pem_private_key((directory / f"{stem}.key").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{stem}.key is no elliptic-curve key")  # noqa: TRY004 - the file's content is at fault
    return _Holder(certificate, key)


def _save(directory: Path, stem: str, holder: _Holder, chain: x509.Certificate | None = None) -> None:
    key = holder.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(directory / f"{stem}.key", key, mode=0o600)
    _write(directory / f"{stem}.pem", _pem(holder.certificate) + (_pem(chain) if chain else b""), mode=0o644)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Whole or not at all, and never readable by others for a moment when it must not be."""
    if path.exists() and path.read_bytes() == content:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    temporary.replace(path)


def _system_roots() -> bytes:
    try:
        import certifi  # noqa: PLC0415 - only there when some other package brought it
    except ImportError:
        system = ssl.get_default_verify_paths().cafile
        roots = Path(system).read_bytes() if system else b""
    else:
        roots = Path(certifi.where()).read_bytes()
    return roots if not roots or roots.endswith(b"\n") else roots + b"\n"


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Several services may start at once; only one at a time may look and mend."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
