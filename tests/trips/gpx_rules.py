"""What the schema of GPX 1.1 asks of the elements that we write: https://www.topografix.com/GPX/1/1/"""

import re
from decimal import Decimal
from xml.etree.ElementTree import Element, fromstring

NAMESPACE = "{http://www.topografix.com/GPX/1/1}"

_POINT = (
    "ele time magvar geoidheight name cmt desc src link sym type fix sat hdop vdop pdop ageofdgpsdata dgpsid extensions"
)
_CHILDREN = {  # in this order
    "gpx": "metadata wpt rte trk extensions",
    "metadata": "name desc author copyright link time keywords bounds extensions",
    "wpt": _POINT,
    "trkpt": _POINT,
    "trk": "name cmt desc src link number type extensions trkseg",
    "trkseg": "trkpt extensions",
}
_REPEATED = {"wpt", "trk", "trkseg", "trkpt"}
_ATTRIBUTES = {"gpx": {"version", "creator"}, "wpt": {"lat", "lon"}, "trkpt": {"lat", "lon"}}
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_DATE_TIME = re.compile(r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


def checked(document: bytes) -> Element:
    """The root of the document, after all of the document was checked."""
    root = fromstring(document)
    assert root.tag == f"{NAMESPACE}gpx"
    assert root.get("version") == "1.1"
    _check(root)
    return root


def _check(element: Element) -> None:
    name = element.tag.removeprefix(NAMESPACE)
    assert set(element.attrib) == _ATTRIBUTES.get(name, set()), name
    if name == "extensions":
        assert not [child.tag for child in element if child.tag.startswith(NAMESPACE)], "only of other namespaces"
        return
    order = _CHILDREN.get(name, "").split()
    children = [child.tag.removeprefix(NAMESPACE) for child in element]
    assert children == sorted(children, key=order.index), name
    assert not [child for child in set(children) - _REPEATED if children.count(child) > 1], name
    if "lat" in element.attrib:
        assert -90 <= _decimal(element.attrib["lat"]) <= 90
        assert -180 <= _decimal(element.attrib["lon"]) < 180
    match name:
        case "ele":
            _decimal(element.text)
        case "time":
            assert _DATE_TIME.fullmatch(element.text or ""), element.text
    for child in element:
        _check(child)


def _decimal(text: str | None) -> Decimal:
    assert _DECIMAL.fullmatch(text or ""), text
    return Decimal(text or "")
