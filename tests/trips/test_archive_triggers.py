"""What people ask for over HTTP, and the timer, as the worker calls them."""

import json
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from functions.trips.triggers import trips
from shared.messaging.contracts import EraseVehicle, decode
from shared.messaging.publisher import Outgoing
from shared.settings import CHARGING_SESSIONS_TABLE, TRIPS_TABLE
from tests.trips.conftest import Car
from tests.trips.drives import bodies, drive
from tests.trips.gpx_rules import checked


@pytest.fixture(scope="module")
def functions() -> dict[str, Callable[..., Any]]:
    """The job's functions by name."""
    app = func.FunctionApp()
    app.register_functions(trips)
    return {str(function.get_function_name()): function.get_user_function() for function in app.get_functions()}


async def ask(function: Callable[..., Any], vehicle_id: str, method: str = "GET", **params: str) -> func.HttpResponse:
    route = {"vehicle_id": vehicle_id}
    response = await function(func.HttpRequest(method, "/", params=params, route_params=route, body=b""))
    assert isinstance(response, func.HttpResponse)
    return response


async def test_what_is_stored_is_handed_out_as_a_file(functions: dict[str, Callable[..., Any]], car: Car) -> None:
    await car.sends(bodies(drive(20)))
    await car.closes()
    response = await ask(functions["trips_export"], car.vehicle_id)
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert response.headers["Content-Disposition"] == f'attachment; filename="trips-{car.vehicle_id}.json"'
    assert response.headers["Cache-Control"] == "no-store"
    assert len(json.loads(response.get_body())["trips"]) == 1
    response = await ask(functions["trips_export"], car.vehicle_id, format="gpx")
    assert (response.status_code, response.mimetype) == (200, "application/gpx+xml")
    assert response.headers["Content-Disposition"].endswith('.gpx"')
    checked(response.get_body())


@pytest.mark.usefixtures("local_services")
async def test_of_a_vehicle_that_nobody_knows_nothing_is_handed_out(functions: dict[str, Callable[..., Any]]) -> None:
    """Whether it exists is not told."""
    response = await ask(functions["trips_export"], "nobody")
    assert (response.status_code, json.loads(response.get_body())["trips"]) == (200, [])


@pytest.mark.parametrize(
    ("name", "vehicle_id", "params", "code"),
    [
        ("trips_export", "car", {"format": "kml"}, "unknown-format"),
        ("trips_export", 'car"; x="', {}, "bad-vehicle-id"),
        ("trips_erasure", "no vehicle", {}, "bad-vehicle-id"),
        ("trips_erasure", "car", {"request_id": "a|b"}, "bad-data"),
    ],
)
async def test_a_wrong_question_is_answered_in_words(
    functions: dict[str, Callable[..., Any]], name: str, vehicle_id: str, params: dict[str, str], code: str
) -> None:
    response = await ask(functions[name], vehicle_id, **params)
    assert response.status_code == 400
    assert json.loads(response.get_body())["error"] == code


async def test_an_erasure_is_accepted_and_begins_in_the_background(
    functions: dict[str, Callable[..., Any]], car: Car, commands: list[Outgoing]
) -> None:
    asked: list[dict[str, str]] = [{}, {}, {"request_id": "mine"}]
    answers = [await ask(functions["trips_erasure"], car.vehicle_id, "DELETE", **params) for params in asked]
    assert {answer.status_code for answer in answers} == {202}
    assert [decode(one.envelope, EraseVehicle) for one in commands] == [
        EraseVehicle(vehicle_id=car.vehicle_id, request_id=json.loads(answer.get_body())["request_id"])
        for answer in answers
    ]
    assert len({one.envelope.id for one in commands}) == 3
    assert json.loads(answers[-1].get_body()) == {"request_id": "mine"}


@pytest.mark.usefixtures("local_services")
async def test_the_timer_starts_what_has_to_be_removed(
    functions: dict[str, Callable[..., Any]], commands: list[Outgoing]
) -> None:
    await functions["trips_retention"](timer=None)
    kinds = [(one.envelope.type, one.envelope.subject) for one in commands]
    assert kinds == [
        ("ForgetErasures", "erasures"),
        ("RemoveOld", TRIPS_TABLE),
        ("RemoveOld", CHARGING_SESSIONS_TABLE),
    ]
    assert len({one.envelope.id for one in commands}) == 3
