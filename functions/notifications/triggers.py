"""What wakes the notifications job: what has happened in other jobs, alerts from vehicles, and its command queue."""

from typing import List  # noqa: UP035 - the worker refuses the whole app for `list[...]` in a signature

import azure.functions as func

from shared import settings

notifications = func.Blueprint()  # type: ignore[no-untyped-call] # the library's constructor is not annotated


@notifications.service_bus_topic_trigger(
    arg_name="message",
    topic_name=settings.DOMAIN_EVENTS,
    subscription_name=settings.NOTIFICATIONS_SUBSCRIPTION,
    connection=settings.SERVICE_BUS_CONNECTION,
    data_type=func.DataType.BINARY,
)
async def notifications_domain_events(message: func.ServiceBusMessage) -> None:
    from functions.notifications import service
    from shared.messaging import service_messages

    # A later attempt comes by our own queue: sent to the topic again, the event would reach every other subscriber.
    await service_messages.handle(
        message, service.learn, source=settings.DOMAIN_EVENTS, retry_to=settings.NOTIFICATION_COMMANDS
    )


@notifications.service_bus_queue_trigger(
    arg_name="message",
    queue_name=settings.NOTIFICATION_COMMANDS,
    connection=settings.SERVICE_BUS_CONNECTION,
    data_type=func.DataType.BINARY,
)
async def notifications_commands(message: func.ServiceBusMessage) -> None:
    from functions.notifications import service
    from shared.messaging import service_messages

    await service_messages.handle(
        message, service.obey, source=settings.NOTIFICATION_COMMANDS, retry_to=settings.NOTIFICATION_COMMANDS
    )


@notifications.event_hub_message_trigger(
    arg_name="events",
    event_hub_name=settings.VEHICLE_ALERTS_HUB,
    connection=settings.VEHICLE_EVENTS_CONNECTION,
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
    consumer_group="$Default",
)
@notifications.retry(**settings.RETRY_FOR_EVER)
async def notifications_alerts(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 - as above
    from functions.notifications import service
    from shared.messaging import device_messages

    await service.hear(await device_messages.receive(events, settings.VEHICLE_ALERTS_HUB))
