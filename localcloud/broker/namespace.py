"""All entities behind one port, and the addresses by which links reach them."""

import asyncio
import logging
from typing import NamedTuple

from localcloud.broker.declarations.config import BrokerConfig, QueueSettings
from localcloud.broker.declarations.declared import MAX_NAME_SEGMENTS
from localcloud.broker.errors import NOT_FOUND, NOT_IMPLEMENTED, AmqpError
from localcloud.broker.events.event_hub import EventHub
from localcloud.broker.events.partition import Partition
from localcloud.broker.message_sessions import SessionQueue
from localcloud.broker.queue import Queue
from localcloud.broker.records import Records
from localcloud.broker.rules.rule_operations import restore_rules
from localcloud.broker.rules.rules import Rules
from localcloud.broker.topic import Topic
from localcloud.journal import Journal, MemoryJournal

logger = logging.getLogger(__name__)


class HubPartition(NamedTuple):
    hub: EventHub
    partition: Partition
    group: str | None  # in lower case; None in the address of a producer


Entity = Queue | Topic | EventHub | HubPartition


def address_path(address: str) -> str:
    """The path of an address: SDKs send `amqps://host:port/path`, whether or not there is TLS, or the path alone."""
    if "://" in address:
        address = address.split("://", 1)[1].partition("/")[2]
    return address.strip("/")


class Namespace:
    def __init__(self, config: BrokerConfig, loop: asyncio.AbstractEventLoop, journal: Journal) -> None:
        """All that the config declares, with what the journal holds of it."""
        self.journal = journal
        records = Records(journal)
        self._entities: dict[str, Queue | Topic | EventHub] = {}
        for name, settings in config.queues.items():
            self._entities[name.lower()] = _queue(name, settings, loop, records)
        for name, topic in config.topics.items():
            subscriptions = {
                subscription.lower(): _queue(f"{name}/Subscriptions/{subscription}", settings, loop, records)
                for subscription, settings in topic.subscriptions.items()
            }
            for subscription in topic.subscriptions:
                rules = topic.rules.get(subscription)
                subscriptions[subscription.lower()].rules = Rules(rules) if rules is not None else Rules()
            self._entities[name.lower()] = Topic(name, topic, subscriptions, loop, records)
        for name, hub in config.event_hubs.items():
            self._entities[name.lower()] = EventHub(name, hub, records)
        for entity in list(self._entities.values()):
            for queue in _queues(entity):
                queue.forward_to = self._target(queue.settings.forward_to)
                queue.forward_dead_letters_to = self._target(queue.settings.forward_dead_letters_to)
        for entity in self._entities.values():
            _restore(entity)
        if records.undeclared:
            logger.warning("Kept, but not declared any more: %s", ", ".join(records.undeclared))

    def find(self, path: str) -> Entity:
        """The entity at a path, in any case of letters. Raises AmqpError."""
        entity, rest = self._split(path.lower().split("/"))
        match rest:
            case []:
                found: Entity | None = entity
            case ["$deadletterqueue"]:
                found = _dead_letters(entity)
            case ["$transfer", "$deadletterqueue"]:
                found = _transfer_dead_letters(entity)
            case ["partitions", partition]:
                found = _partition(entity, None, partition)
            case ["consumergroups", group, "partitions", partition]:
                found = _partition(entity, group, partition)
            case ["publishers", _] if isinstance(entity, EventHub):
                raise AmqpError(NOT_IMPLEMENTED, "Publisher policies are not supported; send with a partition key.")
            case _:
                found = None
        if found is None:
            raise AmqpError(NOT_FOUND, f"The messaging entity '{path}' could not be found.")
        return found

    def event_hub(self, name: str) -> EventHub:
        """Raises AmqpError."""
        hub = self.find(name)
        if not isinstance(hub, EventHub):
            raise AmqpError(NOT_FOUND, f"The messaging entity '{name}' is no event hub.")
        return hub

    def _split(self, path: list[str]) -> tuple[Queue | Topic | EventHub | None, list[str]]:
        """The entity or subscription that a path begins with, and what comes behind; names may have slashes too."""
        for length in range(min(len(path), MAX_NAME_SEGMENTS), 0, -1):
            entity = self._entities.get("/".join(path[:length]))
            match path[length:]:
                case ["subscriptions", name, *rest] if isinstance(entity, Topic):
                    return entity.subscriptions.get(name), rest
                case rest if entity is not None:
                    return entity, rest
        return None, []

    def _target(self, name: str | None) -> Queue | Topic | None:
        target = None if name is None else self._entities[name.lower()]
        assert not isinstance(target, EventHub)  # the configuration was checked
        return target

    def close(self) -> None:
        """Stops all timers."""
        for entity in self._entities.values():
            if not isinstance(entity, EventHub):
                entity.close()


def _queue(name: str, settings: QueueSettings, loop: asyncio.AbstractEventLoop, records: Records) -> Queue:
    return (SessionQueue if settings.requires_session else Queue)(name, settings, loop, records)


def _restore(entity: Queue | Topic | EventHub) -> None:
    for queue in _queues(entity):
        if queue.rules is not None:
            restore_rules(queue.rules, queue.records)
        queue.restore()
    if isinstance(entity, Topic):
        entity.restore()


def _queues(entity: Queue | Topic | EventHub) -> list[Queue]:
    if isinstance(entity, Topic):
        return list(entity.subscriptions.values())
    return [entity] if isinstance(entity, Queue) else []


def _dead_letters(entity: object) -> Queue | None:
    return entity.dead_letters if isinstance(entity, Queue) else None


def _transfer_dead_letters(entity: object) -> Queue | None:
    """Of messages that a transaction was to transfer; there are none, and so what nobody enters is not kept."""
    if not isinstance(entity, Queue):
        return None
    settings, nothing = QueueSettings(), Records(MemoryJournal())
    return Queue(f"{entity.name}/$Transfer/$DeadLetterQueue", settings, entity.loop, nothing, is_sub_queue=True)


def _partition(entity: object, group: str | None, partition_id: str) -> HubPartition | None:
    if not isinstance(entity, EventHub) or (group is not None and group not in entity.groups):
        return None
    return HubPartition(entity, entity.partition(partition_id), group)
