"""Telemetry as the simulated fleet sends it: in columns, as the contract says, and nothing lost on the way."""

import json
import re
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.fleet.cycle_drives import Departure, drive_cycle
from localcloud.fleet.cycles import CycleName, load_cycle
from localcloud.fleet.powertrain import Combustion, Electric, Powertrain
from localcloud.fleet.recordings import read_recording
from localcloud.fleet.telemetry import Sample, TelemetryMessage, pack
from tests.contract import CONTRACT, SCHEMA
from tests.telemetry import packed

DOCS = Path(__file__).parents[2] / "docs"
SIGNALS = [name for name in Sample.__struct_fields__ if name != "t"]
DEPARTURE = Departure(datetime(2026, 3, 1, 7, 30, tzinfo=UTC), 52.27, 10.52, odometer_km=1234.5)
METER_BYTES = 4096  # an IoT Hub charges in blocks of this size
PROPERTIES = {"type": "telemetry", "$.ct": "application/json", "$.ce": "utf-8"}

_numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 3).map(float)
_flags = st.none() | st.booleans()
_gears = st.none() | st.sampled_from("PRND")
_signals = dict.fromkeys(SIGNALS, _numbers) | {"gear": _gears, "ignition": _flags, "charging": _flags}
_samples = st.builds(Sample, t=st.integers(-(2**53), 2**53), **_signals)


def complaints(body: bytes | dict[str, Any]) -> list[str]:
    """What the schema has against a message."""
    instance = json.loads(body) if isinstance(body, bytes) else body
    return [error.message for error in CONTRACT.iter_errors(instance)]


def unpacked(body: bytes) -> list[Sample]:
    """The samples of a message, by what the protocol says."""
    message = json.loads(body)
    times = list(accumulate(message["t"]))
    columns = {name: message.get(name, [None]) for name in SIGNALS}
    assert {len(column) for column in columns.values()} <= {1, len(times)}
    full = {name: column * len(times) if len(column) == 1 else column for name, column in columns.items()}
    return [Sample(t, **{name: column[index] for name, column in full.items()}) for index, t in enumerate(times)]


# --- Packing


@given(st.integers(0, 200), st.integers(1, 40))
def test_packing_keeps_samples_in_order_and_numbers_messages_from_0(count: int, per_message: int) -> None:
    samples = [Sample(t=second) for second in range(count)]
    messages = list(pack(samples, "b1", per_message))
    assert [message.seq for message in messages] == list(range(len(messages)))
    assert [sample for message in messages for sample in message.samples] == samples
    assert all(len(message.samples) == per_message for message in messages[:-1])


@given(st.lists(_samples, min_size=1, max_size=40))
def test_what_is_packed_comes_back(samples: list[Sample]) -> None:
    assert unpacked(TelemetryMessage("b1", 0, tuple(samples)).encode()) == samples


def test_what_was_not_measured_is_absent_on_the_wire() -> None:
    [message] = pack([Sample(t=5, ignition=False)], "b1")
    assert message.encode() == b'{"v":1,"boot":"b1","seq":0,"t":[5],"ignition":[false]}'


def test_a_column_says_once_what_holds_for_all_samples() -> None:
    samples = [
        Sample(t=1000, temp_c=4.5, gear="D", soc_pct=80.0),
        Sample(t=2000, temp_c=4.5, gear="D"),
        Sample(t=1500, temp_c=4.5, gear="P", soc_pct=79.0),
    ]
    [message] = pack(samples, "b1")
    assert json.loads(message.encode()) == {
        "v": 1,
        "boot": "b1",
        "seq": 0,
        "t": [1000, 1000, -500],
        "temp_c": [4.5],
        "gear": ["D", "D", "P"],
        "soc_pct": [80.0, None, 79.0],
    }


@given(st.lists(_samples, min_size=1, max_size=10))
def test_rows_of_other_tests_become_the_same_message(samples: list[Sample]) -> None:
    """What `tests.telemetry` packs is what a vehicle packs."""
    rows = [{name: getattr(sample, name) for name in Sample.__struct_fields__} for sample in samples]
    assert json.loads(packed(rows, "b1", 7)) == json.loads(TelemetryMessage("b1", 7, tuple(samples)).encode())


# --- The contract


