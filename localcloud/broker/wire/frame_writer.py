"""The sending side of a connection: what answers one piece of input, or comes in one turn of the loop, leaves together.

It leaves when all that the broker has done until then is in its journal: a peer hears of nothing that a crash could
undo.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from localcloud.broker.wire.frames import AMQP, EMPTY_FRAME, frame_header
from localcloud.journal import Journal

_FLUSH_BYTES = 256 << 10
_MAX_HELD_BYTES = 1 << 20
_LINGER_S = 0.5  # for the peer to close its side first
_FAREWELL_S = 10.0  # for a peer that is behind to read what was sent to it


class FrameWriter:
    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        journal: Journal,
        on_relief: Callable[[], None],
    ) -> None:
        """`on_relief` is called when it was congested and is no more."""
        self._transport = transport
        self._loop = loop
        self._journal = journal
        self._on_relief = on_relief
        self._held_bytes = 0  # until the journal is written
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flushing: asyncio.Handle | None = None
        self._answering = False
        self._keep_alive: asyncio.TimerHandle | None = None
        self._last_flush_s = 0.0
        self._closed = False

    @property
    def congested(self) -> bool:
        """Whether so much waits for the journal that the rest should wait elsewhere."""
        return self._held_bytes > _MAX_HELD_BYTES

    @property
    def unsent_bytes(self) -> int:
        """What the peer has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Sends bytes that are no frame."""
        if self._closed:
            return
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes >= _FLUSH_BYTES:
            self.flush()
        elif self._flushing is None and not self._answering:
            self._flushing = self._loop.call_soon(self.flush)

    def send(self, channel: int, body: bytes, payload: bytes = b"", frame_type: int = AMQP) -> None:
        """Sends a frame of a performative and what it carries."""
        self.write(frame_header(len(body) + len(payload), channel, frame_type) + body)
        if payload:
            self.write(payload)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """What is written meanwhile leaves at the end of it: to wait for the loop's next turn costs a turn."""
        self._answering = True
        try:
            yield
        finally:
            self._answering = False
            self.flush()

    def flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._out:
            data = b"".join(self._out)
            self._held_bytes += len(data)
            self._out.clear()
            self._out_bytes = 0
            self._journal.when_durable(lambda: self._let_go(data))

    def _let_go(self, data: bytes) -> None:
        was_congested = self.congested
        self._held_bytes -= len(data)
        if not self._transport.is_closing():
            self._transport.write(data)
            self._last_flush_s = self._loop.time()
        if was_congested and not self.congested:
            # Later: who writes now may be in the middle of a delivery, which no other may come between.
            self._loop.call_soon(self._on_relief)

    def keep_alive(self, interval_s: float) -> None:
        """Sends an empty frame whenever nothing else was sent for so long, from now on."""
        due_s = self._last_flush_s + interval_s
        if due_s <= self._loop.time():
            self.write(EMPTY_FRAME)
            self.flush()
            due_s = self._loop.time() + interval_s
        self._keep_alive = self._loop.call_at(due_s, self.keep_alive, interval_s)

    def close(self) -> None:
        """Sends what is left, and closes the transport when the peer has heard it."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        self._journal.when_durable(self._hang_up)

    def _hang_up(self) -> None:
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size():  # what is left is sent first, but not to a peer that never reads
            self._transport.close()
            self._loop.call_later(_FAREWELL_S, self._transport.abort)
            return
        # To close at once, with something unread, would be a reset: it could overtake what was just sent.
        try:
            self._transport.write_eof()
        except OSError:  # the peer has hung up without waiting for it
            self._transport.close()
        else:
            self._loop.call_later(_LINGER_S, self._transport.close)
