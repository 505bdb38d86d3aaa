"""What is stored about where a vehicle was, as GPX 1.1, which maps and navigation devices read. Pure.

One track for each trip: its points with times where its messages are still there, else its simplified line. What was
measured in no trip is a track of its own, charging sessions are waypoints. What a trip was like stands in extensions,
named as in the JSON export. https://www.topografix.com/GPX/1/1/ says what goes where in which order.
"""

import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import accumulate, groupby
from typing import Any, NamedTuple
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import msgspec

from functions.trips.export import Archive
from functions.trips.geodesy import decoded
from functions.trips.samples import Message
from shared.clock import from_epoch_ms
from shared.messaging.bodies import BODY_ERRORS

NAMESPACE = "http://www.topografix.com/GPX/1/1"
EXTENSIONS = "urn:automotive-cloud:trips:1"
CREATOR = "automotive-cloud"

_FIRST_MINUTE_MS = 60_000
_BEYOND_LON = 180.0 - 5e-8  # as decimals are written
_LINE = {"polyline"}  # is the track itself
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # https://www.w3.org/TR/xml/#charsets


class Point(NamedTuple):
    """A place in degrees, what of it is known: height above sea level in metres, and when (epoch milliseconds)."""

    lat: float
    lon: float
    height_m: float | None = None
    t: int | None = None


def to_gpx(archive: Archive, exported_at_ms: int) -> bytes:
    """The document in UTF-8. Valid whatever is stored: what XML or GPX cannot say is left out."""
    measured, times = _measured(archive.messages), _times(archive.messages)
    told = list[tuple[int, int]]()
    document = _Document()
    root = {"version": "1.1", "creator": CREATOR, "xmlns": NAMESPACE, "xmlns:trip": EXTENSIONS}
    with document.element("gpx", root):
        with document.element("metadata"):
            document.text("name", f"Trips of vehicle {archive.vehicle_id}")
            document.text("time", _moment(exported_at_ms))
        for session in _oldest_first(archive.charging_sessions):
            _write_session(document, session)
        for trip in _oldest_first(archive.trips):
            line = [Point(lat / 1e5, lon / 1e5) for lat, lon in decoded(str(trip.get("polyline") or ""))]
            if _is_whole(trip, times):
                told.append((trip["started_at_ms"], trip["ended_at_ms"]))
                line = _within(measured, *told[-1]) or line
            _write_trip(document, trip, line)
        if other := list(_outside(measured, told)):
            _write_other(document, other)
    return document.content()


def _oldest_first(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: int(row["started_at_ms"]))


# --- Points


def _measured(messages: Iterable[Message]) -> list[Point]:
    """Where the vehicle was measured to be, by time."""
    points = list[Point]()
    for message in messages:
        run, heights = message.run, _heights(message.body)
        if run.lat and run.lon:
            located = zip(run.t, run.lat, run.lon, strict=True)
            points += [Point(lat, lon, heights.get(t), t) for t, lat, lon in located if lat is not None]
    return sorted(points, key=_at)


def _at(point: Point) -> int:
    return point.t or 0


def _times(messages: Iterable[Message]) -> list[int]:
    return sorted(t for message in messages for t in message.run.t)


class _Heights(msgspec.Struct):
    t: list[int]
    alt_m: list[float | None] = []


def _heights(body: bytes) -> dict[int, float]:
    """Heights by time, which are of no use to trips and so are not among the samples; none where they make no sense."""
    try:
        sent = msgspec.json.decode(body, type=_Heights)
    except BODY_ERRORS:
        return {}
    column = sent.alt_m * len(sent.t) if len(sent.alt_m) == 1 else sent.alt_m
    if len(column) != len(sent.t):
        return {}
    heights = zip(accumulate(sent.t), column, strict=True)
    return {t: height for t, height in heights if height is not None and -1000 < height < 100_000}


