"""Links of an AMQP session (OASIS AMQP 1.0, part 2, section 2.6): the ends at which messages enter and leave."""

import logging
import struct
from typing import TYPE_CHECKING

from localcloud.broker.delivery import Sink, Source
from localcloud.broker.errors import (
    DECODE_ERROR,
    INTERNAL_ERROR,
    INVALID_FIELD,
    MESSAGE_SIZE_EXCEEDED,
    AmqpError,
)
from localcloud.broker.wire.amqp_types import Encoded, Malformed, UInt
from localcloud.broker.wire.encoder import encode
from localcloud.broker.wire.performatives import (
    ACCEPTED,
    DETACH,
    TRANSFER,
    Flow,
    Transfer,
    error_value,
    outcome,
    performative,
    rejection,
    settled,
)

if TYPE_CHECKING:
    from localcloud.broker.session import Session

logger = logging.getLogger(__name__)

_CREDIT = 1000  # that producers get at a time
_TRANSFER_FIELDS = 11
_DELIVERY = struct.Struct(">BIBB16sBBB")
# Of a transfer: rcv-settle-mode, state, resume and aborted are null, batchable is false.
_TRANSFER_TAIL = b"\x40\x40\x40\x40\x42"
_TRUE, _FALSE = 0x41, 0x42


class Link:
    def __init__(self, session: "Session", handle: int, address: str, path: str) -> None:
        self.session = session
        self.handle = handle
        self.address = address  # of the peer's end: of a reply link, where responses go
        self.path = path  # of the entity or node
        self.credit = 0
        self.delivery_count = 0
        self.closed = False

    def detach(self, error: AmqpError | None = None) -> None:
        if not self.closed:
            self.close()
            value = error_value(error) if error is not None else None
            self.session.send(performative(DETACH, UInt(self.handle), True, value))

    def close(self) -> None:
        self.closed = True

    def on_flow(self, flow: Flow) -> None:
        raise NotImplementedError

    def send_flow(self) -> None:
        self.session.send_flow(UInt(self.handle), UInt(self.delivery_count), UInt(max(self.credit, 0)))


class IncomingLink(Link):
    """From a producer to a sink."""

    def __init__(self, session: "Session", handle: int, address: str, path: str, sink: Sink) -> None:
        super().__init__(session, handle, address, path)
        self._sink = sink
        self._first: Transfer | None = None
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def grant_credit(self) -> None:
        self.credit = _CREDIT
        self.send_flow()

    def on_flow(self, flow: Flow) -> None:
        if flow.echo:
            self.send_flow()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        if transfer.aborted:
            self._forget()
            return
        self._first = self._first or transfer
        self._size_bytes += len(payload)
        if self._size_bytes <= self._sink.max_message_bytes:
            if payload:  # no end of empty ones would take no end of memory
                self._parts.append(payload)
        else:
            self._parts.clear()  # nobody will want them
        if transfer.more:
            return
        first, whole, size_bytes = self._first, b"".join(self._parts), self._size_bytes
        self._forget()
        state = self._take(whole, first.message_format or 0, size_bytes)
        if not (first.settled or transfer.settled):
            self._settle(first.delivery_id, state)
        self.delivery_count = (self.delivery_count + 1) & 0xFFFFFFFF
        self.credit -= 1
        if self.credit < _CREDIT // 2:
            self.grant_credit()

    def _forget(self) -> None:
        self._first, self._parts, self._size_bytes = None, [], 0

    def _take(self, payload: bytes, message_format: int, size_bytes: int) -> Encoded:
        """The outcome of a delivery."""
        most = self._sink.max_message_bytes
        if size_bytes > most:
            return _rejected(MESSAGE_SIZE_EXCEEDED, f"The message has {size_bytes} bytes, and {most} are the most.")
        try:
            self._sink.send(payload, message_format)
        except AmqpError as error:
            return _rejected(error.condition, error.description)
        except Malformed as error:
            return _rejected(DECODE_ERROR, str(error))
        except Exception:
            logger.exception("Taking a message to %s failed", self.path)
            return _rejected(INTERNAL_ERROR, "The broker failed; its log says why.")
        return outcome(ACCEPTED)

    def _settle(self, delivery_id: int | None, state: Encoded) -> None:
        if delivery_id is None:
            raise AmqpError(INVALID_FIELD, "The first transfer of a delivery needs a delivery id.")
        self.session.send(settled(delivery_id, state, role_is_receiver=True))


class OutgoingLink(Link):
    """From a source to a consumer: this is the `Consumer` that entities see."""

    def __init__(self, session: "Session", handle: int, address: str, path: str, *, settled: bool) -> None:
        super().__init__(session, handle, address, path)
        self._settled = settled
        self.source: Source | None = None
        encoded_handle = encode(UInt(handle))
        size = 1 + len(encoded_handle) + _DELIVERY.size + len(_TRANSFER_TAIL)
        self._transfer_head = b"\x00\x53" + bytes((TRANSFER, 0xC0, size, _TRANSFER_FIELDS)) + encoded_handle

    @property
    def ready(self) -> bool:
        return self.credit > 0 and not self.closed and self.session.writable

    @property
    def settled(self) -> bool:
        return self._settled

    def deliver(self, payload: bytes, tag: bytes) -> None:
        delivery_id = self.session.next_delivery_id(self, tag)
        self.credit -= 1
        self.delivery_count = (self.delivery_count + 1) & 0xFFFFFFFF
        room = self.session.max_payload_bytes
        if len(payload) <= room:
            self.session.send_transfer(self, self._transfer(delivery_id, tag, more=False), payload)
            return
        for start in range(0, len(payload), room):
            more = start + room < len(payload)
            self.session.send_transfer(self, self._transfer(delivery_id, tag, more=more), payload[start : start + room])

    def pump(self) -> None:
        """Asks the source for what it has, as long as this link is ready."""
        if self.source is not None and self.ready:
            self.source.on_credit(self)

    def on_flow(self, flow: Flow) -> None:
        if flow.link_credit is not None:
            granted = (flow.delivery_count or 0) + flow.link_credit - self.delivery_count
            # Both counts are serial numbers of 32 bits; credit never comes near half of that.
            self.credit = (granted + 0x80000000) % 0x100000000 - 0x80000000
            self.pump()
        if flow.drain:
            self.delivery_count = (self.delivery_count + max(self.credit, 0)) & 0xFFFFFFFF
            self.credit = 0
        if flow.drain or flow.echo:
            self.send_flow()

    def close(self) -> None:
        super().close()
        if self.source is not None:
            self.source.drop(self)

    def _transfer(self, delivery_id: int, tag: bytes, *, more: bool) -> bytes:
        delivery = _DELIVERY.pack(
            0x70, delivery_id, 0xA0, 16, tag, 0x43, _TRUE if self._settled else _FALSE, _TRUE if more else _FALSE
        )
        return self._transfer_head + delivery + _TRANSFER_TAIL


def _rejected(condition: str, description: str) -> Encoded:
    return rejection(AmqpError(condition, description))
