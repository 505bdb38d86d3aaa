"""The routing query language and the routing configuration."""

from pathlib import Path

import pytest

from localcloud.errors import Misconfigured
from localcloud.iothub.property_bag import parse_bag, parse_message_properties
from localcloud.iothub.query import parse_query
from localcloud.iothub.routing import load_routing
from tests.iothub.services import CONFIG

MESSAGE = {"type": "telemetry", "urgent": "no", "$contenttype": "application/json", "x-y": "1"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("true", True),
        ("FALSE", False),
        ("type = 'telemetry'", True),
        ('type="telemetry"', True),
        ("'telemetry' = TYPE", True),
        ("type = 'Telemetry'", False),
        ("type != 'telemetry'", False),
        ("type <> 'ota'", True),
        ("$contentType = 'application/json'", True),
        ("x-y = '1'", True),
        ("type = urgent", False),
        ("1 = 1.0", True),
        ("1 <> -2", True),
        ("type = 'ota' OR urgent = 'no'", True),
        ("type = 'ota' AND urgent = 'no'", False),
        ("NOT type = 'ota' and not urgent = 'yes'", True),
        # AND binds tighter than OR, NOT tighter than both.
        ("true OR false AND false", True),
        ("(true OR false) AND false", False),
        ("NOT true OR true", True),
        ("NOT (true OR true)", False),
        # What compares with an absent property is undefined.
        ("absent = 'x'", None),
        ("absent <> 'x'", None),
        ("NOT absent = 'x'", None),
        ("absent = absent", None),
        ("absent = 'x' OR true", True),
        ("absent = 'x' OR false", None),
        ("absent = 'x' AND true", None),
        ("absent = 'x' AND false", False),
    ],
)
def test_a_query_is_true_false_or_undefined(query: str, expected: bool | None) -> None:
    assert parse_query(query)(MESSAGE) is expected


@pytest.mark.parametrize(
    "query",
    [
        "",
        "type",
        "type =",
        "= 'x'",
        "type = 'x",
        "type == 'x'",
        "type > 'x'",
        "type = 'x' AND",
        "(type = 'x'",
        "type = 'x')",
        "type = 'x' 'y'",
        "NOT",
        "AND = 'x'",
        "type = 5",
        "$body.speed = '5'",
        "$twin.tags.market = 'de'",
        "as_number(speed) > 5",
        "type IN ['a']",
    ],
)
def test_a_query_outside_of_the_subset_is_refused_by_name(query: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_query(query)
    assert repr(query) in str(refused.value)


def endpoints(bag: str, device_id: str = "car") -> tuple[str, ...]:
    return load_routing(CONFIG).endpoints(device_id, parse_message_properties(bag))


def test_a_message_goes_to_every_endpoint_that_some_route_names() -> None:
    assert endpoints("type=telemetry&urgent=yes") == ("telemetry", "urgent")


def test_what_no_route_takes_goes_to_the_fallback() -> None:
    assert endpoints("type=nothing") == ("others",)


def test_without_a_fallback_it_goes_nowhere(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text('[eventhubs.a]\nPartitionCount = 1\n[[iothub.routes]]\nname = "a"\nsource = "DeviceMessages"\n')
    with config.open("a") as file:
        file.write("condition = \"$connectionDeviceId = 'car' AND $contentType = 'x'\"\nendpoint = \"a\"\n")
    routing = load_routing(config)
    assert routing.endpoints("car", parse_message_properties("$.ct=x")) == ("a",)
    assert routing.endpoints("cart", parse_message_properties("$.ct=x")) == ()


def test_a_device_cannot_write_system_properties_into_the_query() -> None:
    properties = parse_message_properties("$connectionDeviceId=other&$contentType=x&type=telemetry")
    query = parse_query("$contentType = 'x'")
    routing = load_routing(CONFIG)
    assert routing.endpoints("car", properties) == ("telemetry",)
    assert query({"type": "telemetry"}) is None


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[[iothub.routes]]\nname = 'r'",
        "[[iothub.routes]]\nname='r'\nsource='TwinChangeEvents'\ncondition='true'\nendpoint='a'",
        "[[iothub.routes]]\nname='r'\nsource='DeviceMessages'\ncondition='maybe'\nendpoint='a'",
        "[[iothub.routes]]\nname='r'\nsource='DeviceMessages'\ncondition='true'\nendpoint='a'\n[eventhubs.a]",
        "[iothub]\nfallback_endpoint = 'nowhere'",
    ],
)
def test_a_configuration_that_cannot_work_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(text)
    with pytest.raises(Misconfigured):
        load_routing(config)


def test_a_property_bag_is_not_a_form() -> None:
    assert parse_bag("a=1+1&b=%2B%26%3D&c=&d&=e&f=g=h") == {
        "a": "1+1",
        "b": "+&=",
        "c": "",
        "d": "",
        "": "e",
        "f": "g=h",
    }
