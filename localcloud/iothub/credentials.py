"""Whether a CONNECT comes from the device that it names."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from localcloud.errors import Rejected
from localcloud.iothub.mqtt.packets import Connect
from localcloud.iothub.property_bag import parse_bag
from localcloud.iothub.registry import AuthenticationType, Device, Registry
from localcloud.iothub.sas import parse_sas
from localcloud.iothub.tls import Peer

_X509_METHOD: Final = '{"scope":"device","type":"x509Certificate","issuer":"external","acceptingIpFilterRule":null}'
_SAS_METHOD: Final = '{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}'


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A device that has proved who it is, for as long as its proof holds."""

    device: Device
    method: str  # as stamped on messages
    expires_at_s: float | None  # only tokens end a connection; a certificate's expiry counts at the next connect


def authenticate(connect: Connect, peer: Peer, registry: Registry, hostname: str, now: datetime) -> Authenticated:
    """The device behind a CONNECT. Raises `Rejected` with a reason that is for the log, not for the device."""
    resource, _, query = (connect.username or "").partition("/?")
    if resource.lower() != f"{hostname}/{connect.client_id}".lower() or "api-version" not in parse_bag(query):
        raise Rejected("bad-user-name", f"the user name is not '{hostname}/(client id)/?api-version=…'")
    device = registry.find(connect.client_id)
    if device is None:
        raise Rejected("unknown-device", "there is no device of this id")
    if not device.enabled:
        raise Rejected("disabled-device", "the device is disabled")
    if device.credentials.type == AuthenticationType.SAS:
        expires_at_s = _check_token(connect.password, device, hostname, now)
        return Authenticated(device, _SAS_METHOD, expires_at_s)
    _check_certificate(peer, device, now)
    return Authenticated(device, _X509_METHOD, None)


def _check_token(password: bytes | None, device: Device, hostname: str, now: datetime) -> float:
    token = parse_sas((password or b"").decode(errors="replace"), now.timestamp())
    if token.resource.lower() != f"{hostname}/devices/{device.device_id}".lower():
        raise Rejected("foreign-token", "the token is for another resource")
    token.require_signature([key for key in device.credentials.keys if key])
    return float(token.expires_at_s)


def _check_certificate(peer: Peer, device: Device, now: datetime) -> None:
    certificate = peer.certificate
    if certificate is None:
        raise Rejected("no-certificate", "the device sent no certificate")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Rejected("expired-certificate", "the certificate is expired or not yet valid")
    if device.credentials.type == AuthenticationType.SELF_SIGNED:
        _check_thumbprint(certificate, device)
    else:
        _check_chain(peer, certificate, device)


def _check_thumbprint(certificate: x509.Certificate, device: Device) -> None:
    # SHA-1 is a name here, chosen by whoever registered the device, as in Azure.
    thumbprints = [certificate.fingerprint(hashes.SHA1()), certificate.fingerprint(hashes.SHA256())]  # noqa: S303
    registered = [bytes.fromhex(text) for text in device.credentials.thumbprints if text]
    if not any(hmac.compare_digest(mine, theirs) for mine in registered for theirs in thumbprints):
        raise Rejected("unknown-thumbprint", "the certificate's thumbprint is not registered")


def _check_chain(peer: Peer, certificate: x509.Certificate, device: Device) -> None:
    if peer.chain_errors:
        raise Rejected("untrusted-chain", "; ".join(peer.chain_errors))
    try:
        names = [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except ValueError as error:
        raise Rejected("bad-certificate", f"the subject is unreadable: {error}") from error
    if names != [device.device_id]:
        raise Rejected("foreign-certificate", "the certificate's common name is not the device id")
