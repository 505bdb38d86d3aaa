"""The sending side of a connection: frames of one turn of the loop leave in one piece."""

import asyncio

from localcloud.broker.frames import AMQP, EMPTY_FRAME, frame_header

_FLUSH_BYTES = 256 << 10
_LINGER_S = 0.5  # for the peer to close its side first


class FrameWriter:
    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flushing: asyncio.Handle | None = None
        self._keep_alive: asyncio.TimerHandle | None = None
        self._last_flush_s = 0.0
        self._closed = False

    def write(self, data: bytes) -> None:
        """Sends bytes that are no frame."""
        if self._closed:
            return
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes >= _FLUSH_BYTES:
            self.flush()
        elif self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)

    def send(self, channel: int, body: bytes, payload: bytes = b"", frame_type: int = AMQP) -> None:
        """Sends a frame of a performative and what it carries."""
        self.write(frame_header(len(body) + len(payload), channel, frame_type) + body)
        if payload:
            self.write(payload)

    def flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
            self._last_flush_s = self._loop.time()
        self._out.clear()
        self._out_bytes = 0

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
        if self._transport.is_closing():
            return
        # To close at once, with something unread, would be a reset: it could overtake what was just sent.
        try:
            self._transport.write_eof()
        except OSError:  # the peer has hung up without waiting for it
            self._transport.close()
        else:
            self._loop.call_later(_LINGER_S, self._transport.close)
