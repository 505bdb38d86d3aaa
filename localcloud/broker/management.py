"""The `$management` node of a Service Bus entity: what clients can ask besides sending and receiving.

Operations and their fields: "AMQP 1.0 in Azure Service Bus: request-response-based operations" by Microsoft.
"""

from collections.abc import Callable
from uuid import UUID

from localcloud.broker.delivery import MAX_MESSAGE_BYTES, Outcome, Settlement
from localcloud.broker.errors import (
    ARGUMENT_ERROR,
    ARGUMENT_OUT_OF_RANGE,
    MESSAGE_LOCK_LOST,
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    AmqpError,
)
from localcloud.broker.fields import Body, all_of, field
from localcloud.broker.message import DELIVERY_ANNOTATIONS, parse_message
from localcloud.broker.message_sessions import SessionQueue
from localcloud.broker.queue import Queue
from localcloud.broker.requests import Request, Response, StatusNames
from localcloud.broker.rules.rule_operations import FOR_RULES
from localcloud.broker.settlements import parse_changes, with_reasons
from localcloud.broker.topic import Topic
from localcloud.broker.wire.amqp_types import Array, Int, Symbol, Timestamp
from localcloud.broker.wire.encoder import described, encode
from localcloud.broker.wire.performatives import RECEIVER_SETTLES_SECOND, text

_VENDOR = "com.microsoft:"
_MAX_DELETED = 4000  # at a time
_END_OF_TIME_MS = 253_402_300_800_000  # .NET's last moment, with which SDKs ask for sessions whatever their state
_NO_CONTENT = Response(204, "No content")

_OUTCOMES = {
    "completed": Outcome.COMPLETED,
    "abandoned": Outcome.ABANDONED,
    "defered": Outcome.DEFERRED,  # spelled so on the wire
    "suspended": Outcome.DEAD_LETTERED,
}


class EntityNode:
    status_names = StatusNames("statusCode", "statusDescription", "errorCondition")

    def __init__(self, entity: Queue | Topic) -> None:
        self._entity = entity

    def handle(self, request: Request) -> Response:
        """Raises AmqpError."""
        name = request.property("operation").removeprefix(_VENDOR)
        body = {} if request.body is None else request.body
        if not isinstance(body, dict):
            raise AmqpError(ARGUMENT_ERROR, "The body of a request is a map.")
        if name in _FOR_PRODUCERS:
            return _FOR_PRODUCERS[name](self._entity, body)
        if name in _FOR_CONSUMERS and isinstance(self._entity, Queue):
            return _FOR_CONSUMERS[name](self._entity, body)
        if name in FOR_RULES and isinstance(self._entity, Queue) and self._entity.rules is not None:
            return FOR_RULES[name](self._entity.rules, self._entity.records, body)
        if name in _FOR_SESSIONS:
            if not isinstance(self._entity, SessionQueue):
                raise AmqpError(NOT_ALLOWED, f"The entity {self._entity.name} has no sessions.")
            return _FOR_SESSIONS[name](self._entity, body)
        raise AmqpError(NOT_IMPLEMENTED, f"The operation {name} is not supported on {self._entity.name}.")


def _session_id(body: Body) -> str | None:
    return text(body.get("session-id"))


def _tokens(body: Body) -> list[bytes]:
    # A lock token is a GUID in .NET's byte order.
    return [token.bytes_le for token in all_of(body, "lock-tokens", UUID)]


def _schedule(entity: Queue | Topic, body: Body) -> Response:
    messages = [parse_message(field(entry, "message", bytes)) for entry in all_of(body, "messages", dict)]
    return Response(200, "OK", {"sequence-numbers": Array(entity.put(messages))})


def _cancel_scheduled(entity: Queue | Topic, body: Body) -> Response:
    entity.cancel_scheduled(all_of(body, "sequence-numbers", int))
    return Response(200, "OK")


def _renew_lock(queue: Queue, body: Body) -> Response:
    return Response(200, "OK", {"expirations": Array([Timestamp(queue.renew_lock(token)) for token in _tokens(body)])})


def _peek(queue: Queue, body: Body) -> Response:
    messages = queue.peek(
        field(body, "from-sequence-number", int), field(body, "message-count", int), _session_id(body)
    )
    found: list[dict[str, bytes]] = []
    size_bytes = 0
    for message in messages:
        encoded = message.encoded()
        size_bytes += len(encoded)
        # A response is a message too. Clients ask again from the last number on: they get "at most" what they ask for.
        if found and size_bytes > MAX_MESSAGE_BYTES:
            break
        found.append({"message": encoded})
    return Response(200, "OK", {"messages": found}) if found else _NO_CONTENT


