"""What vehicles say about their certificates: docs/vehicle-protocol.md, `type=certificate`."""

from typing import Annotated, Literal

import msgspec

from shared.errors import Rejected
from shared.messaging.bodies import BODY_ERRORS, fault

RotationId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class _Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    v: Literal[1]
    rotation_id: RotationId
    vehicle_id: str | None = None


class CsrSent(_Report, frozen=True, kw_only=True, tag="csr"):
    """The vehicle asks for a certificate (PEM of a PKCS #10 request)."""

    csr: str


class ProofSent(_Report, frozen=True, kw_only=True, tag="proof"):
    """The vehicle proves that it has the new certificate (base64 of an ECDSA signature)."""

    signature: str


_decoder = msgspec.json.Decoder(CsrSent | ProofSent)


def decode(body: bytes) -> CsrSent | ProofSent:
    """The report in a message's body. Raises `Rejected`, naming the field that is wrong."""
    try:
        report: CsrSent | ProofSent = _decoder.decode(body)
    except BODY_ERRORS as error:
        raise Rejected("bad-report", f"not a certificate report: {fault(error)}") from error
    return report
