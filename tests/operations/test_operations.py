"""What the people who run the fleet see of parked messages."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest

from functions.operations import console, service, triggers
from localcloud.layout import Layout
from localcloud.services import LocalCloud
from shared import settings
from shared.errors import Rejected
from shared.messaging import parking
from shared.messaging.parking import Origin
from shared.settings import PARKING_SOURCES, TELEMETRY_HUB, TRIP_COMMANDS

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def ask(function: Any, **params: str) -> func.HttpResponse:
    user_function = function.build().get_user_function() if hasattr(function, "build") else function
    request = func.HttpRequest("GET", "/", params=params, body=b"")
    response = await user_function(request)
    assert isinstance(response, func.HttpResponse)
    return response


async def park(source: str, detail: str, at: datetime = NOW) -> str:
    position = uuid4().hex
    await parking.park(Origin(source, position, at, "car-1"), Rejected("bad-thing", detail), b"body of a person")
    return position


async def test_the_newest_parked_messages_of_a_source_are_listed(local_services: LocalCloud) -> None:
    assert local_services
    later = datetime(2200, 1, 1, tzinfo=UTC)  # newer than what other tests park
    old, new = await park(TELEMETRY_HUB, "old", later), await park(TELEMETRY_HUB, "new", later.replace(hour=1))
    await park(TRIP_COMMANDS, "of another source", later.replace(hour=2))
    response = await ask(triggers.operations_parked, source=TELEMETRY_HUB, limit="2")
    listed = json.loads(response.get_body())["parked"]
    assert [item["position"] for item in listed] == [new, old]
    assert listed[0] | {"blob": None} == {
        "source": TELEMETRY_HUB,
        "arrived_at": "2200-01-01T01:00:00+00:00",
        "vehicle_id": "car-1",
        "reason": "bad-thing",
        "detail": "new",
        "position": new,
        "blob": None,
    }
    everything = json.loads((await ask(triggers.operations_parked)).get_body())["parked"]
    assert [item["detail"] for item in everything[:3]] == ["of another source", "new", "old"]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"source": "nowhere"}, "unknown-source"),
        ({"limit": "0"}, "bad-limit"),
        ({"limit": "-1"}, "bad-limit"),
        ({"limit": "1001"}, "bad-limit"),
        ({"limit": "many"}, "bad-limit"),
        ({"limit": "²"}, "bad-limit"),
        ({"limit": "9" * 5000}, "bad-limit"),
    ],
)
async def test_a_wrong_question_is_answered_in_words(params: dict[str, str], code: str) -> None:
    response = await ask(triggers.operations_parked, **params)
    assert response.status_code == 400
    assert json.loads(response.get_body())["error"] == code


async def test_the_console_shows_what_is_parked_without_its_body(local_services: LocalCloud) -> None:
    assert local_services
    await park(TRIP_COMMANDS, "a detail to be seen", datetime(2201, 1, 1, tzinfo=UTC))
    response = await ask(triggers.operations_console)
    page = response.get_body().decode()
    assert response.mimetype == "text/html"
    assert "a detail to be seen" in page
    assert "body of a person" not in page
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_a_console_of_no_such_source_is_refused() -> None:
    assert (await ask(triggers.operations_console, source="nowhere")).status_code == 400


def test_what_a_vehicle_sent_cannot_act_on_the_page() -> None:
    item = dict.fromkeys(("source", "reason", "detail", "vehicle_id"), "<script>alert(1)</script>")
    page = console.render([item | {"arrived_at": NOW.isoformat()}], "<b>", sources=PARKING_SOURCES)
    assert "<script>" not in page
    assert "<b>" not in page.split("<h1>")[1].split("</h1>")[0]


def test_an_empty_console_says_so() -> None:
    assert "Nothing is parked." in console.render([], None, sources=PARKING_SOURCES)


@pytest.fixture
def a_week_is_kept(environment: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert environment
    monkeypatch.setenv("PARKED_RETENTION_DAYS", "7")
    settings.settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.settings.cache_clear()


@pytest.mark.usefixtures("local_services", "a_week_is_kept")
async def test_the_timer_removes_what_was_parked_longer_ago_than_the_retention() -> None:
    """To the millisecond, of every source."""
    now = datetime(2001, 1, 8, tzinfo=UTC)  # before what other tests park
    kept, gone = set[str](), set[str]()
    for source in PARKING_SOURCES:
        kept.add(await park(source, "seven days old", datetime(2001, 1, 1, tzinfo=UTC)))
        gone.add(await park(source, "a millisecond older", datetime(2000, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)))
    await service.expire_parked(clock=lambda: now)
    left = {item.origin.position async for item in parking.parked()}
    assert kept <= left
    assert not gone & left
    await ask_timer(triggers.operations_parked_retention)
    assert not kept & {item.origin.position async for item in parking.parked()}


async def ask_timer(function: Any) -> None:
    await function.build().get_user_function()(timer=None)
