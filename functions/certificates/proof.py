"""How a vehicle proves that its new certificate and key have arrived."""

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from functions.certificates.rotation import Rotation
from shared.errors import Rejected

_MAX_CHARACTERS = 512  # P-384 needs 140


def check(rotation: Rotation, signature: str) -> None:
    """Raises `Rejected` unless `signature` (base64 of DER) is the new key's: ECDSA with SHA-256 over id and nonce."""
    issued = rotation.pending
    key = x509.load_pem_x509_certificate(issued.pem.encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = f"{rotation.rotation_id}.{issued.nonce}".encode()
    try:
        key.verify(_decode(signature), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Rejected("bad-proof", "the signature is not by the new certificate's key over id and nonce") from error


def _decode(signature: str) -> bytes:
    if len(signature) > _MAX_CHARACTERS:
        raise Rejected("bad-proof", f"the signature has {len(signature)} characters, more than {_MAX_CHARACTERS}")
    try:
        return base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Rejected("bad-proof", "the signature is not base64") from error
