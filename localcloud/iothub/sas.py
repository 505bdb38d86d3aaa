"""Checking Azure's shared access signatures, those of devices and those of services."""

import base64
import binascii
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import unquote

from localcloud.errors import Rejected

_MAX_EXPIRY_DIGITS = 12  # seconds since 1970: Python refuses to read thousands of them, and calendars end before


@dataclass(frozen=True, slots=True)
class SasToken:
    """The fields of `SharedAccessSignature sr=…&sig=…&se=…[&skn=…]`."""

    resource: str  # decoded
    expires_at_s: int
    policy: str
    _signed: str
    _signature: str

    def require_signature(self, keys: Collection[str]) -> None:
        """Raises `Rejected` unless one of the keys (base64) made the signature."""
        if not any(hmac.compare_digest(self._signature.encode(), sign(self._signed, key).encode()) for key in keys):
            raise Rejected("bad-signature", "the token's signature is of another key")


def sign(text: str, key: str) -> str:
    """The signature of a text by a base64 key: base64 of HMAC-SHA256."""
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), sha256)).decode()


def parse_sas(text: str, now_s: float) -> SasToken:
    """The token's fields. Raises `Rejected` when it is none or has expired; the signature is still to be checked."""
    scheme, _, rest = text.partition(" ")
    fields = dict(part.partition("=")[::2] for part in rest.split("&"))
    if scheme != "SharedAccessSignature" or not {"sr", "sig", "se"} <= fields.keys():
        raise Rejected("bad-token", "this is no shared access signature")
    expiry = fields["se"]
    if not (expiry.isascii() and expiry.isdecimal() and len(expiry) <= _MAX_EXPIRY_DIGITS):
        raise Rejected("bad-token", "the token's expiry is no number of seconds")
    if int(expiry) <= now_s:
        raise Rejected("expired-token", "the token has expired")
    return SasToken(
        resource=unquote(fields["sr"]),
        expires_at_s=int(expiry),
        policy=unquote(fields.get("skn", "")),
        # What is signed is the resource as it stands in the token: clients differ in how they encode it.
        _signed=f"{fields['sr']}\n{expiry}",
        _signature=unquote(fields["sig"]),
    )


def is_key(text: str) -> bool:
    """Whether IoT Hub takes this as a symmetric key: base64 of 16 to 64 bytes."""
    try:
        return 16 <= len(base64.b64decode(text, validate=True)) <= 64
    except binascii.Error:
        return False
