"""What a sender may send, and what it is told."""

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    ServiceBusQuotaExceededError,
)

from tests.conformance.documented import documented
from tests.conformance.servicebus.entities import entities, queue, subscription, topic
from tests.conformance.servicebus.exchange import bodies, peek, receive, receive_one, send
from tests.conformance.servicebus.stations import Station

SETTLING = "azure/service-bus-messaging/message-transfers-locks-settlement#settling-send-operations"
QUOTAS = "azure/service-bus-messaging/service-bus-quotas#messaging-quotas"
STATUS = "azure/service-bus-messaging/entity-suspend"


@documented(SETTLING)
@entities(queue())
async def test_a_send_is_over_when_the_message_is_stored(station: Station) -> None:
    """Whoever looks then finds it."""
    await station.sender.send_messages(ServiceBusMessage("stored"))
    assert bodies(await peek(station.receiver)) == ["stored"]


@documented("azure/service-bus-messaging/service-bus-performance-improvements#batching-store-access")
@entities(queue())
async def test_a_batch_is_unpacked_in_order(station: Station) -> None:
    """Each of its messages is one for itself from then on."""
    batch = await station.sender.create_message_batch()
    for number in range(50):
        batch.add_message(ServiceBusMessage(str(number)))
    await station.sender.send_messages(batch)
    received = await receive(station.receiver, 50)
    assert bodies(received) == [str(number) for number in range(50)]
    assert [message.sequence_number for message in received] == list(range(1, 51))


@documented("python/api/azure-servicebus/azure.servicebus.servicebusmessagebatch")
@entities(queue(MaxMessageSizeInKilobytes=256))
async def test_a_batch_takes_no_more_than_one_message_may_be(station: Station) -> None:
    """The one too many is refused, the others go."""
    batch = await station.sender.create_message_batch()
    fitting = ServiceBusMessage(bytes(100_000))
    batch.add_message(fitting)
    batch.add_message(fitting)
    with pytest.raises(MessageSizeExceededError):
        batch.add_message(fitting)
    await station.sender.send_messages(batch)
    assert len(await receive(station.receiver, 2)) == 2


@documented(QUOTAS)
@entities(queue())
async def test_a_message_of_a_premium_queue_may_have_a_megabyte(station: Station) -> None:
    """It comes back whole, through as many frames as it takes."""
    body = bytes(range(256)) * 4000
    await send(station.sender, ServiceBusMessage(body))
    assert b"".join((await receive_one(station.receiver)).body) == body


@documented(QUOTAS)
@entities(standard=queue(MaxMessageSizeInKilobytes=256), premium=queue())
@pytest.mark.parametrize(("tier", "size_bytes"), [("standard", 256 << 10), ("premium", 1 << 20)])
async def test_a_message_above_the_limit_is_refused(stations: dict[str, Station], tier: str, size_bytes: int) -> None:
    """Of 256 KB in the standard tier and of 1 MB in the premium one; properties count too."""
    station = stations[tier]
    await station.sender.send_messages(ServiceBusMessage(bytes(size_bytes - 1000)))
    with pytest.raises(MessageSizeExceededError):
        await station.sender.send_messages(ServiceBusMessage(bytes(size_bytes)))
    assert len(await peek(station.receiver)) == 1


@documented("azure/service-bus-messaging/service-bus-messaging-exceptions-latest#reason-quotaexceeded")
@entities(queue(MaxSizeInMegabytes=1))
async def test_a_full_queue_refuses_more(station: Station) -> None:
    """Until a receiver makes room."""
    body = bytes(400_000)
    for _ in range(2):
        await station.sender.send_messages(ServiceBusMessage(body))
    with pytest.raises(ServiceBusQuotaExceededError):
        await station.sender.send_messages(ServiceBusMessage(body))
    await station.receiver.complete_message(await receive_one(station.receiver))
    await station.sender.send_messages(ServiceBusMessage(body))


@documented("azure/service-bus-messaging/service-bus-messaging-exceptions-latest#reason-quotaexceeded")
@entities(topic(first=subscription(), properties={"MaxSizeInMegabytes": 1}))
async def test_a_full_topic_refuses_more(station: Station) -> None:
    """What a subscription keeps is kept by its topic."""
    body = bytes(400_000)
    for _ in range(2):
        await station.sender.send_messages(ServiceBusMessage(body))
    with pytest.raises(ServiceBusQuotaExceededError):
        await station.sender.send_messages(ServiceBusMessage(body))


@documented(f"{STATUS}#queue-status")
@entities(queue(Status="SendDisabled"))
async def test_a_queue_can_be_closed_to_senders(station: Station) -> None:
    """Receivers go on."""
    with pytest.raises(MessagingEntityDisabledError):
        await station.sender.send_messages(ServiceBusMessage("no"))
    assert await peek(station.receiver) == []


@documented("azure/service-bus-messaging/service-bus-partitioning#use-of-partition-keys")
@entities(queue())
async def test_a_partition_key_must_be_the_session_id_if_there_is_one(station: Station) -> None:
    """The same is sent, another is refused."""
    await send(station.sender, ServiceBusMessage("x", session_id="s", partition_key="s"))
    received = await receive_one(station.receiver)
    assert (received.session_id, received.partition_key) == ("s", "s")
    with pytest.raises(ValueError, match="partition_key"):
        ServiceBusMessage("x", session_id="s", partition_key="other")


@documented("azure/service-bus-messaging/service-bus-quotas#messaging-quotas")
@entities(queue())
async def test_an_id_has_at_most_128_characters(station: Station) -> None:
    """One of as many is sent, a longer one is refused."""
    await send(station.sender, ServiceBusMessage("x", message_id="m" * 128, session_id="s" * 128))
    received = await receive_one(station.receiver)
    assert (len(received.message_id or ""), len(received.session_id or "")) == (128, 128)
    with pytest.raises(ValueError, match="128"):
        ServiceBusMessage("x", session_id="s" * 129)
