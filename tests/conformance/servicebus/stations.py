"""A test's own entities with senders and receivers, open already.

The SDK takes half a second to open one and as long to close one, nearly all of it asleep: all of a module's are opened
together, and closed while the next module runs.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from tests.conformance.servicebus.entities import PLAIN, Entity, Receiver, declared, global_name

Handler = ServiceBusSender | ServiceBusReceiver
H = TypeVar("H", bound=Handler)


class Handlers:
    """Senders and receivers that stay open until their module is done."""

    def __init__(self) -> None:
        self._opened: list[Handler] = []
        self._closing: list[asyncio.Task[None]] = []

    async def open(self, handler: H) -> H:
        await handler.__aenter__()
        self._opened.append(handler)
        return handler

    def close_soon(self, *handlers: Handler) -> None:
        """The broker hears of it at once, the SDK is busy with it for longer."""
        self._closing += [asyncio.create_task(handler.close()) for handler in handlers]

    def close_all_soon(self) -> None:
        self.close_soon(*self._opened)
        self._opened.clear()

    async def closed(self) -> None:
        await asyncio.gather(*self._closing)


@dataclass(frozen=True)
class Source:
    """A queue or subscription."""

    path: str  # as the broker calls it
    handlers: Handlers
    new_receiver: Callable[..., ServiceBusReceiver]
    receivers: dict[Receiver, ServiceBusReceiver] = field(default_factory=dict)

    @property
    def receiver(self) -> ServiceBusReceiver:
        return self.receivers[PLAIN]

    def __getitem__(self, receiver: Receiver) -> ServiceBusReceiver:
        return self.receivers[receiver]

    async def open(self, **options: Any) -> ServiceBusReceiver:
        """A receiver that the test did not declare, with the SDK's options."""
        return await self.handlers.open(self.new_receiver(**options))

    async def prepare(self, receiver: Receiver) -> None:
        self.receivers[receiver] = await self.open(**dict(receiver.options))


@dataclass(frozen=True)
class Station(Source):
    """A queue or topic with a sender."""

    _senders: list[ServiceBusSender] = field(default_factory=list)
    subscriptions: dict[str, Source] = field(default_factory=dict)

    @property
    def sender(self) -> ServiceBusSender:
        return self._senders[0]

    async def prepare_sender(self, sender: ServiceBusSender) -> None:
        self._senders.append(await self.handlers.open(sender))


async def open_stations(item: pytest.Function, client: ServiceBusClient, handlers: Handlers) -> Mapping[str, Station]:
    """By the names that the test gives them."""
    entities = declared(item)
    opened = await asyncio.gather(
        *(_open_station(global_name(item, name), entity, client, handlers) for name, entity in entities.items())
    )
    return dict(zip(entities, opened, strict=True))


async def _open_station(name: str, entity: Entity, client: ServiceBusClient, handlers: Handlers) -> Station:
    def of_queue(**options: Any) -> ServiceBusReceiver:
        return client.get_queue_receiver(name, **options)

    def of(subscription: str) -> Callable[..., ServiceBusReceiver]:
        return lambda **options: client.get_subscription_receiver(name, subscription, **options)

    station = Station(name, handlers, of_queue)
    for key in entity.subscriptions:
        station.subscriptions[key] = Source(f"{name}/Subscriptions/{key}", handlers, of(key))
    is_topic = bool(entity.subscriptions)
    sender = client.get_topic_sender(name) if is_topic else client.get_queue_sender(name)
    await asyncio.gather(
        station.prepare_sender(sender),
        *(station.prepare(one) for one in entity.receivers),
        *(
            station.subscriptions[key].prepare(one)
            for key, subscription in entity.subscriptions.items()
            for one in subscription.receivers
        ),
    )
    return station
