"""Bodies that no decoder of the app must fall over."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from functions.certificates import reports as certificate_reports
from functions.notifications import alerts
from functions.ota import reports as ota_reports
from functions.trips import telemetry
from shared.errors import Rejected
from shared.identity.caller import Caller
from shared.messaging import contracts
from shared.messaging.contracts import CloseTrip
from shared.messaging.envelope import Envelope

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DEPTH = 5_000_000


def _telemetry(body: bytes) -> object:
    return telemetry.decode(body, Caller("car-1", "1"), 1_777_593_600_000)


def _command(body: bytes) -> object:
    return contracts.decode(Envelope("id", "CloseTrip", "/test", NOW, body), CloseTrip)


@pytest.mark.parametrize(
    "decode", [_telemetry, _command, ota_reports.decode, certificate_reports.decode, alerts.decode]
)
@pytest.mark.parametrize(
    "body",
    [b'{"v": 1, "x": ' + b"[" * DEPTH + b"]" * DEPTH + b"}", b'{"v": 1, "x": ' + b'{"a":' * (DEPTH // 2)],
    ids=["lists", "objects"],
)
def test_ten_megabytes_of_nesting_are_refused_in_words(decode: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(Rejected, match="the JSON is nested too deeply"):
        decode(body)


@pytest.mark.parametrize("decode", [_command, ota_reports.decode, certificate_reports.decode, alerts.decode])
def test_text_that_is_not_utf_8_is_refused_in_words(decode: Callable[[bytes], object]) -> None:
    wrong = b"\xff\xfe"
    fields = (b'"v": 1', *(b'"%b": "%b"' % (name, wrong) for name in (b"vehicle_id", b"version", b"alarm_id", b"kind")))
    with pytest.raises(Rejected, match="the text is not UTF-8"):
        decode(b"{" + b", ".join(fields) + b"}")