def _is_whole(trip: Mapping[str, Any], times: Sequence[int]) -> bool:
    """Whether all messages of the trip are still there: they go from the oldest on."""
    first = bisect_left(times, trip["started_at_ms"])
    return first < len(times) and times[first] <= min(trip["started_at_ms"] + _FIRST_MINUTE_MS, trip["ended_at_ms"])


def _within(points: Sequence[Point], first_ms: int, last_ms: int) -> list[Point]:
    return list(points[bisect_left(points, first_ms, key=_at) : bisect_right(points, last_ms, key=_at)])


def _outside(points: Iterable[Point], spans: Sequence[tuple[int, int]]) -> Iterator[list[Point]]:
    """The points in none of the spans, which are in order, in pieces between them."""
    starts = [first_ms for first_ms, _ in spans]
    for before, piece in groupby(points, key=lambda point: bisect_right(starts, _at(point))):
        last_ms = spans[before - 1][1] if before else -1
        if left := [point for point in piece if _at(point) > last_ms]:
            yield left


# --- The document


class _Document:
    """Writes XML: escaped, and without the characters that it has no way to say."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._xml = XMLGenerator(self._bytes, "utf-8", short_empty_elements=True)
        self._xml.startDocument()

    @contextmanager
    def element(self, name: str, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        self._xml.startElement(name, AttributesImpl(dict(attributes or {})))
        yield
        self._xml.endElement(name)

    def text(self, name: str, content: object) -> None:
        with self.element(name):
            self._xml.characters(_UNSAYABLE.sub("", str(content)))

    def content(self) -> bytes:
        self._xml.endDocument()
        return self._bytes.getvalue()


def _write_session(document: _Document, session: Mapping[str, Any]) -> None:
    lat, lon = session.get("lat"), session.get("lon")
    if lat is None or lon is None:
        return
    with _place(document, "wpt", Point(lat, lon)):
        document.text("time", _moment(session["started_at_ms"]))
        document.text("name", _name("Charging", session["started_at_ms"], session.get("place")))
        document.text("type", "charging")
        _write_extensions(document, session)


def _write_trip(document: _Document, trip: Mapping[str, Any], line: Sequence[Point]) -> None:
    with document.element("trk"):
        places = [str(place) for place in (trip.get("start_place"), trip.get("end_place")) if place]
        document.text("name", _name("Trip", trip["started_at_ms"], " – ".join(places)))
        document.text("type", trip.get("kind") or "driven")
        _write_extensions(document, trip)
        _write_segment(document, line)


def _write_other(document: _Document, pieces: Iterable[Sequence[Point]]) -> None:
    with document.element("trk"):
        document.text("name", "Measured in no completed trip")
        for piece in pieces:
            _write_segment(document, piece)


def _write_segment(document: _Document, points: Sequence[Point]) -> None:
    with document.element("trkseg"):
        for point in points:
            with _place(document, "trkpt", point):
                if point.height_m is not None:
                    document.text("ele", _decimal(point.height_m))
                if point.t is not None:
                    document.text("time", _moment(point.t))


def _place(document: _Document, name: str, point: Point) -> AbstractContextManager[None]:
    """The schema takes longitudes from -180 to below 180."""
    lon = point.lon if point.lon < _BEYOND_LON else -180.0
    return document.element(name, {"lat": _decimal(point.lat), "lon": _decimal(lon)})


def _write_extensions(document: _Document, row: Mapping[str, Any]) -> None:
    with document.element("extensions"):
        for name, value in row.items():
            if name not in _LINE and value is not None:
                document.text(f"trip:{name}", value)


def _name(kind: str, started_at_ms: int, where: object) -> str:
    return f"{kind} of {from_epoch_ms(started_at_ms):%Y-%m-%d %H:%M} UTC" + (f", {where}" if where else "")


def _moment(epoch_ms: int) -> str:
    return f"{from_epoch_ms(epoch_ms):%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"


def _decimal(number: float) -> str:
    """Without an exponent, which the schema does not know."""
    return f"{number:.7f}".rstrip("0").rstrip(".")
