"""Telemetry bodies: what is used, what is dropped, what is refused and why."""

import json
import random
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.trips import compact
from functions.trips.leaps import most_kmh
from functions.trips.samples import COLUMNS, Message, Run
from functions.trips.telemetry import (
    _LIMITS,
    AHEAD_MS,
    FROM_MEDIAN_MS,
    MAX_AGE_MS,
    MAX_SAMPLES,
    OLDEST_MS,
    NoUsableSample,
    _with_faults,
    decode,
    without_position,
)
from shared.errors import Rejected
from shared.identity.caller import Caller

ARRIVED_MS = 1_750_000_000_000
START_MS = ARRIVED_MS - 60_000
CALLER = Caller("car-1", "g")


def body(*steps: int, **fields: Any) -> bytes:
    """A message of one sample, and one more after each step."""
    return msgspec.json.encode({"v": 1, "boot": "b7f3", "seq": 17, "t": [START_MS, *steps]} | fields)


def run(*steps: int, **columns: Any) -> Run:
    """The samples of such a message, if all of them have all values."""
    step_ms = steps[0] if len(set(steps)) == 1 else 0
    return Run(t=list(accumulate([START_MS, *steps])), steps=list(steps), step_ms=step_ms, whole=True, **columns)


def refusal(text: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(text, CALLER, ARRIVED_MS)
    return caught.value


def used(text: bytes, arrived_ms: int = ARRIVED_MS) -> Message:
    return decode(text, CALLER, arrived_ms)


def test_a_message_as_documented_is_understood() -> None:
    values = {
        "lat": [33.98, 33.99],
        "lon": [-6.72, -6.71],
        "speed_kmh": [42.1, 43.0],
        "odo_km": [1234.5, 1234.51],
        "soc_pct": [81.2, 81.1],
        "power_kw": [12.1, -4.0],
        "fuel_l_h": [4.2, 0.0],
        "fuel_pct": [55.0, 54.5],
        "temp_c": [21.5, 21.0],
        "gear": ["D", "P"],
        "ignition": [True, False],
        "charging": [False, True],
    }
    text = body(1000, **values, alt_m=[142.0, 142.1])
    assert used(text) == Message("b7f3", 17, ARRIVED_MS, run(1000, **values), {}, text)


def test_the_first_time_is_a_moment_and_each_further_one_a_step() -> None:
    assert used(body(1000, 1000)).run == run(1000, 1000)
    assert used(body(1000, 0, 500)).run.t == [START_MS, START_MS + 1000, START_MS + 1000, START_MS + 1500]


def test_a_single_value_holds_for_all_samples() -> None:
    text = body(1000, 1000, gear=["D"], speed_kmh=[50.0], ignition=[False])
    assert used(text).run == run(1000, 1000, gear=["D"] * 3, speed_kmh=[50.0] * 3, ignition=[False] * 3)


def test_a_single_value_holds_for_all_samples_of_a_message_with_faults_too() -> None:
    assert used(body(1000, 1000, gear=["D"], soc_pct=[50.0, 101.0, 49.0])).run == run(
        2000, gear=["D"] * 2, soc_pct=[50.0, 49.0]
    )


def test_what_is_null_was_not_measured() -> None:
    found = used(body(1000, speed_kmh=[None, 5.0], gear=["D", None], soc_pct=[None, None], odo_km=[None])).run
    assert found == msgspec.structs.replace(run(1000, speed_kmh=[None, 5.0], gear=["D", None]), whole=False)


def test_unknown_fields_are_ignored() -> None:
    assert used(body(wheels=[4], new={"x": []}, gear=["R"])).run == run(gear=["R"])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"lat": [50.0, 51.0]}, {}),
        ({"lon": [8.0]}, {}),
        ({"lat": [50.0, None], "lon": [8.0]}, {"lat": [50.0, None], "lon": [8.0, None]}),
        ({"lat": [50.0, None], "lon": [None, 8.0]}, {}),
    ],
    ids=str,
)
def test_half_a_position_is_none(columns: dict[str, Any], expected: dict[str, Any]) -> None:
    found = used(body(1000, **columns)).run
    assert {"lat": found.lat, "lon": found.lon} == {"lat": [], "lon": []} | expected
    assert found.whole is (not expected)


