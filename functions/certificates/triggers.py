"""What wakes the certificates job: a timer, its command queue, and messages from vehicles."""

from typing import List  # noqa: UP035 - the worker refuses the whole app for `list[...]` in a signature

import azure.functions as func

from shared import settings

certificates = func.Blueprint()  # type: ignore[no-untyped-call] # the library's constructor is not annotated


@certificates.timer_trigger(arg_name="timer", schedule=f"%{settings.CERTIFICATE_SCAN_SCHEDULE}%", use_monitor=True)
@certificates.retry(**settings.RETRY_FOR_EVER)
async def certificates_scan(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding asks for it
    from functions.certificates import service

    await service.start_scan()


@certificates.service_bus_queue_trigger(
    arg_name="message",
    queue_name=settings.CERTIFICATE_COMMANDS,
    connection=settings.SERVICE_BUS_CONNECTION,
    data_type=func.DataType.BINARY,
)
async def certificates_commands(message: func.ServiceBusMessage) -> None:
    from functions.certificates import service
    from shared.messaging import service_messages

    await service_messages.handle(
        message, service.obey, source=settings.CERTIFICATE_COMMANDS, retry_to=settings.CERTIFICATE_COMMANDS
    )


@certificates.event_hub_message_trigger(
    arg_name="events",
    event_hub_name=settings.CERTIFICATE_EVENTS_HUB,
    connection=settings.VEHICLE_EVENTS_CONNECTION,
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
    consumer_group="$Default",
)
@certificates.retry(**settings.RETRY_FOR_EVER)
async def certificates_events(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 - as above
    from functions.certificates import service
    from shared.messaging import device_messages

    await service.hear(await device_messages.receive(events, settings.CERTIFICATE_EVENTS_HUB))
