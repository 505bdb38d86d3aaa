"""Reading recorded drives: everything as it stands, or an error that says where."""

from pathlib import Path

import pytest

from localcloud.fleet.recordings import COLUMNS, RecordingError, read_recording
from localcloud.fleet.telemetry import Sample

HEADER = ",".join(COLUMNS)
ROW = "2021-06-30T09:39:19Z,33.98,-6.72,151,42.5,41.9,1234.5,93.42,4.2,D"


def write(directory: Path, *lines: str, header: str = HEADER) -> Path:
    path = directory / "drive.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_a_row_becomes_a_sample_with_the_units_of_the_wire(tmp_path: Path) -> None:
    assert read_recording(write(tmp_path, ROW)) == [
        Sample(
            t=1_625_045_959_000,
            lat=33.98,
            lon=-6.72,
            alt_m=151,
            speed_kmh=42.5,
            odo_km=1234.5,
            soc_pct=93.42,
            fuel_l_h=4.2,
            gear="D",
        )
    ]


def test_an_empty_field_was_not_measured(tmp_path: Path) -> None:
    assert read_recording(write(tmp_path, "2021-06-30T09:39:19Z,,,,,,,,,")) == [Sample(t=1_625_045_959_000)]


def test_gps_speed_is_no_substitute_for_the_cars_own(tmp_path: Path) -> None:
    [sample] = read_recording(write(tmp_path, "2021-06-30T09:39:19Z,,,,,41.9,,,,"))
    assert sample.speed_kmh is None


def test_wrong_clocks_and_impossible_values_are_kept(tmp_path: Path) -> None:
    rows = ["2060-01-01T00:00:00Z,1555.0,999,,-3,,,250,,", "2000-01-01T00:00:00.250Z,,,,,,,,,X"]
    first, second = read_recording(write(tmp_path, *rows))
    assert (first.t, first.lat, first.speed_kmh, first.soc_pct) == (2_840_140_800_000, 1555.0, -3, 250)
    assert (second.t, second.gear) == (946_684_800_250, "X")


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path, ",".join(reversed(ROW.split(","))), header=",".join(reversed(COLUMNS)))
    assert read_recording(path)[0].soc_pct == 93.42


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([ROW, ROW.replace("33.98", "north")], r"line 3, column lat: 'north' is not a number"),
        ([ROW.replace("42.5", "nan")], r"line 2, column speed_kmh: 'nan' is not a number"),
        ([ROW.replace("2021-06-30T09:39:19Z", "yesterday")], r"line 2, column time: 'yesterday' is not an ISO 8601"),
        ([ROW.replace("2021-06-30T09:39:19Z", "")], r"line 2, column time: '' is not"),
        (["2021-06-30T09:39:19Z,1,2"], r"line 2, column altitude_m: the line ends before it"),
        ([ROW + ",surplus"], r"line 2: there are more fields than columns"),
        ([], r"there is no sample in it"),
    ],
)
def test_a_bad_row_is_named_with_line_and_column(tmp_path: Path, rows: list[str], complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint) as caught:
        read_recording(write(tmp_path, *rows))
    assert "drive.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (HEADER.replace(",soc_pct", ""), "column soc_pct is missing"),
        (HEADER + ",weather", "column 'weather' is not known"),
        (HEADER + ",lat", "a column occurs twice"),
        ("", "column time is missing"),
    ],
)
def test_missing_and_unknown_columns_are_named(tmp_path: Path, header: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        read_recording(write(tmp_path, ROW, header=header))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"absent\.csv"):
        read_recording(tmp_path / "absent.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordingError, match=r"binary\.csv"):
        read_recording(binary)


@pytest.mark.parametrize(("name", "rows"), [("twizy-t1-06-30-2021-1", 5200), ("envirocar-2", 269)])
def test_recorded_drives_are_read_whole(drives: Path, name: str, rows: int) -> None:
    assert len(read_recording(drives / f"{name}.csv")) == rows