def test_the_schema_is_one_and_describes_every_column() -> None:
    CONTRACT.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == {"v", "boot", "seq", "vehicle_id", *Sample.__struct_fields__}
    assert all(field["description"] for field in SCHEMA["properties"].values())


def test_the_example_in_the_protocol_keeps_the_contract() -> None:
    section = (DOCS / "vehicle-protocol.md").read_text("utf-8").partition("## Telemetry")[2].partition("\n## ")[0]
    [example] = re.findall(r"^```json\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert complaints(example.encode()) == []
    assert set(SCHEMA["properties"]) - set(json.loads(example)) == {"vehicle_id"}
    assert len(unpacked(example.encode())) == 3


@pytest.mark.parametrize("name", CycleName)
@pytest.mark.parametrize("powertrain", [Electric(), Combustion()], ids=["electric", "combustion"])
def test_what_the_simulated_fleet_sends_keeps_the_contract(name: CycleName, powertrain: Powertrain) -> None:
    samples = drive_cycle(load_cycle(name), DEPARTURE, powertrain)
    bodies = [message.encode() for message in pack(samples, "b7f3")]
    assert [complaints(body) for body in bodies] == [[]] * len(bodies)
    assert [sample for body in bodies for sample in unpacked(body)] == samples


def test_half_a_minute_of_driving_is_one_message_on_the_bill() -> None:
    """With its properties, which count too."""
    samples = drive_cycle(load_cycle(CycleName.WLTC_CLASS_3B), DEPARTURE, Electric())
    largest = max(len(message.encode()) for message in pack(samples, "b7f3"))
    assert largest + sum(len(name) + len(value) for name, value in PROPERTIES.items()) < METER_BYTES


def test_what_recorded_cars_would_have_sent_keeps_the_contract(drives: Path) -> None:
    for file in sorted(drives.glob("*.csv")):
        samples = read_recording(file)
        bodies = [message.encode() for message in pack(samples, "b7f3")]
        assert [complaints(body) for body in bodies] == [[]] * len(bodies), file.name
        assert [sample for body in bodies for sample in unpacked(body)] == samples, file.name


GOOD: dict[str, Any] = {"v": 1, "boot": "b", "seq": 0, "t": [1_624_872_752_000, 1000, 0, -5]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"vehicle_id": "car-1", "lat": [1, 2.5, None, -90], "gear": ["P"], "charging": [None]},
        {"boot": "A-" * 18, "seq": 9_999_999_999, "t": [-5] * 600},
        {"tyre_kpa": [[250, 251]], "alt_m": [-500.0, 9000, 0, 0]},
    ],
)
def test_the_contract_accepts(fields: dict[str, Any]) -> None:
    assert complaints(GOOD | fields) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"v": 2},
        {"boot": "../x"},
        {"boot": ""},
        {"boot": "b" * 37},
        {"seq": -1},
        {"seq": 10_000_000_000},
        {"seq": 0.5},
        {"t": []},
        {"t": [0] * 601},
        {"t": 1_624_872_752_000},
        {"t": ["noon"]},
        {"t": [1_624_872_752_000, None]},
        {"vehicle_id": "../x"},
        {"speed_kmh": []},
        {"speed_kmh": 5.0},
        {"speed_kmh": [True]},
        {"gear": ["d"]},
        {"gear": ["PR"]},
        {"ignition": [1]},
        {"charging": ["yes"]},
    ],
)
def test_the_contract_refuses(fields: dict[str, Any]) -> None:
    assert complaints(GOOD | fields)


@pytest.mark.parametrize("name", GOOD)
def test_the_contract_asks_for(name: str) -> None:
    assert complaints({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("lat", -90, 90),
        ("lon", -180, 180),
        ("alt_m", -500, 9000),
        ("speed_kmh", 0, 400),
        ("odo_km", 0, 10_000_000),
        ("soc_pct", 0, 100),
        ("power_kw", -1000, 1000),
        ("fuel_l_h", 0, 1000),
        ("fuel_pct", 0, 100),
        ("temp_c", -60, 80),
        ("lateral_ms2", -50, 50),
    ],
)
def test_a_vehicle_in_order_stays_in_range(name: str, lowest: float, highest: float) -> None:
    assert complaints(GOOD | {name: [lowest, None, highest, (lowest + highest) / 2]}) == []
    assert complaints(GOOD | {name: [lowest - 0.01]})
    assert complaints(GOOD | {name: [highest + 0.01]})