def test_a_message_that_goes_back_in_time_is_put_in_order() -> None:
    """What was measured at one moment stays in the order in which it was sent."""
    found = used(body(2000, -1000, 1000, speed_kmh=[1.0, 2.0, 3.0, 4.0]))
    assert found.run == run(1000, 1000, 0, speed_kmh=[1.0, 3.0, 2.0, 4.0])
    assert found.dropped == {}


_NINES = b"9" * 4000


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        (b"hello", "bad-telemetry", "malformed"),
        (b"", "bad-telemetry", "truncated"),
        (b"\xff\xfe\x00", "bad-telemetry", "malformed"),
        (b"[]", "bad-telemetry", "Expected `object`"),
        (body(lat=["north"]), "bad-telemetry", "$.lat[0]"),
        (body(lat=50.0), "bad-telemetry", "$.lat"),
        (body(t=["now"]), "bad-telemetry", "$.t[0]"),
        (body(t=[1.5e12]), "bad-telemetry", "$.t[0]"),
        (body(t=[]), "bad-telemetry", "$.t"),
        (body(*[1] * MAX_SAMPLES), "bad-telemetry", "$.t"),
        (body(1000, 1000, speed_kmh=[1, 2]), "bad-telemetry", "a column has 2 values for 3 samples"),
        (body(1000, speed_kmh=[1, 2, 3]), "bad-telemetry", "a column has 3 values for 2 samples"),
        (body(seq=-1), "bad-telemetry", "$.seq"),
        (body(boot="a|b"), "bad-telemetry", "$.boot"),
        (body(boot="x" * 37), "bad-telemetry", "$.boot"),
        (body(boot="b7f3\n"), "bad-telemetry", "$.boot"),
        (body(v=2), "unknown-version", "version 2"),
        (body(v=2, t="later versions may differ"), "unknown-version", "version 2"),
        (body(vehicle_id="car-2"), "foreign-vehicle", "another vehicle"),
        (body(vehicle_id="car-2", soc_pct=[101.0]), "foreign-vehicle", "another vehicle"),
        (body().replace(b'"seq":17', b'"seq":NaN'), "bad-telemetry", "malformed"),
        (body(speed_kmh=[0]).replace(b"[0]", b"[1e400]"), "bad-telemetry", "out of range"),
        (body(odo_km=[0]).replace(b"[0]", b"[%s]" % _NINES), "bad-telemetry", "out of range"),
        (b'{"v":1,"x":' + b"[" * 10_000_000, "bad-telemetry", "nested"),
        (b'{"v":1,"boot":"b","seq":0,"t":' + b"[" * 100_000, "bad-telemetry", "nested"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body_that_is_no_telemetry_is_refused_with_a_readable_reason(text: bytes, code: str, detail: str) -> None:
    reason = refusal(text)
    assert (reason.code, detail in reason.detail) == (code, True), reason.detail


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"t": [0]}, "sample 0: time 1970-01-01T00:00:00Z is before 2015"),
        ({"t": [2_840_140_800_000]}, "sample 0: time 2060-01-01T00:00:00Z is more than 5 minutes after its arrival"),
        ({"t": [10**30]}, f"sample 0: time {10**30} ms is more than 5 minutes after its arrival"),
        ({"t": [-1]}, "sample 0: time -1 ms is before 2015"),
        ({"lat": [200], "lon": [8]}, "sample 0: lat 200 is outside -90…90"),
        ({"lat": [50], "lon": [1555.63]}, "sample 0: lon 1555.63 is outside -180…180"),
        ({"speed_kmh": [401]}, "sample 0: speed_kmh 401 is outside 0…400"),
        ({"speed_kmh": [-0.1]}, "sample 0: speed_kmh -0.1 is outside 0…400"),
        ({"odo_km": [-1]}, "sample 0: odo_km -1 is outside 0…1e+07"),
        ({"soc_pct": [100.5]}, "sample 0: soc_pct 100.5 is outside 0…100"),
        ({"power_kw": [-1001]}, "sample 0: power_kw -1001 is outside -1000…1000"),
        ({"fuel_l_h": [-1]}, "sample 0: fuel_l_h -1 is outside 0…1000"),
        ({"fuel_pct": [101]}, "sample 0: fuel_pct 101 is outside 0…100"),
        ({"temp_c": [-61]}, "sample 0: temp_c -61 is outside -60…80"),
        ({"gear": ["X"]}, "sample 0: gear 'X' is not one of P R N D"),
    ],
    ids=str,
)
def test_a_message_without_a_usable_sample_tells_the_first_reason(fields: dict[str, Any], detail: str) -> None:
    """It did arrive, though: nobody needs to wait for it."""
    reason = refusal(body(**fields))
    assert isinstance(reason, NoUsableSample)
    assert (reason.code, reason.detail) == ("no-usable-sample", detail)
    assert (reason.boot, reason.seq) == ("b7f3", 17)


