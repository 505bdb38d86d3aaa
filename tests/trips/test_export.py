"""What is stored about a vehicle, as documents that people and programs can read."""

import json
from typing import Any
from xml.etree.ElementTree import Element

import gpxpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.trips.export import Archive, SetAside, to_json
from functions.trips.geodesy import encoded
from functions.trips.gpx import EXTENSIONS, to_gpx
from functions.trips.samples import Message
from functions.trips.telemetry import decode
from functions.trips.vehicle_trips import VehicleTrips
from shared.clock import from_epoch_ms
from shared.identity.caller import Caller
from tests.telemetry import packed
from tests.trips.drives import MORNING_MS, bodies, drive
from tests.trips.gpx_rules import NAMESPACE, checked

LINE = [(50.0, 8.0), (50.01, 8.02), (49.99, -8.0)]
NOW_MS = MORNING_MS + 3_600_000


def trip(**values: Any) -> dict[str, Any]:
    line = encoded((round(lat * 1e5), round(lon * 1e5)) for lat, lon in LINE)
    return {
        "trip_id": f"car-{MORNING_MS}",
        "vehicle_id": "car",
        "kind": "driven",
        "started_at_ms": MORNING_MS,
        "ended_at_ms": MORNING_MS + 600_000,
        "distance_km": 14.147,
        "dropped": '{"clock":2}',
        "polyline": line,
        **values,
    }


def sent(rows: list[dict[str, Any]], seq: int = 0) -> Message:
    return decode(packed(rows, "b1", seq), Caller("car", ""), NOW_MS)


def tracks(archive: Archive) -> list[Element]:
    return checked(to_gpx(archive, NOW_MS)).findall(f"{NAMESPACE}trk")


def points(track: Element) -> list[list[tuple[str | None, ...]]]:
    """Of each segment: latitude, longitude, height and time."""
    return [
        [
            (point.get("lat"), point.get("lon"), *(point.findtext(NAMESPACE + name) for name in ("ele", "time")))
            for point in segment
        ]
        for segment in track.findall(f"{NAMESPACE}trkseg")
    ]


# --- GPX


def test_an_old_trip_is_a_track_along_its_line_with_what_it_was_like() -> None:
    places = {"start_place": "Wolfsburg, DE", "end_place": "Hannover, DE"}
    (track,) = tracks(Archive(vehicle_id="car", trips=[trip(kind="carried", **places)]))
    assert points(track) == [
        [("50", "8", None, None), ("50.01", "8.02", None, None), ("49.99", "-8", None, None)],
    ]
    assert track.findtext(f"{NAMESPACE}name") == "Trip of 2025-06-15 15:06 UTC, Wolfsburg, DE – Hannover, DE"
    assert track.findtext(f"{NAMESPACE}type") == "carried"
    (extensions,) = track.findall(f"{NAMESPACE}extensions")
    told = {child.tag.removeprefix(f"{{{EXTENSIONS}}}"): child.text for child in extensions}
    assert (told["distance_km"], told["started_at_ms"], told["dropped"]) == ("14.147", str(MORNING_MS), '{"clock":2}')
    assert "polyline" not in told


def test_a_trip_whose_messages_are_there_has_its_points_with_heights_and_times() -> None:
    rows = [{**row, "alt_m": 142.25} for row in drive(10, every_s=300)]
    rows[1]["lat"] = None
    (track,) = tracks(Archive(vehicle_id="car", trips=[trip()], messages=[sent(rows)]))
    assert points(track) == [
        [("50", "8", "142.25", "2025-06-15T15:06:40.000Z"), ("50", "8", "142.25", "2025-06-15T15:16:40.000Z")],
    ]


def test_a_trip_whose_oldest_messages_are_gone_keeps_its_line() -> None:
    """And what is still there of it is not lost."""
    rest = drive(10, every_s=60)[2:]
    first, other = tracks(Archive(vehicle_id="car", trips=[trip()], messages=[sent(rest)]))
    assert len(points(first)[0]) == len(LINE)
    assert [len(segment) for segment in points(other)] == [len(rest)]


def test_what_was_measured_in_no_trip_is_a_track_in_pieces_between_trips() -> None:
    minute = 60_000
    parked = [{"t": MORNING_MS + offset * minute, "lat": 51.0, "lon": 7.0} for offset in (-2, -1, 11, 12, 13)]
    messages = [sent(parked), sent(drive(10, every_s=60), 1)]
    first, other = tracks(Archive(vehicle_id="car", trips=[trip()], messages=messages))
    assert [len(segment) for segment in points(first)] == [11]
    assert [len(segment) for segment in points(other)] == [2, 3]


def test_tracks_are_in_the_order_of_driving() -> None:
    trips = [trip(started_at_ms=MORNING_MS + start) for start in (2000, 1000, 0)]
    started = [
        track.findtext(f".//{{{EXTENSIONS}}}started_at_ms") for track in tracks(Archive(vehicle_id="car", trips=trips))
    ]
    assert started == [str(MORNING_MS), str(MORNING_MS + 1000), str(MORNING_MS + 2000)]


