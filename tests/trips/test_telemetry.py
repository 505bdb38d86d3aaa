"""Telemetry bodies: what is used, what is dropped, what is refused and why."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips import compact
from functions.trips.telemetry import MAX_SAMPLES, NoUsableSample, Sample, Telemetry, decode
from shared.errors import Rejected
from shared.identity.caller import Caller

ARRIVED_MS = 1_750_000_000_000
CALLER = Caller("car-1", "g")


def body(*samples: dict[str, Any], **others: Any) -> bytes:
    return msgspec.json.encode({"v": 1, "boot": "b7f3", "seq": 17, "samples": samples} | others)


def sample(**values: Any) -> dict[str, Any]:
    return {"t": ARRIVED_MS - 60_000} | values


def refusal(text: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(text, CALLER, ARRIVED_MS)
    return caught.value


def test_a_message_as_documented_is_understood() -> None:
    values = {"lat": 33.98, "lon": -6.72, "alt_m": 142.0, "speed_kmh": 42.1, "odo_km": 1234.5}
    values |= {"soc_pct": 81.2, "fuel_l_h": 4.2}
    message = decode(body(sample(**values, gear="D", ignition=True), sample()), CALLER, ARRIVED_MS)
    full = Sample(ARRIVED_MS - 60_000, **values, gear="D", ignition=True)
    assert message == Telemetry("b7f3", 17, ARRIVED_MS, (full, Sample(ARRIVED_MS - 60_000)), {})


def test_unknown_fields_are_ignored_and_null_is_absent() -> None:
    message = decode(body(sample(lat=None, wheels=4), new={"x": []}), CALLER, ARRIVED_MS)
    assert message.samples == (Sample(ARRIVED_MS - 60_000),)


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        (b"hello", "bad-telemetry", "malformed"),
        (b"", "bad-telemetry", "truncated"),
        (b"\xff\xfe\x00", "bad-telemetry", "malformed"),
        (b"[]", "bad-telemetry", "Expected `object`"),
        (body(sample(lat="north")), "bad-telemetry", "$.samples[0].lat"),
        (body(sample(t="now")), "bad-telemetry", "$.samples[0].t"),
        (body(), "bad-telemetry", "$.samples"),
        (body(*[sample()] * (MAX_SAMPLES + 1)), "bad-telemetry", "$.samples"),
        (body(sample(), seq=-1), "bad-telemetry", "$.seq"),
        (body(sample(), boot="a|b"), "bad-telemetry", "$.boot"),
        (body(sample(), boot="x" * 37), "bad-telemetry", "$.boot"),
        (body(sample(), boot="b7f3\n"), "bad-telemetry", "$.boot"),
        (body(sample(), v=2), "unknown-version", "version 2"),
        (body(sample(), vehicle_id="car-2"), "foreign-vehicle", "another vehicle"),
        (body(sample()).replace(b'"seq":17', b'"seq":NaN'), "bad-telemetry", "malformed"),
        (b'{"v":1,"x":' + b"[" * 10_000_000, "bad-telemetry", "nested"),
        (b'{"v":1,"boot":"b","seq":0,"samples":' + b"[" * 100_000, "bad-telemetry", "nested"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body_that_is_no_telemetry_is_refused_with_a_readable_reason(text: bytes, code: str, detail: str) -> None:
    reason = refusal(text)
    assert (reason.code, detail in reason.detail) == (code, True), reason.detail


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ({"t": 0}, "sample 0: time 1970-01-01T00:00:00Z is before 2015"),
        ({"t": 2_840_140_800_000}, "sample 0: time 2060-01-01T00:00:00Z is more than 24 h after its arrival"),
        ({"t": 10**30}, f"sample 0: time {10**30} ms is more than 24 h after its arrival"),
        ({"t": -1}, "sample 0: time -1 ms is before 2015"),
        ({"lat": 200}, "sample 0: latitude 200 is outside -90…90"),
        ({"lon": 1555.63}, "sample 0: longitude 1555.63 is outside -180…180"),
        ({"speed_kmh": 401}, "sample 0: speed 401 km/h is outside 0…400"),
        ({"speed_kmh": -0.1}, "sample 0: speed -0.1 km/h is outside 0…400"),
        ({"odo_km": -1}, "sample 0: odometer -1 km is outside 0…10000000"),
        ({"soc_pct": 100.5}, "sample 0: state of charge 100.5 % is outside 0…100"),
        ({"fuel_l_h": -1}, "sample 0: fuel rate -1 l/h is outside 0…1000"),
        ({"gear": "X"}, "sample 0: gear 'X' is not one of P R N D"),
    ],
)
def test_a_message_without_a_usable_sample_tells_the_first_reason(values: dict[str, Any], detail: str) -> None:
    reason = refusal(body(sample(**values), sample(**values)))
    assert isinstance(reason, NoUsableSample)
    assert (reason.code, reason.detail) == ("no-usable-sample", detail)
    assert reason.arrival == Telemetry("b7f3", 17, ARRIVED_MS)


def test_bad_samples_are_dropped_and_counted_and_the_rest_is_used() -> None:
    message = decode(
        body(sample(lat=91), sample(t=0), sample(speed_kmh=1), sample(lon=181), sample(soc_pct=-1)), CALLER, ARRIVED_MS
    )
    assert message.samples == (Sample(ARRIVED_MS - 60_000, speed_kmh=1),)
    assert message.dropped == {"position": 2, "clock": 1, "soc": 1}


def test_a_clock_an_hour_from_the_rest_of_the_message_is_dropped() -> None:
    times = [0, 1, 2, 3_600_001, 3_700_000]
    message = decode(body(*(sample(t=ARRIVED_MS - 4_000_000 + t) for t in times)), CALLER, ARRIVED_MS)
    assert [s.t - ARRIVED_MS + 4_000_000 for s in message.samples] == [0, 1, 2, 3_600_001]
    assert message.dropped == {"clock": 1}


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_rejected(text: bytes) -> None:
    with pytest.raises(Rejected):
        decode(text, CALLER, ARRIVED_MS)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(list(Sample.__struct_fields__)), _JSON), max_size=4),
    st.dictionaries(st.sampled_from(["v", "boot", "seq", "samples", "vehicle_id"]), _JSON, max_size=2),
)
def test_no_json_raises_anything_but_rejected(samples: list[dict[str, Any]], others: dict[str, Any]) -> None:
    try:
        text = body(*samples, **others)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return  # not JSON that can be written
    try:
        message = decode(text, CALLER, ARRIVED_MS)
    except Rejected:
        return
    assert message.samples


_NUMBER = st.none() | st.floats(0, 90)
_SAMPLES = st.builds(
    Sample, st.integers(0, 2**41), _NUMBER, _NUMBER, _NUMBER, _NUMBER, _NUMBER, _NUMBER, st.none() | st.booleans()
)


@given(
    st.lists(_SAMPLES, min_size=1, max_size=40), st.dictionaries(st.sampled_from(["clock", "soc"]), st.integers(1, 9))
)
def test_a_message_comes_back_from_its_row_exactly(samples: list[Sample], dropped: dict[str, int]) -> None:
    message = Telemetry("b7f3", 17, ARRIVED_MS, tuple(samples), dropped)
    key, values = compact.row_key("car-1", message), compact.row_values(message)
    assert key == "car-1|b7f3|0000000017"
    assert compact.from_row(key, values) == message


def test_the_largest_message_fits_into_a_table_property() -> None:
    noise = [
        Sample(2**40 + i * 997 % 3_600_000, *(i * prime % 1009 / 7.13 for prime in (3, 5, 7, 11, 13, 17)))  # type: ignore[arg-type] # six numbers
        for i in range(MAX_SAMPLES)
    ]
    packed = compact.row_values(Telemetry("b", 0, ARRIVED_MS, tuple(noise)))["samples"]
    assert isinstance(packed, bytes)
    assert len(packed) < 64 * 1024
