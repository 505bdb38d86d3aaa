"""What the broker refuses, as the unmodified azure-servicebus SDK reports it."""

import asyncio

import pytest
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusError

from tests.broker.conftest import Handler, Handlers


@pytest.fixture(scope="module")
async def refusals(client: ServiceBusClient, handlers: Handlers) -> dict[str, BaseException | None]:
    """What became of the attempt to open each of these: all at once, for each takes the SDK a second."""
    attempts: dict[str, Handler] = {
        "unknown queue, send": client.get_queue_sender("nowhere"),
        "unknown queue, receive": client.get_queue_receiver("nowhere"),
        "unknown subscription": client.get_subscription_receiver("news", "nowhere"),
        "topic itself": client.get_queue_receiver("news"),
        "forwarding queue": client.get_queue_receiver("forwarding"),
        "sessions without one": client.get_queue_receiver("sessions"),
        "session without sessions": client.get_queue_receiver("wire", session_id="s"),
    }
    results = await asyncio.gather(*(handlers.open(one) for one in attempts.values()), return_exceptions=True)
    return {
        name: result if isinstance(result, BaseException) else None
        for name, result in zip(attempts, results, strict=True)
    }


@pytest.mark.parametrize("attempt", ["unknown queue, send", "unknown queue, receive", "unknown subscription"])
async def test_an_entity_that_is_not_declared_is_not_found(
    refusals: dict[str, BaseException | None], attempt: str
) -> None:
    assert isinstance(refusals[attempt], MessagingEntityNotFoundError)


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        ("topic itself", "Nothing can be received"),
        ("forwarding queue", "it forwards its messages"),
        ("sessions without one", "requires sessions"),
        ("session without sessions", "has no sessions"),
    ],
)
async def test_a_receiver_that_does_not_fit_the_entity_is_told_why(
    refusals: dict[str, BaseException | None], attempt: str, reason: str
) -> None:
    assert isinstance(refusals[attempt], ServiceBusError)
    assert reason in str(refusals[attempt])
