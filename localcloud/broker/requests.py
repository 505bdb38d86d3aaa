"""Requests and responses over links: the pattern behind `$cbs` and `$management` nodes."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from localcloud.broker.delivery import MAX_MESSAGE_BYTES, Consumer, Settlement
from localcloud.broker.errors import (
    ARGUMENT_ERROR,
    ARGUMENT_OUT_OF_RANGE,
    DECODE_ERROR,
    ENTITY_ALREADY_EXISTS,
    ENTITY_DISABLED,
    INTERNAL_ERROR,
    INVALID_FIELD,
    MESSAGE_LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    RESOURCE_LIMIT_EXCEEDED,
    SESSION_LOCK_LOST,
    AmqpError,
)
from localcloud.broker.message import APPLICATION_PROPERTIES, PROPERTIES, VALUE, sections
from localcloud.broker.wire.amqp_types import Int, Malformed, Symbol
from localcloud.broker.wire.decoder import decode, items
from localcloud.broker.wire.encoder import NULL, described, encode, encode_list
from localcloud.broker.wire.performatives import text

logger = logging.getLogger(__name__)

_STATUS = {
    ARGUMENT_ERROR: 400,
    ARGUMENT_OUT_OF_RANGE: 400,
    DECODE_ERROR: 400,
    INVALID_FIELD: 400,
    NOT_ALLOWED: 400,
    RESOURCE_LIMIT_EXCEEDED: 403,
    NOT_FOUND: 404,
    MESSAGE_NOT_FOUND: 404,
    ENTITY_DISABLED: 403,
    ENTITY_ALREADY_EXISTS: 409,
    MESSAGE_LOCK_LOST: 410,
    SESSION_LOCK_LOST: 410,
    NOT_IMPLEMENTED: 501,
}
_MESSAGE_ID, _REPLY_TO = 0, 4  # indexes among the properties
_RESPONSE_TAG = bytes(16)
_MAX_PENDING_BYTES = 16 << 20


class Request(NamedTuple):
    message_id: bytes  # encoded: the response returns it with its type
    reply_to: str | None
    properties: Mapping[str, Any]
    body: Any

    def property(self, name: str) -> str:
        """A text property. Raises AmqpError."""
        value = text(self.properties.get(name))
        if value is None:
            raise AmqpError(INVALID_FIELD, f"The request has no application property '{name}'.")
        return value


class Response(NamedTuple):
    status: int
    description: str
    body: Any = None
    condition: str | None = None


class StatusNames(NamedTuple):
    """How a node calls the status among the application properties: Service Bus and Event Hubs differ."""

    code: str
    description: str
    condition: str


class Node(Protocol):
    """Answers requests."""

    status_names: StatusNames

    def handle(self, request: Request) -> Response:
        """Raises AmqpError."""


class ReplySource:
    """Responses on their way to one consumer."""

    def __init__(self) -> None:
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0

    def reply(self, consumer: Consumer, response: bytes) -> None:
        """Sends a response, now or with the next credit. Who goes on asking without taking the answers is detached."""
        self._pending.append(response)
        self._pending_bytes += len(response)
        self.on_credit(consumer)
        if self._pending_bytes > _MAX_PENDING_BYTES:
            consumer.detach(AmqpError(RESOURCE_LIMIT_EXCEEDED, "Too many responses wait for credit on this link."))

    def on_credit(self, consumer: Consumer) -> None:
        while self._pending and consumer.ready:
            response = self._pending.popleft()
            self._pending_bytes -= len(response)
            consumer.deliver(response, _RESPONSE_TAG)

    def drop(self, consumer: Consumer) -> None:
        del consumer
        self._pending.clear()
        self._pending_bytes = 0

    def settle(self, tag: bytes, settlement: Settlement) -> bool:
        del tag, settlement
        return True


class RequestSink:
    """Takes requests to a node and sends the responses where they ask for."""

    max_message_bytes = MAX_MESSAGE_BYTES

    def __init__(self, node: Node, reply: Callable[[str | None, bytes], None]) -> None:
        """`reply` sends a response to an address; it raises AmqpError if no link has it."""
        self._node = node
        self._reply = reply

    def send(self, payload: bytes, message_format: int) -> None:
        del message_format
        request = parse_request(payload)
        self._reply(request.reply_to, encode_response(request, self._answer(request), self._node.status_names))

    def _answer(self, request: Request) -> Response:
        try:
            return self._node.handle(request)
        except AmqpError as error:
            return Response(_STATUS.get(error.condition, 500), error.description, condition=error.condition)
        except Malformed as error:
            return Response(400, str(error), condition=DECODE_ERROR)
        except Exception:
            logger.exception("A request failed: %s", request.properties.get("operation"))
            return Response(500, "The broker failed; its log says why.", condition=INTERNAL_ERROR)


def parse_request(payload: bytes) -> Request:
    """Raises Malformed."""
    message_id, reply_to = NULL, None
    properties: Any = {}
    body: Any = None
    for section in sections(payload):
        if section.code == PROPERTIES:
            fields = items(payload, section.value) + [NULL] * (_REPLY_TO + 1)
            message_id, reply_to = fields[_MESSAGE_ID], text(decode(fields[_REPLY_TO])[0])
        elif section.code == APPLICATION_PROPERTIES:
            properties = section.content
        elif section.code == VALUE:
            body = section.content
    return Request(message_id, reply_to, properties, body)


def encode_response(request: Request, response: Response, names: StatusNames) -> bytes:
    properties: dict[str, Any] = {
        names.code: Int(response.status),
        names.description: response.description,
    }
    if response.condition is not None:
        properties[names.condition] = Symbol(response.condition)
    return b"".join(
        (
            described(PROPERTIES, encode_list([NULL] * 5 + [request.message_id])),
            described(APPLICATION_PROPERTIES, encode(properties)),
            described(VALUE, encode(response.body if response.body is not None else {})),
        )
    )
