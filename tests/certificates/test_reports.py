"""Reports of vehicles as they come from the wire."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.certificates import reports
from functions.certificates.reports import CsrSent, ProofSent
from shared.errors import Rejected

CSR = {"v": 1, "kind": "csr", "rotation_id": "r1", "csr": "PEM"}
PROOF = {"v": 1, "kind": "proof", "rotation_id": "r1", "signature": "AAAA"}


def test_both_kinds_are_read_and_unknown_fields_are_ignored() -> None:
    assert reports.decode(msgspec.json.encode(CSR | {"colour": "red"})) == CsrSent(v=1, rotation_id="r1", csr="PEM")
    assert reports.decode(msgspec.json.encode(PROOF)) == ProofSent(v=1, rotation_id="r1", signature="AAAA")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (CSR | {"v": 2}, "$.v"),
        (CSR | {"kind": "wish"}, "wish"),
        (CSR | {"csr": 7}, "$.csr"),
        (CSR | {"rotation_id": ""}, "$.rotation_id"),
        (CSR | {"rotation_id": "x" * 65}, "$.rotation_id"),
        (PROOF | {"signature": None}, "$.signature"),
        ({"v": 1, "kind": "proof", "rotation_id": "r1"}, "signature"),
        ({"v": 1}, "kind"),
        ([], "object"),
    ],
)
def test_a_report_that_does_not_fit_is_refused_naming_the_field(body: object, names: str) -> None:
    with pytest.raises(Rejected) as caught:
        reports.decode(msgspec.json.encode(body))
    assert caught.value.code == "bad-report"
    assert names in caught.value.detail


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"\xff\xfe", b'{"v":1,"kind":"csr","rotation_id":"\xff","csr":""}', b"[" * 10_000_000, b"NaN"],
    ids=["empty", "text", "binary", "broken UTF-8", "bottomless", "NaN"],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected, match="bad-report"):
        reports.decode(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(body: bytes) -> None:
    with pytest.raises(Rejected, match="bad-report"):
        reports.decode(body)