def test_bad_samples_are_dropped_and_counted_by_reason_and_the_rest_is_used() -> None:
    faults: dict[str, dict[int, Any]] = {
        "lat": {1: 91},
        "speed_kmh": {2: 401},
        "odo_km": {3: -1},
        "soc_pct": {4: -1},
        "power_kw": {5: 1001},
        "fuel_l_h": {6: -1},
        "fuel_pct": {7: 101},
        "temp_c": {8: 81},
        "gear": {9: "X"},
        "lon": {10: 181},
    }
    good = dict.fromkeys(faults, 1.0) | {"gear": "D"}
    columns = {name: [at.get(index, good[name]) for index in range(13)] for name, at in faults.items()}
    message = used(body(*[1000] * 10, -(10**12), 10**12 + 1000, **columns))
    assert message.dropped == {
        "position": 2,
        "speed": 1,
        "odometer": 1,
        "soc": 1,
        "power": 1,
        "fuel": 2,
        "temperature": 1,
        "gear": 1,
        "clock": 1,
    }
    assert message.run == run(11_000, **{name: [value] * 2 for name, value in good.items()})


def test_a_sample_with_two_faults_is_counted_once() -> None:
    assert used(body(1000, soc_pct=[101, 50], speed_kmh=[401, 50])).dropped == {"speed": 1}


def test_a_clock_an_hour_from_the_rest_of_the_message_is_dropped() -> None:
    message = used(body(t=[ARRIVED_MS - 2 * FROM_MEDIAN_MS, 1, 1, FROM_MEDIAN_MS, 1]))
    assert [t - message.run.t[0] for t in message.run.t] == [0, 1, 2, FROM_MEDIAN_MS + 2]
    assert message.dropped == {"clock": 1}


@pytest.mark.parametrize("moment_ms", [ARRIVED_MS + AHEAD_MS, ARRIVED_MS - MAX_AGE_MS], ids=["ahead", "behind"])
def test_a_clock_is_believed_from_thirty_days_before_the_arrival_to_five_minutes_after_it(moment_ms: int) -> None:
    assert used(body(t=[moment_ms])).run.t == [moment_ms]
    beyond = moment_ms + (1 if moment_ms > ARRIVED_MS else -1)
    assert refusal(body(t=[beyond])).code == "no-usable-sample"
    steps = [ARRIVED_MS, beyond - ARRIVED_MS, ARRIVED_MS - beyond]
    assert used(body(t=steps)).dropped == {"clock": 1}


@pytest.mark.parametrize("ahead_min", range(15, 14 * 60 + 1, 15))
def test_a_clock_that_shows_local_time_for_utc_is_found_where_it_is_ahead(ahead_min: int) -> None:
    """A message of half a minute that arrives at once: time zones are whole quarters of an hour, up to UTC+14."""
    local = body(*[1000] * 29, t=[ARRIVED_MS - 29_000 + ahead_min * 60_000, *[1000] * 29], speed_kmh=[36.0])
    assert "more than 5 minutes after its arrival" in refusal(local).detail


