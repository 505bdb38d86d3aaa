"""What wakes the trips job: telemetry, its command queue, and timers."""

from typing import List  # noqa: UP035 - the worker refuses the whole app for `list[...]` in a signature

import azure.functions as func

from shared import settings

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
