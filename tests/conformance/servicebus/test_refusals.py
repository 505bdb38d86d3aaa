"""What cannot be opened, and what the SDK says then."""

import pytest
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusConnectionError,
    ServiceBusError,
)

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import entities, queue, session, subscription, topic
from tests.conformance.servicebus.flavours import new_client
from tests.conformance.servicebus.stations import Handler, Station

EXCEPTIONS = "azure/service-bus-messaging/service-bus-messaging-exceptions-latest#servicebusexception"


@documented(EXCEPTIONS)
@entities(topic(there=subscription()))
@pytest.mark.parametrize("attempt", ["send", "receive", "subscription"])
async def test_an_entity_that_is_not_there_is_not_found(
    station: Station, client: ServiceBusClient, attempt: str
) -> None:
    """Whether one sends, receives or asks for a subscription of a topic that is there."""
    attempts: dict[str, Handler] = {
        "send": client.get_queue_sender("nowhere"),
        "receive": client.get_queue_receiver("nowhere"),
        "subscription": client.get_subscription_receiver(station.path, "nowhere"),
    }
    with pytest.raises(MessagingEntityNotFoundError):
        await station.handlers.open(attempts[attempt])


@documented("azure/service-bus-messaging/service-bus-queues-topics-subscriptions#topics-and-subscriptions")
@entities(topic(there=subscription()))
async def test_nothing_is_received_from_a_topic_itself(station: Station) -> None:
    """Only from its subscriptions."""
    with pytest.raises(ServiceBusError, match="Nothing can be received"):
        await station.open()


@documented("azure/service-bus-messaging/message-sessions#first-in-first-out-fifo-pattern")
@entities(queue(RequiresSession=True))
async def test_a_queue_with_sessions_takes_no_plain_receiver(station: Station) -> None:
    """It must accept a session."""
    with pytest.raises(ServiceBusError, match="requires sessions"):
        await station.open()


@documented("azure/service-bus-messaging/message-sessions#first-in-first-out-fifo-pattern")
@entities(queue())
async def test_a_queue_without_sessions_has_none_to_accept(station: Station) -> None:
    """Session ids of its messages mean nothing to it."""
    with pytest.raises(ServiceBusError, match="has no sessions"):
        await station.open(**dict(session("s").options))


@documented("azure/service-bus-messaging/entity-suspend#queue-status")
@entities(queue(Status="Disabled", RequiresSession=True))
async def test_a_disabled_queue_takes_no_receiver(station: Station) -> None:
    """Until it is enabled again."""
    with pytest.raises(MessagingEntityDisabledError):
        await station.open(session_id="s")


@documented("azure/service-bus-messaging/service-bus-messaging-exceptions-latest#socketexception")
async def test_a_service_that_is_not_there_cannot_be_reached(flavour: str) -> None:
    """That is an error of the connection."""
    nowhere = "Endpoint=sb://localhost:9;SharedAccessKeyName=k;SharedAccessKey=a2V5;UseDevelopmentEmulator=true;"
    client = new_client(flavour, nowhere)
    with pytest.raises(ServiceBusConnectionError):
        await client.get_queue_sender("queue").__aenter__()
    await client.close()
