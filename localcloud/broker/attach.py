"""How links come to be: from the terminus that a peer asks for to the entity behind it."""

import asyncio
from typing import Any

from localcloud.broker.delivery import MAX_MESSAGE_BYTES, Consumer, Settlement, Sink
from localcloud.broker.errors import (
    INVALID_FIELD,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    TIMEOUT,
    AmqpError,
    disabled,
)
from localcloud.broker.events.event_hub import EventHub
from localcloud.broker.events.position import parse_selector
from localcloud.broker.events.reader import Reader
from localcloud.broker.link import IncomingLink, Link, OutgoingLink
from localcloud.broker.management import EntityNode
from localcloud.broker.message_sessions import MessageSession, SessionQueue
from localcloud.broker.namespace import HubPartition, Namespace, address_path
from localcloud.broker.nodes import EventHubsNode, TokenNode
from localcloud.broker.queue import Queue
from localcloud.broker.requests import Node, ReplySource, RequestSink
from localcloud.broker.session import Session
from localcloud.broker.sinks import EventSink, MessageSink
from localcloud.broker.wire.amqp_types import Described, Encoded, Symbol, UByte, UInt, ULong
from localcloud.broker.wire.decoder import items, skip
from localcloud.broker.wire.encoder import NULL, described, encode, encode_list
from localcloud.broker.wire.performatives import (
    ATTACH,
    COORDINATOR,
    SENDER_SETTLES,
    SOURCE,
    Attach,
    encoded_fields,
    performative,
    terminus_fields,
    text,
)

_TOKEN_NODE, _MANAGEMENT = "$cbs", "$management"
_SESSION_FILTER = "com.microsoft:session-filter"
_SELECTOR_FILTER = "apache.org:selector-filter:string"
_RUNTIME_METRICS = "com.microsoft:enable-receiver-runtime-metric"
_EPOCH, _RECEIVER_NAME = "com.microsoft:epoch", "com.microsoft:receiver-name"
_SOURCE_FIELD, _TARGET_FIELD, _FILTER_FIELD = 5, 6, 7
_SESSION_WAIT_MS = 65_000  # the SDKs' default
_TICKS_1970 = 621_355_968_000_000_000  # .NET counts tenths of microseconds since year 1


class SessionWait:
    """The source of a link that waits for the next session."""

    def __init__(self, queue: SessionQueue, timer: asyncio.TimerHandle) -> None:
        self._queue = queue
        self._timer = timer

    def on_credit(self, consumer: Consumer) -> None:
        """There is nothing to send before a session is there."""

    def drop(self, consumer: Consumer) -> None:
        self._timer.cancel()
        self._queue.stop_waiting(consumer)

    def settle(self, tag: bytes, settlement: Settlement) -> bool:
        del tag, settlement
        return False