def test_charging_sessions_are_waypoints_where_the_place_is_known() -> None:
    session = {"session_id": "s", "started_at_ms": MORNING_MS, "ended_at_ms": NOW_MS, "energy_kwh": 12.5}
    sessions = [session, session | {"lat": 52.4, "lon": 10.8, "place": "Wolfsburg, DE"}]
    root = checked(to_gpx(Archive(vehicle_id="car", charging_sessions=sessions), NOW_MS))
    (waypoint,) = root.findall(f"{NAMESPACE}wpt")
    assert (waypoint.get("lat"), waypoint.get("lon")) == ("52.4", "10.8")
    assert waypoint.findtext(f"{NAMESPACE}name") == "Charging of 2025-06-15 15:06 UTC, Wolfsburg, DE"
    assert waypoint.findtext(f".//{{{EXTENSIONS}}}energy_kwh") == "12.5"


@pytest.mark.parametrize(
    ("lat", "lon", "written"),
    [
        (90.0, 180.0, ("90", "-180")),
        (-90.0, -180.0, ("-90", "-180")),
        (1e-6, 179.99999999, ("0.000001", "-180")),
        (-1e-9, 12.3456789, ("-0", "12.3456789")),
    ],
)
def test_coordinates_are_decimals_in_the_range_of_the_schema(lat: float, lon: float, written: tuple[str, str]) -> None:
    session = {"started_at_ms": 0, "lat": lat, "lon": lon}
    root = checked(to_gpx(Archive(vehicle_id="car", charging_sessions=[session]), NOW_MS))
    (waypoint,) = root.findall(f"{NAMESPACE}wpt")
    assert (waypoint.get("lat"), waypoint.get("lon")) == written


@pytest.mark.parametrize("column", ["high", [1.0, 2.0], [None], [1e300], {}], ids=["text", "few", "none", "far", "map"])
def test_heights_that_make_no_sense_are_left_out(column: Any) -> None:
    """Nothing holds a car to sending them as the protocol says."""
    message = decode(packed(drive(1), "b1", 0, alt_m=column), Caller("car", ""), NOW_MS)
    (track,) = tracks(Archive(vehicle_id="car", messages=[message]))
    assert [height for _, _, height, _ in points(track)[0]] == [None] * 7


@given(st.text(), st.text())
def test_no_text_breaks_the_document(place: str, model: str) -> None:
    """Whatever a registry or a gazetteer holds: control characters, halves of a surrogate pair, markup."""
    (track,) = tracks(Archive(vehicle_id="car", trips=[trip(start_place=f"x{place}", model=f'<&"{model}\x00]]>')]))
    assert (track.findtext(f".//{{{EXTENSIONS}}}model") or "").startswith('<&"')


def test_the_document_is_read_by_another_program_as_it_was_meant() -> None:
    archive = Archive(vehicle_id="car", trips=[trip(start_place="Köln & Ümgebung")], messages=[sent(drive(20))])
    read = gpxpy.parse(to_gpx(archive, NOW_MS).decode())
    whole, other = read.tracks
    assert (read.time, whole.name) == (from_epoch_ms(NOW_MS), "Trip of 2025-06-15 15:06 UTC, Köln & Ümgebung")
    assert [point.time for point in whole.segments[0].points][-1] == from_epoch_ms(MORNING_MS + 600_000)
    assert whole.length_2d() + other.length_2d() == pytest.approx(12_000, rel=0.02)


def test_nothing_stored_is_a_document_without_tracks() -> None:
    assert [child.tag for child in checked(to_gpx(Archive(vehicle_id="car"), NOW_MS))] == [f"{NAMESPACE}metadata"]


# --- JSON


def test_everything_that_is_stored_is_in_the_json() -> None:
    body = bodies(drive(1))[0]
    archive = Archive(
        vehicle_id="car",
        trips=[trip(quality_reasons='["gaps"]')],
        charging_sessions=[{"session_id": "s", "lat": 1.5}],
        rollups={"2026-04-30|day": {"trips": 2}, "long-term": {"beginning": b'{"from_ms":5}'}},
        messages=[decode(body, Caller("car", ""), NOW_MS)],
        open_trips=[VehicleTrips(heard_ms=5)],
        set_aside=[SetAside(source="telemetry", arrived_at_ms=7, reason="bad", detail="why", body=b'{"x": [1]}')],
    )
    told = json.loads(to_json(archive, NOW_MS))
    assert (told["vehicle_id"], told["exported_at_ms"]) == ("car", NOW_MS)
    assert told["trips"] == [trip(dropped={"clock": 2}, quality_reasons=["gaps"])]
    assert told["charging_sessions"] == [{"session_id": "s", "lat": 1.5}]
    assert told["rollups"] == {"2026-04-30|day": {"trips": 2}, "long-term": {"beginning": {"from_ms": 5}}}
    assert told["messages"] == [{"arrived_at_ms": NOW_MS, "message": json.loads(body)}]
    assert told["open_trips"][0]["heard_ms"] == 5
    assert told["open_trips"][0]["fold"]["trip"] is None
    assert told["set_aside"] == [
        {"source": "telemetry", "arrived_at_ms": 7, "reason": "bad", "detail": "why", "body": {"x": [1]}}
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"hello", "hello"),
        (b'{"x": 1', '{"x": 1'),
        (b"\xff\x00", {"base64": "/wA="}),
        (b"[" * 100_000, "[" * 100_000),
        (b"", ""),
    ],
    ids=["text", "cut", "binary", "deep", "empty"],
)
def test_what_was_parked_is_told_in_the_form_that_it_has(body: bytes, told: Any) -> None:
    aside = SetAside(source="telemetry", arrived_at_ms=7, reason="bad", detail="why", body=body)
    document = json.loads(to_json(Archive(vehicle_id="car", set_aside=[aside]), NOW_MS))
    assert document["set_aside"][0]["body"] == told
