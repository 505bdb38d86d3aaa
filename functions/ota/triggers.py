"""What wakes the OTA job: its command queue, and reports from vehicles."""

from typing import List  # noqa: UP035 - the worker refuses the whole app for `list[...]` in a signature

import azure.functions as func

from shared import settings

ota = func.Blueprint()  # type: ignore[no-untyped-call] # the library's constructor is not annotated


@ota.service_bus_queue_trigger(
    arg_name="message",
    queue_name=settings.OTA_COMMANDS,
    connection=settings.SERVICE_BUS_CONNECTION,
    data_type=func.DataType.BINARY,
)
async def ota_commands(message: func.ServiceBusMessage) -> None:
    from functions.ota import service
    from shared.messaging import service_messages

    await service_messages.handle(message, service.obey, source=settings.OTA_COMMANDS, retry_to=settings.OTA_COMMANDS)


@ota.event_hub_message_trigger(
    arg_name="events",
    event_hub_name=settings.OTA_EVENTS_HUB,
    connection=settings.VEHICLE_EVENTS_CONNECTION,
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
    consumer_group="$Default",
)
@ota.retry(**settings.RETRY_FOR_EVER)
async def ota_events(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 - as above
    from functions.ota import service
    from shared.messaging import device_messages

    await service.hear(await device_messages.receive(events, settings.OTA_EVENTS_HUB))
