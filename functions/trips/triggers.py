"""What wakes the trips job: telemetry, its command queue, timers, and people who ask for what is stored."""

import json
from typing import List  # noqa: UP035 - the worker refuses the whole app for `list[...]` in a signature

import azure.functions as func

from shared import settings
from shared.errors import Rejected

trips = func.Blueprint()  # type: ignore[no-untyped-call] # the library's constructor is not annotated


@trips.event_hub_message_trigger(
    arg_name="events",
    event_hub_name=settings.TELEMETRY_HUB,
    connection=settings.VEHICLE_EVENTS_CONNECTION,
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
    consumer_group="$Default",
)
@trips.retry(**settings.RETRY_FOR_EVER)
async def trips_telemetry(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 - as above
    from functions.trips import service
    from shared.messaging import device_messages

    await service.hear(await device_messages.receive(events, settings.TELEMETRY_HUB))


@trips.service_bus_queue_trigger(
    arg_name="message",
    queue_name=settings.TRIP_COMMANDS,
    connection=settings.SERVICE_BUS_CONNECTION,
    data_type=func.DataType.BINARY,
)
async def trips_commands(message: func.ServiceBusMessage) -> None:
    from functions.trips import service
    from shared.messaging import service_messages

    await service_messages.handle(message, service.obey, source=settings.TRIP_COMMANDS, retry_to=settings.TRIP_COMMANDS)


@trips.timer_trigger(arg_name="timer", schedule=f"%{settings.TRIP_SWEEP_SCHEDULE}%", use_monitor=True)
@trips.retry(**settings.RETRY_FOR_EVER)
async def trips_sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding asks for it
    from functions.trips import service

    await service.start_sweep()


@trips.timer_trigger(arg_name="timer", schedule=f"%{settings.TRIP_ROLLUP_SCHEDULE}%", use_monitor=True)
@trips.retry(**settings.RETRY_FOR_EVER)
async def trips_rollup(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding asks for it
    from functions.trips import rollup_service

    await rollup_service.start()


@trips.timer_trigger(arg_name="timer", schedule=f"%{settings.TRIP_RETENTION_SCHEDULE}%", use_monitor=True)
@trips.retry(**settings.RETRY_FOR_EVER)
async def trips_retention(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding asks for it
    from functions.trips import archive_service

    await archive_service.start_retention()


# --- What is stored about a vehicle, for those who act for the person whom it is about

_CONTENT_TYPES = {"gpx": "application/gpx+xml", "json": "application/json"}


@trips.route(
    route="vehicles/{vehicle_id}/trips/export",
    methods=["GET"],
    auth_level=func.AuthLevel.FUNCTION,
    trigger_arg_name="request",
)
async def trips_export(request: func.HttpRequest) -> func.HttpResponse:
    """Query: `format`, `json` (all that is stored) or `gpx` (where it was)."""
    from functions.trips import archive_service

    vehicle_id, form = request.route_params["vehicle_id"], request.params.get("format") or "json"
    try:
        document = await archive_service.read(vehicle_id, form)
    except Rejected as reason:
        return _json({"error": reason.code, "detail": reason.detail}, status=400)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="trips-{vehicle_id}.{form}"',
    }
    return func.HttpResponse(document, mimetype=_CONTENT_TYPES[form], headers=headers)


@trips.route(
    route="vehicles/{vehicle_id}/trips",
    methods=["DELETE"],
    auth_level=func.AuthLevel.FUNCTION,
    trigger_arg_name="request",
)
async def trips_erasure(request: func.HttpRequest) -> func.HttpResponse:
    """Erases all that is stored; the event `VehicleErased` tells when that is done, a quarter of an hour later.

    Query: `request_id`, by which the event answers and the request may be repeated.
    """
    from functions.trips import archive_service

    try:
        vehicle_id, request_id = request.route_params["vehicle_id"], request.params.get("request_id")
        request_id = await archive_service.request_erasure(vehicle_id, request_id)
    except Rejected as reason:
        return _json({"error": reason.code, "detail": reason.detail}, status=400)
    return _json({"request_id": request_id}, status=202)


def _json(document: object, status: int) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(document), status_code=status, mimetype="application/json")