class Attachment:
    """A peer's request for a link, until it is answered."""

    def __init__(self, session: Session, namespace: Namespace, attach: Attach, body: bytes, position: int) -> None:
        """`body` and `position`: the attach as it came, for what goes back unchanged. Raises Malformed."""
        self._session = session
        self._namespace = namespace
        self._attach = attach
        fields = encoded_fields(body, position, _TARGET_FIELD + 1)
        self._source, self._target = fields[_SOURCE_FIELD], fields[_TARGET_FIELD]
        self._filters = _filters(attach.source)
        source = text(terminus_fields(attach.source, 1)[0]) or ""
        self._is_coordinator = attach.target is not None and attach.target.descriptor in COORDINATOR
        target = "" if self._is_coordinator else text(terminus_fields(attach.target, 1)[0]) or ""
        ours, self._address = (source, target) if attach.role_is_receiver else (target, source)
        self._path = address_path(ours)

    def answer(self) -> None:
        """Attaches the link, now or when a session is free, or refuses it."""
        try:
            if self._attach.role_is_receiver:
                self._attach_consumer()
            else:
                self._attach_producer()
        except AmqpError as error:
            self._refuse(self._register(Link(self._session, self._attach.handle, "", self._path)), error)

    # ---- producers

    def _attach_producer(self) -> None:
        if self._is_coordinator:
            raise AmqpError(NOT_IMPLEMENTED, "Transactions are not supported.")
        sink = self._sink()
        link = IncomingLink(self._session, self._attach.handle, self._address, self._path, sink)
        self._register(link)
        self._accept(max_message_bytes=sink.max_message_bytes)
        link.grant_credit()

    def _sink(self) -> Sink:
        node = self._node()
        if node is not None:
            return RequestSink(node, self._reply)
        entity = self._namespace.find(self._path)
        if isinstance(entity, EventHub):
            return EventSink(entity, None)
        if isinstance(entity, HubPartition):
            if entity.group is not None:
                raise AmqpError(NOT_ALLOWED, f"Nothing can be sent to {self._path}.")
            return EventSink(entity.hub, entity.partition)
        return MessageSink(entity)

    def _node(self) -> Node | None:
        path = self._path.lower()
        if path == _TOKEN_NODE:
            return TokenNode()
        if path == _MANAGEMENT:
            return EventHubsNode(self._namespace)
        if not path.endswith(f"/{_MANAGEMENT}"):
            return None
        entity = self._namespace.find(self._path[: -len(_MANAGEMENT) - 1])
        if isinstance(entity, EventHub | HubPartition):
            raise AmqpError(NOT_FOUND, f"Event hubs are managed at {_MANAGEMENT}.")
        return EntityNode(entity)

    def _reply(self, reply_to: str | None, response: bytes) -> None:
        """Sends a response over the link that the request names, or else the one from the same node."""
        node = self._path.lower()
        candidates = [
            (link, link.source)
            for link in self._session.links.values()
            if isinstance(link, OutgoingLink)
            and isinstance(link.source, ReplySource)
            and not link.closed
            and link.path.lower() == node
        ]
        if not candidates:
            raise AmqpError(NOT_FOUND, f"There is no link from {self._path} for the response.")
        link, source = next((one for one in candidates if one[0].address == reply_to), candidates[0])
        source.reply(link, response)

    # ---- consumers

    def _attach_consumer(self) -> None:
        if self._node() is not None:
            self._outgoing(settled=True).source = ReplySource()
            self._accept(settled=True)
            return
        entity = self._namespace.find(self._path)
        if isinstance(entity, HubPartition) and entity.group is not None:
            self._attach_reader(entity, entity.group)
        elif isinstance(entity, Queue):
            self._attach_receiver(entity)
        else:
            raise AmqpError(NOT_ALLOWED, f"Nothing can be received from {self._path}.")

    def _attach_reader(self, entity: HubPartition, group: str) -> None:
        properties = self._attach.properties or {}
        epoch = properties.get(_EPOCH)
        if not isinstance(epoch, int | None):
            raise AmqpError(INVALID_FIELD, "An epoch is a number.")
        position = parse_selector(text(self._filters.get(_SELECTOR_FILTER)))
        desired = self._attach.desired_capabilities or []
        capabilities = desired if isinstance(desired, list) else [desired]
        link = self._outgoing(settled=True)
        reader = Reader(
            entity.partition,
            link,
            group,
            position,
            epoch,
            name=text(properties.get(_RECEIVER_NAME)) or "nil",
            with_metrics=_RUNTIME_METRICS in map(text, capabilities),
        )
        entity.partition.readers.admit(reader)
        link.source = reader
        self._accept(settled=True)

    def _attach_receiver(self, queue: Queue) -> None:
        if queue.settings.limits.receive_disabled:
            raise disabled(queue.name)
        if queue.forward_to is not None:
            raise AmqpError(NOT_ALLOWED, f"Nothing can be received from {self._path}: it forwards its messages.")
        settled = self._attach.send_settle_mode == SENDER_SETTLES
        if _SESSION_FILTER not in self._filters:
            if isinstance(queue, SessionQueue):
                raise AmqpError(NOT_ALLOWED, f"The entity {queue.name} requires sessions: accept one.")
            self._outgoing(settled=settled).source = queue
            self._accept(settled=settled)
            return
        if not isinstance(queue, SessionQueue):
            raise AmqpError(NOT_ALLOWED, f"The entity {queue.name} has no sessions.")
        session_id = text(self._filters[_SESSION_FILTER])
        link = self._outgoing(settled=settled)
        if session_id is not None:
            self._accept_session(link, queue.accept(link, session_id))
        else:
            self._wait_for_session(link, queue)

    def _wait_for_session(self, link: OutgoingLink, queue: SessionQueue) -> None:
        wait_ms = (self._attach.properties or {}).get("com.microsoft:timeout")
        if not isinstance(wait_ms, int):
            wait_ms = _SESSION_WAIT_MS
        error = AmqpError(TIMEOUT, "No session became available in time.")
        timer = queue.loop.call_later(max(wait_ms, 0) / 1000, self._refuse, link, error)
        link.source = SessionWait(queue, timer)

        def grant(session: MessageSession) -> None:
            timer.cancel()
            self._accept_session(link, session)
            link.pump()  # it may have given credit while it waited

        queue.accept_next(link, grant)

    def _accept_session(self, link: OutgoingLink, session: MessageSession) -> None:
        link.source = session
        fields = items(self._source, skip(self._source, 1))
        fields += [NULL] * (_FILTER_FIELD + 1 - len(fields))
        fields[_FILTER_FIELD] = encode({Symbol(_SESSION_FILTER): session.id})
        self._source = described(SOURCE, encode_list(fields))
        ticks = _TICKS_1970 + session.locked_until_ms * 10_000
        self._accept(settled=link.settled, properties={Symbol("com.microsoft:locked-until-utc"): ticks})

    # ---- the answer

    def _outgoing(self, *, settled: bool) -> OutgoingLink:
        link = OutgoingLink(self._session, self._attach.handle, self._address, self._path, settled=settled)
        self._register(link)
        return link

    def _register(self, link: Link) -> Link:
        self._session.links[link.handle] = link
        return link

    def _refuse(self, link: Link, error: AmqpError) -> None:
        """Attaches without a terminus and detaches: with one, SDKs report success before the error."""
        if self._attach.role_is_receiver:
            self._source = NULL
        else:
            self._target = NULL
        self._accept()
        link.detach(error)

    def _accept(
        self,
        *,
        settled: bool = False,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        properties: dict[Symbol, Any] | None = None,
    ) -> None:
        attach = self._attach
        send_mode = SENDER_SETTLES if settled else attach.send_settle_mode
        self._session.send(
            performative(
                ATTACH,
                attach.name,
                UInt(attach.handle),
                not attach.role_is_receiver,
                UByte(2 if send_mode is None else send_mode),
                UByte(attach.receive_settle_mode or 0),
                Encoded(self._source),
                Encoded(self._target),
                None,
                None,
                UInt(0) if attach.role_is_receiver else None,
                ULong(max_message_bytes),
                None,
                None,
                properties,
            )
        )


def _filters(source: Described | None) -> dict[Any, Any]:
    filters = terminus_fields(source, _FILTER_FIELD + 1)[_FILTER_FIELD]
    if not isinstance(filters, dict):
        return {}
    return {text(key): value.value if isinstance(value, Described) else value for key, value in filters.items()}
