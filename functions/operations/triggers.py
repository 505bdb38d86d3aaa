"""What people who run the fleet ask for over HTTP, and a timer that tidies up. Every route needs a function key."""

import json

import azure.functions as func

from shared import settings
from shared.errors import Rejected

operations = func.Blueprint()  # type: ignore[no-untyped-call] # the library's constructor is not annotated


@operations.route(route="parked", methods=["GET"], auth_level=func.AuthLevel.FUNCTION, trigger_arg_name="request")
async def operations_parked(request: func.HttpRequest) -> func.HttpResponse:
    """Query: `source` (an Event Hub, queue or topic) and `limit`."""
    from functions.operations import service

    try:
        found = await service.parked(request.params.get("source"), request.params.get("limit"))
    except Rejected as reason:
        return _json({"error": reason.code, "detail": reason.detail}, status=400)
    return _json({"parked": found})


@operations.route(route="console", methods=["GET"], auth_level=func.AuthLevel.FUNCTION, trigger_arg_name="request")
async def operations_console(request: func.HttpRequest) -> func.HttpResponse:
    """The same as a page for the browser."""
    from functions.operations import console, service

    try:
        found = await service.parked(request.params.get("source"), None)
    except Rejected as reason:
        return _json({"error": reason.code, "detail": reason.detail}, status=400)
    page = console.render(found, request.params.get("source"), sources=settings.PARKING_SOURCES)
    return func.HttpResponse(page, mimetype="text/html", headers=console.HEADERS)


@operations.timer_trigger(arg_name="timer", schedule=f"%{settings.PARKED_RETENTION_SCHEDULE}%", use_monitor=True)
@operations.retry(**settings.RETRY_FOR_EVER)
async def operations_parked_retention(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding asks for it
    from functions.operations import service

    await service.expire_parked()


def _json(document: object, status: int = 200) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(document), status_code=status, mimetype="application/json")
