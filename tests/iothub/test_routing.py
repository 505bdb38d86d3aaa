"""The routing query language and the routing configuration."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.errors import Misconfigured
from localcloud.iothub.configuration import load_configuration
from localcloud.iothub.events import Event, MessageSource
from localcloud.iothub.message_view import MessageView, parse_query
from localcloud.iothub.property_bag import parse_bag, parse_message_properties
from localcloud.iothub.query_functions import FUNCTIONS
from localcloud.iothub.twin import Twin
from tests.iothub.services import CONFIG

JSON_BAG = "$.ct=application%2Fjson&$.ce=utf-8"
BODY = {
    "Weather": {
        "Temperature": 50,
        "IsEnabled": True,
        "Station": None,
        "Location": {"City": "Redmond", "State": "WA"},
        "HistoricalData": [{"Month": "Feb", "Temperature": 40}, {"Month": "Jan"}],
    },
    "Name": "it's",
}


def event(bag: str = "", body: bytes = b"", device_id: str = "car") -> Event:
    stamps: dict[str, str | datetime] = {
        "iothub-connection-device-id": device_id,
        "iothub-connection-auth-generation-id": "638",
        "iothub-enqueuedtime": datetime(2026, 3, 1, 12, tzinfo=UTC),
    }
    properties = parse_message_properties(bag)
    return Event(MessageSource.DEVICE_MESSAGES, device_id, body, properties, stamps, lambda: None)


def answer(query: str, bag: str = "", body: bytes = b"", twin: Twin | None = None) -> bool | None:
    return parse_query(query)(MessageView(event(bag, body), twin))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("true", True),
        ("FALSE", False),
        ("null", False),
        ("undefined", None),
        ("type = 'telemetry'", True),
        ('type="telemetry"', True),
        ("'telemetry' = TYPE", True),
        ("type = 'Telemetry'", False),
        ("type != 'telemetry'", False),
        ("type <> 'ota'", True),
        ("type > 'telemetrx' AND type <= 'telemetry'", True),
        ("x-y = '1'", True),
        ("type = urgent", False),
        ("1 = 1.0", True),
        ("1 <> -2", True),
        ("0x1F = 31", True),
        ("1.5e2 >= 150", True),
        ("type = 'tele\\u006detry'", True),
        ("type = 'ota' OR urgent = 'no'", True),
        ("type = 'ota' AND urgent = 'no'", False),
        ("NOT type = 'ota' and not urgent = 'yes'", True),
        ("NOT NOT type = 'telemetry'", True),
        # AND binds tighter than OR, NOT tighter than both; so do `*`, `/` and `%` than `+` and `-`.
        ("true OR false AND false", True),
        ("(true OR false) AND false", False),
        ("NOT true OR true", True),
        ("NOT (true OR true)", False),
        ("1 + 2 * 3 - 8 / 4 = 5", True),
        ("-7 % 3 = -1", True),
        ("1 / 0 = 1", None),
        ("(1e200 * 1e200) % (1e200 * 1e200) = 1", None),
        ("5 % (1e200 * 1e200) = 5", True),
        ("10 - 2 - 3 = 5", True),
        # What compares with an absent property is undefined.
        ("absent = 'x'", None),
        ("absent <> 'x'", None),
        ("NOT absent = 'x'", None),
        ("absent = absent", None),
        ("absent = 'x' OR true", True),
        ("absent = 'x' OR false", None),
        ("absent = 'x' AND true", None),
        ("absent = 'x' AND false", False),
        # Properties of the message that are not the sender's.
        ("$contentType = 'text/plain'", True),
        ("$messageId = 'm 1'", True),
        ("$connectionDeviceId = 'car' AND $iothub-connection-device-id = 'car'", True),
        ("$connectionDeviceGenerationId = '638'", True),
        ("$enqueuedTime > '2026-03-01T11:59:59Z' AND $enqueuedTime < '2026-03-02'", True),
        ("$dt-subject = 'engine'", True),
        ("$absent = 'x'", None),
        ("$own = 'mine'", True),
    ],
)
def test_a_query_is_true_false_or_undefined(query: str, expected: bool | None) -> None:
    bag = "type=telemetry&urgent=no&x-y=1&$.ct=text%2Fplain&$.mid=m%201&$.sub=engine&%24own=mine"
    assert answer(query, bag) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("as_number(level) <= 7", True),
        ("as_number('seven') = 7", None),
        ("as_number(3) = 3", True),
        ("abs(-2) = 2 AND square(3) = 9 AND power(2, 10) = 1024 AND sqrt(16) = 4", True),
        ("ceiling(1.2) = 2 AND floor(-1.2) = -2 AND sign(-5) = -1 AND exp(0) = 1", True),
        ("sqrt(-1) = 1", None),
        ("power(10, 400) > 1", None),
        ("length(type) = 9", True),
        ("length(absent) = 9", None),
        ("lower('AbC') = 'abc' AND UPPER('AbC') = 'ABC'", True),
        ("concat(type, '-', level) = 'telemetry-7'", True),
        ("substring(type, 4) = 'metry' AND substring(type, 0, 4) = 'tele'", True),
        ("substring(type, 20) = ''", True),
        ("index_of(type, 'met') = 4 AND index_of(type, 'x') = -1", True),
        ("starts_with(type, 'tele') AND ends_with(type, 'try') AND contains(type, 'met')", True),
        ("starts_with(absent, 'tele')", None),
        ("is_defined(type) AND NOT is_defined(absent)", True),
        ("is_string(type) AND NOT is_number(type) AND is_number(1) AND is_bool(true)", True),
        ("is_null(null) AND NOT is_null(absent)", True),
        ("is_primitive(type) AND is_primitive(null) AND NOT is_primitive(absent)", True),
        ("length(concat(lower('AB'), upper('c'))) + 1 = 4", True),
    ],
)
def test_the_functions_of_the_documentation(query: str, expected: bool | None) -> None:
    assert answer(query, "type=telemetry&level=7") is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$body.Weather.HistoricalData[0].Month = 'Feb'", True),
        ("$body.Weather.Temperature = 50 AND $body.Weather.IsEnabled", True),
        ("length($body.Weather.Location.State) = 2", True),
        ("$body.Weather.Temperature >= 50 AND type = 'a'", True),
        ("$body.Weather.Temperature + 1 > 50", True),
        ("$body.Weather.Temperature = '50'", None),
        ("$body.Name = 'it\\'s' OR $body.Name = \"it's\"", True),
        ("$body.Weather.HistoricalData[2].Month = 'Mar'", None),
        ("$body.weather.Temperature = 50", None),
        ("$body.Weather", False),
        ("is_object($body.Weather) AND is_array($body.Weather.HistoricalData)", True),
        ("is_defined($body.Weather.Station) AND is_null($body.Weather.Station)", True),
        ("$body.Weather.Station = null", True),
        ("is_defined($body.Weather.Wind)", False),
        ("$body[0] = 'Feb'", None),
        ("$body = 'Feb'", None),
        ("is_defined($body)", False),
    ],
)
def test_a_query_can_look_into_a_json_body(query: str, expected: bool | None) -> None:
    assert answer(query, f"{JSON_BAG}&type=a", msgspec.json.encode(BODY)) is expected


@pytest.mark.parametrize(
    ("bag", "encoding", "is_read"),
    [
        ("$.ct=application%2Fjson&$.ce=UTF-8", "utf-8", True),
        ("$.ct=application%2FJSON&$.ce=utf-16", "utf-16", True),
        ("$.ct=application%2Fjson&$.ce=utf-32", "utf-32", True),
        ("$.ct=application%2Fjson%3Bcharset%3Dutf-8", "utf-8", True),
        ("$.ct=application%2Fjson", "utf-8", False),
        ("$.ct=text%2Fplain&$.ce=utf-8", "utf-8", False),
        ("$.ct=application%2Fjson&$.ce=latin-1", "latin-1", False),
        ("$.ct=application%2Fjson&$.ce=utf-8", "utf-16", False),
        ("", "utf-8", False),
    ],
)
def test_a_body_is_read_only_if_the_message_says_what_it_is(bag: str, encoding: str, is_read: bool) -> None:
    expected = True if is_read else None
    assert answer("$body.speed = 5", bag, '{"speed": 5}'.encode(encoding)) is expected


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b'"text"', b"[1]"])
def test_a_body_that_is_no_json_object_matches_nothing_and_hurts_nobody(body: bytes) -> None:
    assert answer("$body.speed = 5", JSON_BAG, body) is None


def test_a_query_can_look_into_the_twin_of_the_sender() -> None:
    twin = Twin()
    twin.change_by_service({"Location": {"floor": "1"}}, {"telemetry": {"frequency": "5m"}}, replace=False)
    twin.report({"batteryLevel": 55, "list": [1, 2]})
    assert answer("$twin.properties.desired.telemetry.frequency = '5m'", twin=twin)
    assert answer("$TWIN.tags.location.Floor = '1'", twin=twin), "names do not depend on case"
    assert answer("$twin.properties.reported.batterylevel < 60", twin=twin)
    assert answer("$twin.properties.reported.list[1] = 2", twin=twin)
    assert answer("$twin.tags.market = 'de'", twin=twin) is None
    assert answer("$twin.tags.location.floor = '1'") is None, "nobody's twin"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "type",
        "type =",
        "= 'x'",
        "type = 'x",
        "type == 'x'",
        "type = 'x' AND",
        "(type = 'x'",
        "type = 'x')",
        "type = 'x' 'y'",
        "type = 'a\\b'",
        "NOT",
        "NOT 1",
        "AND = 'x'",
        "type = 5",
        "type + 1 = 2",
        "1 AND 2",
        "length(5) = 1",
        "length() = 1",
        "length(type, type) = 1",
        "length(type)",
        "nonsense(type)",
        "type IN ['a']",
        "type[0] = 'a'",
        "$twin.deviceId = 'car'",
        "$twin.properties = 'x'",
        "$body..speed = 1",
        "1e999 = 1",
        "type = 'x' /* why */",
        "a || b = 'ab'",
        "(" * 40 + "true" + ")" * 40,
        "true" + " OR true" * 1000,
    ],
)
def test_a_query_outside_of_the_subset_is_refused_by_name(query: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_query(query)
    assert repr(query[:40])[:-1] in str(refused.value)


WORDS = [
    *("type", "level", "absent", "$body.a[0].b", "$body.n", "$twin.tags.x", "$contentType", "$own"),
    *("'text'", '"7"', "7", "-1.5", "0x1F", "true", "false", "null", "undefined"),
    *("AND", "OR", "NOT", "=", "!=", "<", ">=", "+", "-", "*", "/", "%", "(", ")", ",", "["),
    *(f"{name}(" for name in FUNCTIONS),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abn"), inner, max_size=3),
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=30), JSON)
def test_whatever_stands_in_a_query_and_in_a_body_nothing_breaks(query: str, body: Any) -> None:
    """A query is refused when the hub starts, or it has an answer for every message."""
    with suppress(Misconfigured):
        parse_query(query)
        assert answer(query, f"{JSON_BAG}&type=a&level=7", msgspec.json.encode(body)) in (True, False, None)


def operand(depth: int) -> st.SearchStrategy[str]:
    """Numbers that a query can come to, so that most queries are understood."""
    simple = st.sampled_from(["$body.n", "$body.a[0]", "7", "0", "length('abc')", "as_number(level)", "1e200"])
    if not depth:
        return simple
    inner = operand(depth - 1)
    calls = st.builds("{}({})".format, st.sampled_from(["abs", "exp", "square", "sqrt", "floor", "ceiling"]), inner)
    sums = st.builds("({} {} {})".format, inner, st.sampled_from("+-*/%"), inner)
    return simple | calls | sums | st.builds("power({}, {})".format, inner, inner)


@settings(max_examples=500, deadline=None)
@given(operand(3), st.sampled_from(["=", "<>", "<", ">="]), JSON)
def test_calculations_never_break(text: str, comparison: str, number: Any) -> None:
    body = msgspec.json.encode({"n": number, "a": [number]})
    assert answer(f"{text} {comparison} 7", f"{JSON_BAG}&level=7", body) in (True, False, None)


def test_a_long_query_is_no_deep_one() -> None:
    assert answer("1" + " + 1" * 900 + " = 901")
    assert answer("true" + " AND true" * 400)


def endpoints(bag: str, device_id: str = "car", config: Path = CONFIG) -> tuple[str, ...]:
    return load_configuration(config).routing.endpoints(event(bag, device_id=device_id), None)


def test_a_message_goes_to_every_endpoint_that_some_route_names() -> None:
    assert endpoints("type=telemetry&urgent=yes") == ("telemetry", "urgent")


def test_what_no_route_takes_goes_to_the_fallback() -> None:
    assert endpoints("type=nothing") == ("others",)


def test_without_a_fallback_it_goes_nowhere(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text('[eventhubs.a]\nPartitionCount = 1\n[[iothub.routes]]\nname = "a"\nsource = "DeviceMessages"\n')
    with config.open("a") as file:
        file.write("condition = \"$connectionDeviceId = 'car' AND $contentType = 'x'\"\nendpoint = \"a\"\n")
    assert endpoints("$.ct=x", config=config) == ("a",)
    assert endpoints("$.ct=x", "cart", config=config) == ()


def test_a_device_cannot_speak_for_another_by_an_application_property() -> None:
    bag = "%24connectionDeviceId=other&%24iothub-connection-device-id=other&connectionDeviceId=other"
    assert answer("$connectionDeviceId = 'other' OR $iothub-connection-device-id = 'other'", bag) is False


def test_only_device_messages_go_to_the_fallback() -> None:
    notice = replace(event(), source=MessageSource.TWIN_CHANGE)
    assert load_configuration(CONFIG).routing.endpoints(notice, None) == ()


def test_a_route_without_a_condition_takes_all_of_its_source(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(
        "[[iothub.routes]]\nname='r'\nsource='TwinChangeEvents'\nendpoint='a'\n[eventhubs.a]\nPartitionCount=1"
    )
    routing = load_configuration(config).routing
    assert routing.endpoints(replace(event(), source=MessageSource.TWIN_CHANGE), None) == ("a",)
    assert routing.endpoints(event(), None) == ()


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[[iothub.routes]]\nname = 'r'",
        "[[iothub.routes]]\nname='r'\nsource='DigitalTwinChangeEvents'\ncondition='true'\nendpoint='a'",
        "[[iothub.routes]]\nname='r'\nsource='DeviceMessages'\ncondition='maybe'\nendpoint='a'",
        "[[iothub.routes]]\nname='r'\nsource='DeviceMessages'\ncondition='true'\nendpoint='a'\n[eventhubs.b]",
        "[iothub]\nfallback_endpoint = 'nowhere'",
        "[iothub]\ntier = 'S9'",
        "[iothub]\ntier = 'B1'",
        "[iothub]\ntier = 'S1'\nunits = 0",
        "[iothub]\ntier = 'S1'\nqueue_seconds = -1",
    ],
)
def test_a_configuration_that_cannot_work_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(text)
    with pytest.raises(Misconfigured):
        load_configuration(config)


def test_a_property_bag_is_not_a_form() -> None:
    assert parse_bag("a=1+1&b=%2B%26%3D&c=&d&=e&f=g=h") == {
        "a": "1+1",
        "b": "+&=",
        "c": "",
        "d": "",
        "": "e",
        "f": "g=h",
    }