def _receive_deferred(queue: Queue, body: Body) -> Response:
    settled = body.get("receiver-settle-mode") != RECEIVER_SETTLES_SECOND
    found = []
    for token, lock, message in queue.receive_deferred(all_of(body, "sequence-numbers", int), settled=settled):
        guid = UUID(bytes_le=token)
        annotations = described(DELIVERY_ANNOTATIONS, encode({Symbol("x-opt-lock-token"): guid}))
        encoded = message.encoded(lock.until_ms if lock else None, annotations if lock else b"")
        found.append({"message": encoded, "lock-token": guid})
    return Response(200, "OK", {"messages": found})


def _settle(queue: Queue, body: Body) -> Response:
    outcome = _OUTCOMES.get(str(body.get("disposition-status")))
    if outcome is None:
        raise AmqpError(ARGUMENT_ERROR, "'disposition-status' is missing or unknown.")
    changes = parse_changes(body.get("properties-to-modify"))
    if outcome is Outcome.DEAD_LETTERED:
        changes = with_reasons(changes, text(body.get("deadletter-reason")), text(body.get("deadletter-description")))
    settled = [queue.settle(token, Settlement(outcome, changes)) for token in _tokens(body)]
    if not all(settled):
        raise AmqpError(MESSAGE_LOCK_LOST, "The lock supplied is invalid or has expired.")
    return Response(200, "OK")


def _delete(queue: Queue, body: Body) -> Response:
    """Source: "Delete messages from Azure Service Bus"; the fields are those of the .NET and JavaScript SDKs."""
    count, before_ms = field(body, "message-count", int), field(body, "enqueued-time-utc", int)
    if not 1 <= count <= _MAX_DELETED:
        raise AmqpError(ARGUMENT_OUT_OF_RANGE, f"'message-count' is from 1 to {_MAX_DELETED}.")
    deleted = queue.delete(count, before_ms, _session_id(body))
    return Response(200, "OK", {"message-count": Int(deleted)}) if deleted else _NO_CONTENT


def _renew_session(queue: SessionQueue, body: Body) -> Response:
    return Response(200, "OK", {"expiration": Timestamp(queue.renew_session(_required_session(body)))})


def _get_state(queue: SessionQueue, body: Body) -> Response:
    return Response(200, "OK", {"session-state": queue.session_state(_required_session(body))})


def _set_state(queue: SessionQueue, body: Body) -> Response:
    state = body.get("session-state")
    if not isinstance(state, bytes | None):
        raise AmqpError(ARGUMENT_ERROR, "'session-state' is binary or null.")
    queue.set_session_state(_required_session(body), state)
    return Response(200, "OK")


def _list_sessions(queue: SessionQueue, body: Body) -> Response:
    skip, top = field(body, "skip", int), field(body, "top", int)
    if skip < 0 or top < 0:
        raise AmqpError(ARGUMENT_ERROR, "'skip' and 'top' are not negative.")
    updated_after_ms = body.get("last-updated-time")
    if isinstance(updated_after_ms, int) and updated_after_ms < _END_OF_TIME_MS:
        ids = queue.sessions_updated_after(updated_after_ms)[skip : skip + top]
    else:
        ids = queue.session_ids()[skip : skip + top]
    if not ids:
        return _NO_CONTENT
    return Response(200, "OK", {"skip": Int(skip + len(ids)), "sessions-ids": Array(ids)})


def _required_session(body: Body) -> str:
    session_id = _session_id(body)
    if session_id is None:
        raise AmqpError(ARGUMENT_ERROR, "'session-id' is missing.")
    return session_id


_FOR_PRODUCERS: dict[str, Callable[[Queue | Topic, Body], Response]] = {
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel_scheduled,
}
_FOR_CONSUMERS: dict[str, Callable[[Queue, Body], Response]] = {
    "renew-lock": _renew_lock,
    "peek-message": _peek,
    "receive-by-sequence-number": _receive_deferred,
    "update-disposition": _settle,
    "batch-delete-messages": _delete,
}
_FOR_SESSIONS: dict[str, Callable[[SessionQueue, Body], Response]] = {
    "renew-session-lock": _renew_session,
    "get-session-state": _get_state,
    "set-session-state": _set_state,
    "get-message-sessions": _list_sessions,
}