def test_a_clock_that_counts_from_the_build_of_its_software_is_found() -> None:
    """Also if it was set in the last third of the message: the rest is not what most samples say."""
    built_ms = 1_530_000_000_000  # 2018
    unset = body(t=[built_ms, *[1000] * 29], speed_kmh=[36.0])
    assert refusal(unset).detail == "sample 0: time 2018-06-26T08:00:00Z is more than 30 days before its arrival"
    message = used(body(t=[built_ms, *[1000] * 19, START_MS - built_ms - 19_000, *[1000] * 9], speed_kmh=[36.0]))
    assert (message.run.t, message.dropped) == ([START_MS + 1000 * second for second in range(10)], {"clock": 20})


def test_how_old_a_sample_may_be_is_told_to_the_decoder() -> None:
    """Recordings are older; but before 2015 nothing was recorded."""
    old = body(t=[ARRIVED_MS - MAX_AGE_MS - 1])
    assert decode(old, CALLER, ARRIVED_MS, MAX_AGE_MS + 1).run.t == [ARRIVED_MS - MAX_AGE_MS - 1]
    with pytest.raises(NoUsableSample, match="before 2015"):
        decode(body(t=[OLDEST_MS - 1]), CALLER, ARRIVED_MS, ARRIVED_MS)
    assert decode(body(t=[OLDEST_MS]), CALLER, ARRIVED_MS, ARRIVED_MS).run.t == [OLDEST_MS]


def test_a_speed_that_no_car_can_have_come_to_costs_its_sample() -> None:
    """After those with other faults are gone, and in order of time."""
    columns = {"speed_kmh": [36.0, 255.0, 36.5, 401.0, 37.0], "soc_pct": [50.0, 49.0, 48.0, 47.0, 46.0]}
    message = used(body(1000, 1000, 1000, 1000, **columns))
    assert message.run == run(2000, 2000, speed_kmh=[36.0, 36.5, 37.0], soc_pct=[50.0, 48.0, 46.0])
    assert message.dropped == {"speed": 2}
    disordered = used(body(2000, -1000, 2000, speed_kmh=[36.0, 36.5, 255.0, 37.0]))
    assert disordered.run.speed_kmh == [36.0, 36.5, 37.0]


def _numbers(name: str) -> st.SearchStrategy[float]:
    return st.floats(*_LIMITS[name]) | st.sampled_from(_LIMITS[name]) | st.integers(*map(int, _LIMITS[name]))


_VALUES: dict[str, st.SearchStrategy[Any]] = {name: _numbers(name) for name in _LIMITS} | {
    "gear": st.sampled_from("PRND"),
    "ignition": st.booleans(),
    "charging": st.booleans(),
}


@st.composite
def _faultless(draw: st.DrawFn) -> bytes:
    steps = draw(st.lists(st.integers(0, 5000) | st.just(1000), max_size=8))
    columns = dict[str, Any]()
    for name in draw(st.sets(st.sampled_from(COLUMNS))):
        size = draw(st.sampled_from([1, len(steps) + 1]))
        values = _VALUES[name]
        if name == "speed_kmh" and draw(st.booleans()):
            values = st.floats(60.0, 60.0 + most_kmh(0))  # otherwise there is a leap in most messages
        columns[name] = draw(st.lists(values, min_size=size, max_size=size))
    return body(*steps, **columns)


@settings(deadline=None)
@given(_faultless())
def test_a_faultless_message_is_understood_in_one_go_as_it_is_sample_by_sample(text: bytes) -> None:
    assert decode(text, CALLER, ARRIVED_MS) == _with_faults(text, CALLER, ARRIVED_MS)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_rejected(text: bytes) -> None:
    with pytest.raises(Rejected):
        decode(text, CALLER, ARRIVED_MS)


_SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, "", "P", "D", "ü", 0, -1, 17, 1e300, -0.5, 50, 10**30, START_MS, [], {}]
)
_FIELDS = ("v", "boot", "seq", "t", "vehicle_id", *COLUMNS)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _SCALARS | st.lists(_SCALARS | st.lists(_SCALARS), max_size=4)))
def test_no_json_raises_anything_but_rejected(fields: dict[str, Any]) -> None:
    """Neither as a whole body nor in the place of some fields of a good one."""
    for text in (json.dumps(fields).encode(), body(1000, **fields)):
        try:
            message = decode(text, CALLER, ARRIVED_MS)
        except Rejected:
            continue
        assert message.run.t


@settings(deadline=None)
@given(_faultless())
def test_a_message_comes_back_from_its_row_exactly(text: bytes) -> None:
    _check_row(decode(text, CALLER, ARRIVED_MS))


def test_a_message_with_faults_comes_back_from_its_row_exactly() -> None:
    _check_row(used(body(1000, -1000, 2000, soc_pct=[101.0, None, 3.0, 4.0], lat=[1.0], lon=[None, 2.0, 3.0, 4.0])))


def _check_row(message: Message) -> None:
    kept = compact.decoded(compact.encode([compact.keep(message)]))
    assert compact.messages("car-1", kept) == [message]


def test_a_message_that_fits_into_no_row_is_refused() -> None:
    """A table property takes 64 KiB. The most that a car can measure fits, if not to the last of 17 digits."""
    chance = random.Random(1)
    columns = {
        name: [round(chance.uniform(low, high), 5) for _ in range(MAX_SAMPLES)] for name, (low, high) in _LIMITS.items()
    }
    most = body(*(chance.randrange(2000) for _ in range(MAX_SAMPLES - 1)), **columns)
    compact.check_size(most)
    ((_, values),) = compact.to_rows("car-1", [compact.keep(used(most))])
    packed = values["kept"]
    assert isinstance(packed, bytes)
    assert len(packed) < 64 * 1024
    compact.check_size(body(padding=" " * 300_000))
    with pytest.raises(Rejected, match="deflated"):
        compact.check_size(body(noise=chance.randbytes(64 * 1024).hex()))


def test_without_its_position_the_rest_of_a_message_is_as_it_was() -> None:
    text = body(1000, lat=[50.0], lon=[8.0, None], alt_m=[5.0], soc_pct=[50.0, None], gear=["D"], where="at home")
    stripped = without_position(text)
    assert msgspec.json.decode(stripped).keys() == {"v", "boot", "seq", "t", "soc_pct", "gear"}
    message, expected = used(stripped), used(text)
    assert message.run == msgspec.structs.replace(expected.run, lat=[], lon=[])
    assert (message.boot, message.seq, message.dropped) == (expected.boot, expected.seq, expected.dropped)


@settings(deadline=None)
@given(_faultless())
def test_whatever_is_told_without_positions_is_understood_alike(text: bytes) -> None:
    assert used(without_position(text)).run == msgspec.structs.replace(used(text).run, lat=[], lon=[])


def test_faults_stay_faults_without_positions_but_for_those_of_the_position() -> None:
    text = body(1000, 1000, lat=[91.0, 50.0, 50.0], lon=[8.0], soc_pct=[50.0, 101.0, 50.0])
    assert used(text).dropped == {"position": 1, "soc": 1}
    assert used(without_position(text)).dropped == {"soc": 1}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", body(t="x"), b'{"v":1,"x":' + b"[" * 10_000_000])
def test_of_what_cannot_be_understood_nothing_is_left_without_position(text: bytes) -> None:
    assert without_position(text) == b""


def test_times_of_thousands_of_digits_are_refused_as_any_other_impossible_time() -> None:
    """Python reads numbers of up to 4,300 digits, and does not write the sum of two of them."""
    longest = b"9" * 4300
    assert refusal(body().replace(str(START_MS).encode(), longest + b"," + longest)).code == "no-usable-sample"
