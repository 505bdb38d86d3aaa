"""An AMQP session (OASIS AMQP 1.0, part 2, section 2.5): the links on one channel and their deliveries."""

from collections import deque
from typing import TYPE_CHECKING

from localcloud.broker.errors import (
    MESSAGE_LOCK_LOST,
    UNATTACHED_HANDLE,
    AmqpError,
)
from localcloud.broker.link import IncomingLink, Link, OutgoingLink
from localcloud.broker.settlements import parse_settlement
from localcloud.broker.wire.amqp_types import UInt, UShort
from localcloud.broker.wire.performatives import (
    ACCEPTED,
    BEGIN,
    DETACH,
    FLOW,
    Begin,
    Detach,
    Disposition,
    Flow,
    Transfer,
    delivery_state_code,
    outcome,
    performative,
    rejection,
    settled,
)

if TYPE_CHECKING:
    from localcloud.broker.connection import Connection

HANDLE_MAX = 255
_WINDOW = 0x7FFFFFFF  # the producers' credit is what limits them
_TRANSFER_ROOM_BYTES = 64  # of a frame, for its header and performative


class Session:
    def __init__(self, connection: "Connection", channel: int, begin: Begin) -> None:
        self.connection = connection
        self.channel = channel
        self.links: dict[int, Link] = {}
        self._next_incoming_id = begin.next_outgoing_id or 0
        self._next_outgoing_id = 0
        self._next_delivery_id = 0
        self._window = begin.incoming_window or 0
        self._held_back: deque[tuple[OutgoingLink, bytes, bytes]] = deque()
        self._unsettled: dict[int, tuple[OutgoingLink, bytes]] = {}

    @property
    def writable(self) -> bool:
        return self._window > 0 and self.connection.writable

    @property
    def max_payload_bytes(self) -> int:
        return self.connection.peer_max_frame_bytes - _TRANSFER_ROOM_BYTES

    # ---- to the peer

    def begin(self) -> None:
        self.send(
            performative(
                BEGIN,
                UShort(self.channel),
                UInt(0),
                UInt(_WINDOW),
                UInt(_WINDOW),
                UInt(HANDLE_MAX),
                None,
                None,
                None,
            )
        )

    def send(self, body: bytes) -> None:
        self.connection.send(self.channel, body)

    def send_flow(self, handle: UInt | None, delivery_count: UInt | None, credit: UInt | None) -> None:
        self.send(
            performative(
                FLOW,
                UInt(self._next_incoming_id),
                UInt(_WINDOW),
                UInt(self._next_outgoing_id),
                UInt(_WINDOW),
                handle,
                delivery_count,
                credit,
                UInt(0) if handle is not None else None,
                False,
                False,
                None,
            )
        )

    def next_delivery_id(self, link: OutgoingLink, tag: bytes) -> int:
        """The id of a delivery; an unsettled one is remembered by it."""
        delivery_id = self._next_delivery_id
        self._next_delivery_id = (delivery_id + 1) & 0xFFFFFFFF
        if not link.settled:
            self._unsettled[delivery_id] = (link, tag)
        return delivery_id

    def send_transfer(self, link: OutgoingLink, transfer: bytes, payload: bytes) -> None:
        """Sends a transfer, or holds it back until the peer's window opens again."""
        if self._window <= 0:
            self._held_back.append((link, transfer, payload))
            return
        self._window -= 1
        self._next_outgoing_id = (self._next_outgoing_id + 1) & 0xFFFFFFFF
        self.connection.send(self.channel, transfer, payload)

    # ---- from the peer

    def on_flow(self, flow: Flow) -> None:
        received = flow.next_incoming_id or 0
        in_flight = (self._next_outgoing_id - received) & 0xFFFFFFFF
        was_shut = self._window <= 0
        self._window = (flow.incoming_window or 0) - in_flight
        while self._held_back and self._window > 0:
            held_back = self._held_back.popleft()
            if not held_back[0].closed:  # nothing follows a detach
                self.send_transfer(*held_back)
        if flow.handle is None:
            if flow.echo:
                self.send_flow(None, None, None)
        else:
            link = self.links.get(flow.handle)
            # SDKs go on with flows for links that they have detached.
            if link is not None and not link.closed:
                link.on_flow(flow)
        if was_shut:
            self.pump()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) & 0xFFFFFFFF
        link = self.links.get(transfer.handle)
        if link is None:
            raise AmqpError(UNATTACHED_HANDLE, f"No link is attached to handle {transfer.handle}.")
        if isinstance(link, IncomingLink) and not link.closed:
            link.on_transfer(transfer, payload)

    def on_detach(self, detach: Detach) -> None:
        link = self.links.pop(detach.handle, None)
        if link is None:
            return
        self._forget(link)
        if not link.closed:
            link.close()
            self.send(performative(DETACH, UInt(link.handle), True, None))

    def on_disposition(self, disposition: Disposition) -> None:
        if not disposition.role_is_receiver:
            return
        last = disposition.first if disposition.last is None else disposition.last
        for delivery_id in self._unsettled_between(disposition.first, last):
            self._settle(delivery_id, disposition)

    def pump(self) -> None:
        """Lets every link deliver: the peer may take more now."""
        for link in list(self.links.values()):
            if isinstance(link, OutgoingLink):
                link.pump()

    def close(self) -> None:
        open_links = [link for link in self.links.values() if not link.closed]
        for link in open_links:
            link.closed = True  # before any of them gives back what the others could be given
        for link in open_links:
            link.close()
        self.links.clear()
        self._unsettled.clear()
        self._held_back.clear()

    def _forget(self, link: Link) -> None:
        for delivery_id in [key for key, (owner, _) in self._unsettled.items() if owner is link]:
            del self._unsettled[delivery_id]

    def _unsettled_between(self, first: int, last: int) -> list[int]:
        # The range comes from the peer and may be huge: the deliveries that exist bound the work.
        if last - first < len(self._unsettled):
            return [number for number in range(first, last + 1) if number in self._unsettled]
        return [number for number in self._unsettled if first <= number <= last]

    def _settle(self, delivery_id: int, disposition: Disposition) -> None:
        link, tag = self._unsettled[delivery_id]
        state = outcome(ACCEPTED)
        if disposition.state is not None:
            settlement = parse_settlement(disposition.state)
            if settlement is None:
                return
            state = outcome(delivery_state_code(disposition.state))
            if link.source is not None and not link.source.settle(tag, settlement):
                lost = AmqpError(MESSAGE_LOCK_LOST, "The lock supplied is invalid or has expired.")
                state = rejection(lost)
        elif not disposition.settled:
            return
        del self._unsettled[delivery_id]
        if not disposition.settled:
            self.send(settled(delivery_id, state, role_is_receiver=False))
